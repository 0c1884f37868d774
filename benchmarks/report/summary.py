"""What a person reads at the end: tables, hotspots, an example, and where the files are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.common.text import align, duration, percent
from benchmarks.report.columns import IN_MARKDOWN, SPACE, SPEED, WORK, figure
from benchmarks.report.lines import evidence_line
from benchmarks.sessions import doubts, unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from benchmarks.common.text import Format

HOTSPOT_ROWS = 8
MOST_EXAMPLE = 200  # characters of the text that a model generated
PROFILED = "* timed after a profiler had run in this process"


def metric_tables(records: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Return two tables with one row per benchmark: its speed, and what it needs.

    A column that no benchmark has a number for is left out.
    """
    lines = []
    for group in (SPEED, SPACE):
        columns = [
            column
            for column in group
            if any(figure(info, column[1]) is not None for _, info in records)
        ]
        if not columns:
            continue
        header = ["benchmark", *(title for title, _, _ in columns)]
        rows = [
            [name, *(_cell(figure(info, metric), form) for _, metric, form in columns)]
            for name, info in records
        ]
        lines += [*align([header, *rows]), ""]
    return lines


def markdown(records: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Return the figures of a session that matter most, as a table in Markdown."""
    columns = [
        column
        for column in (*SPEED, *SPACE)
        if column[1] in IN_MARKDOWN or (column[1] in WORK and _any(records, column[1]))
    ]
    rows = [
        [f"`{name}`{_marks(info)}"]
        + [_cell(figure(info, metric), form) for _, metric, form in columns]
        for name, info in records
    ]
    titles = ["benchmark", *(title for title, _, _ in columns)]
    table = [titles, ["---"] + ["---:"] * len(columns), *rows]
    notes = [PROFILED] if any("*" in _marks(info) for _, info in records) else []
    return "\n".join([*(f"| {' | '.join(row)} |" for row in table), "", *notes, ""])


def _any(records: Sequence[tuple[str, Mapping[str, Any]]], metric: str) -> bool:
    return any(figure(info, metric) is not None for _, info in records)


def hotspot_table(title: str, operators: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the worst operators of a profile, by their own time; on the CPU that is the host's."""
    rows = [["share", "device", "host", "calls", f"operator ({title})"]]
    for each in operators[:HOTSPOT_ROWS]:
        device = duration(each["self_device_s"]) if each["self_device_s"] else "-"
        rows.append(
            [
                percent(each["share"]),
                device,
                duration(each["self_host_s"]),
                f"{each['calls']:,}",
                each["name"][:60],
            ]
        )
    if not any(each["self_device_s"] for each in operators):
        rows = [[share, *others] for share, _, *others in rows]
    return align(rows, left=(len(rows[0]) - 1,))


def _marks(info: Mapping[str, Any]) -> str:
    """Return the footnotes of a benchmark."""
    profiled = info.get("process", {}).get("profiled")
    invalid = (info.get("validity") or {}).get("reasons")
    return (" *" if profiled else "") + (" !" if invalid else "")


def _cell(value: float | None, form: Format) -> str:
    return "-" if value is None else form(value)


@dataclass
class Summary:
    """What the end of a session shows, gathered while it runs."""

    records: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    examples: dict[str, str] = field(default_factory=dict)  # by quantization
    script_tables: list[str] = field(default_factory=list)
    artifacts: Path | None = None

    def add(self, name: str, extra_info: Mapping[str, Any], example: str | None) -> None:
        """Add a finished benchmark, and the text that it generated in the first row, if any."""
        self.records.append((name, extra_info))
        if example is not None:
            self.examples.setdefault(extra_info["workload"]["quantization"], example)

    def write(self, terminal: Any) -> None:
        """Write it to pytest's terminal."""
        if not self.records:
            return
        terminal.section("LLM.int8() benchmarks")
        for line in (
            *self._profiles(),
            *self._evidence(),
            *self._examples(),
            *self._tables(),
        ):
            terminal.write_line(line)
        for line in self.validity():
            terminal.write_line(line, yellow=True)
        if self.artifacts:
            terminal.write_line(f"profiles: {self.artifacts}")

    def _profiles(self) -> Iterator[str]:
        for name, info in self.records:
            for phase, profile in info.get("profile", {}).items():
                yield from hotspot_table(f"{name}: {phase}", profile["operators"])
                yield ""
        yield from self.script_tables

    def _evidence(self) -> Iterator[str]:
        """Yield a line for each quantization and batch size: they have all evidence in common."""
        seen = set()
        for _, info in self.records:
            workload = info["workload"]
            key = f"{workload['quantization']}-b{workload['batch_size']}"
            if key not in seen and info.get("attestation"):
                seen.add(key)
                yield f"checked ({key}): {evidence_line(info)}"

    def _examples(self) -> Iterator[str]:
        for quantization, text in self.examples.items():
            shown = text if len(text) <= MOST_EXAMPLE else f"{text[:MOST_EXAMPLE]}…"
            yield f"Example ({quantization}): {shown!r}"
        yield ""

    @property
    def causes(self) -> list[doubts.Doubt]:
        """Each cause for which times can't be trusted, with the benchmarks that it touched."""
        return doubts.sum_up((name, info["validity"]) for name, info in self.records)

    @property
    def warning(self) -> str | None:
        """The sentence that says that times can't be trusted; None if they can."""
        if not (found := self.causes):
            return None
        every = all((info["validity"] or {}).get("reasons") for _, info in self.records)
        return doubts.sentence(found, all_times=every)

    def validity(self) -> list[str]:
        """Return what is to be known of the machine: a line for each cause, and what went by."""
        count = len(self.records)
        refused = [
            (name, each["validity"]) for name, info in self.records for each in info["refused"]
        ]
        return [
            *doubts.again(refused, count),
            *(each.line(count) for each in self.causes),
            *unchecked.of_records(info["validity"] for _, info in self.records).lines(),
        ]

    def _tables(self) -> Iterator[str]:
        marked = [(f"{name}{_marks(info)}", info) for name, info in self.records]
        yield from metric_tables(marked)
        if any("*" in _marks(info) for _, info in self.records):
            yield PROFILED
