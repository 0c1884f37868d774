"""What a person reads at the end: tables, hotspots, an example, and where the files are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.common.text import align, duration, percent
from benchmarks.report import columns
from benchmarks.report.lines import evidence_line
from benchmarks.sessions import doubts, unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

HOTSPOT_ROWS = 8
MOST_EXAMPLE = 200  # characters of the text that a model generated
PROFILED = "* timed after a profiler had run in this process"


def metric_tables(records: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Return two tables with one row per benchmark: its speed, and what it needs.

    A column that no benchmark has a number for is left out.
    """
    tables = [columns.rows(records, table) for table in (columns.SPEED, columns.SPACE)]
    return [line for table in tables if len(table[0]) > 1 for line in (*align(table), "")]


def markdown(records: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Return the figures of a session that matter most, as a table in Markdown."""
    marked = [(f"`{name}`{_marks(info)}", info) for name, info in records]
    header, *rows = columns.rows(marked, in_markdown=True)
    table = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    notes = [PROFILED] if any("*" in _marks(info) for _, info in records) else []
    return "\n".join([*(f"| {' | '.join(row)} |" for row in table), "", *notes, ""])


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


@dataclass
class Summary:
    """What the end of a session shows, gathered while it runs."""

    records: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    examples: dict[str, str] = field(default_factory=dict)  # by quantization
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
