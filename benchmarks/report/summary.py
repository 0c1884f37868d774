"""What a person reads at the end: tables, hotspots, an example, and where the files are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.common.text import align, duration, percent, short
from benchmarks.report import columns
from benchmarks.report.lines import evidence_line
from benchmarks.sessions import doubts, unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

HOTSPOT_ROWS = 8
MOST_EXAMPLE = 200  # characters of the text that a model generated
PROFILED = "* timed after a profiler had run in this process"
NO_RESULT: Mapping[str, Any] = {"metrics": {}}  # in place of the record of a benchmark that failed


def metric_tables(records: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Return two tables with one row per benchmark: its speed, and what it needs.

    A column that no benchmark has a number for is left out.
    """
    tables = [columns.rows(records, table) for table in (columns.SPEED, columns.SPACE)]
    return [line for table in tables if len(table[0]) > 1 for line in (*align(table), "")]


def failures(failed: Mapping[str, str]) -> list[str]:
    """Return why benchmarks, by full name, have no result: a line for each reason."""
    names: dict[str, list[str]] = {}
    for name, why in failed.items():
        names.setdefault(why, []).append(short(name))
    return [f"FAILED: {why} ({', '.join(found)})" for why, found in names.items()]


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
    if info is NO_RESULT:
        return " FAILED"
    profiled = info.get("process", {}).get("profiled")
    invalid = (info.get("validity") or {}).get("reasons")
    return (" *" if profiled else "") + (" !" if invalid else "")


@dataclass
class Summary:
    """What the end of a session shows, gathered while it runs."""

    recorded: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # why, by full name: no result of theirs
    examples: dict[str, str] = field(default_factory=dict)  # by benchmark
    artifacts: Path | None = None

    def add(self, name: str, extra_info: Mapping[str, Any], example: str | None) -> None:
        """Add a finished benchmark, and the text that it generated in the first row, if any."""
        self.recorded.append((name, extra_info))
        if example is not None:
            self.examples[name] = example

    @property
    def records(self) -> list[tuple[str, Mapping[str, Any]]]:
        """The benchmarks that have a result, by name, with their records."""
        failed = {short(name) for name in self.failed}
        return [(name, info) for name, info in self.recorded if name not in failed]

    @property
    def rows(self) -> list[tuple[str, Mapping[str, Any]]]:
        """The records of all benchmarks; of those that failed one without a number."""
        known = dict(self.recorded) | {short(name): NO_RESULT for name in self.failed}
        return list(known.items())

    def write(self, terminal: Any) -> None:
        """Write it to pytest's terminal."""
        if not self.rows:
            return
        terminal.section("LLM.int8() benchmarks")
        for line in (
            *self._profiles(),
            *self._evidence(),
            *self._examples(),
            *self._tables(),
        ):
            terminal.write_line(line)
        for line in self.failures():
            terminal.write_line(line, red=True)
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
        texts: dict[str, str] = {}
        for name, info in self.records:
            if name in self.examples:
                texts.setdefault(info["workload"]["quantization"], self.examples[name])
        for quantization, text in texts.items():
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

    def failures(self) -> list[str]:
        """Return why benchmarks have no result: a line for each reason."""
        return failures(self.failed)

    def markdown(self) -> str:
        """Return the figures of a session that matter most, as a table in Markdown."""
        marked = [(f"`{name}`{_marks(info)}", info) for name, info in self.rows]
        header, *rows = columns.rows(marked, in_markdown=True)
        table = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
        return "\n".join([*(f"| {' | '.join(row)} |" for row in table), "", *self._notes(), ""])

    def _notes(self) -> list[str]:
        return [PROFILED] if any("*" in _marks(info) for _, info in self.records) else []

    def _tables(self) -> Iterator[str]:
        yield from metric_tables([(f"{name}{_marks(info)}", info) for name, info in self.rows])
        yield from self._notes()
