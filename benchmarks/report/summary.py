"""What a person reads at the end: tables, hotspots, an example, and where the files are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.common.text import (
    COLUMNS,
    align,
    duration,
    fitting,
    number,
    percent,
    short,
    wrapped,
)
from benchmarks.report import columns, half_lines
from benchmarks.report.lines import (
    evidence_line,
    placement_line,
    replicas_line,
    timed_after_profiler,
)
from benchmarks.sessions import doubts, unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

HOTSPOT_ROWS = 8
NAME = 60  # characters of an operator
MOST_EXAMPLE = 80  # characters of the text that a model generated
PROFILED = "* timed after a profiler had run in this process"
NO_RESULT: Mapping[str, Any] = {"metrics": {}}  # in place of the record of a benchmark that failed


def metric_table(
    records: Sequence[tuple[str, Mapping[str, Any]]],
    metrics: Sequence[str] | None = None,
    width: int = COLUMNS,
) -> list[str]:
    """Return a table with one row per benchmark; what doesn't fit beside it stands below it."""
    rows = columns.terminal_rows(records, metrics)
    tables = fitting(rows, width) if len(rows[0]) > 1 else []
    return [line for table in tables for line in (*align(table), "")]


def failures(failed: Mapping[str, str]) -> list[str]:
    """Return why benchmarks, by full name, have no result: a line for each reason."""
    names: dict[str, list[str]] = {}
    for name, why in failed.items():
        names.setdefault(why, []).append(short(name))
    return [f"FAILED: {why} ({', '.join(found)})" for why, found in names.items()]


def hotspot_table(title: str, operators: Sequence[Mapping[str, Any]], steps: int = 1) -> list[str]:
    """Return the worst operators of a profile, by their own time; on the CPU that is the host's.

    Times and calls are those of one of the `steps`, as in the table of metrics.
    """
    rows = [["share", "device", "host", "calls", f"operator ({title})"]]
    for each in operators[:HOTSPOT_ROWS]:
        device = duration(each["self_device_s"] / steps) if each["self_device_s"] else "-"
        rows.append(
            [
                percent(each["share"]),
                device,
                duration(each["self_host_s"] / steps),
                number(each["calls"] / steps),
                each["name"][:NAME],
            ]
        )
    if not any(each["self_device_s"] for each in operators):
        rows = [[share, *others] for share, _, *others in rows]
    return align(rows, left=(len(rows[0]) - 1,))


def marks(info: Mapping[str, Any]) -> str:
    """Return the footnotes of a benchmark."""
    if info is NO_RESULT:
        return " FAILED"
    invalid = (info.get("validity") or {}).get("reasons")
    return (" *" if timed_after_profiler(info) else "") + (" !" if invalid else "")


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

    def write(
        self, terminal: Any, metrics: Sequence[str] | None = None, width: int = COLUMNS
    ) -> None:
        """Write it to pytest's terminal; `metrics` are the columns that were asked for."""
        if not self.rows:
            return
        terminal.section("LLM.int8() benchmarks")
        prose = (*self._evidence(), *self._examples())
        folded = (line for each in prose for line in (wrapped(each) or [""]))
        for line in (*self._profiles(), *folded, *self._tables(metrics, width)):
            terminal.write_line(line)
        for line in (line for each in self.against_half() for line in wrapped(each)):
            terminal.write_line(line)
        for says, colour in ((self.failures(), "red"), (self.validity(), "yellow")):
            for line in (line for each in says for line in wrapped(each)):
                terminal.write_line(line, **{colour: True})
        if self.artifacts:
            terminal.write_line(f"profiles: {self.artifacts}")

    def _profiles(self) -> Iterator[str]:
        for name, info in self.records:
            for phase, profile in info.get("profile", {}).items():
                first, stop = profile.get("decode_steps") or (0, 1)
                what = "a decode step" if phase == "decode" else phase
                yield from hotspot_table(f"{what} of {name}", profile["operators"], stop - first)
                yield ""

    def _evidence(self) -> Iterator[str]:
        """Yield a line for each loaded model, mode and batch size: what its benchmarks share.

        And for each benchmark of replicas what each of them did.
        """
        seen = set()
        for name, info in self.records:
            workload = info["workload"]
            mode = f"-{workload['generation']}" if "generation" in workload else ""
            key = f"{self._loaded(workload)}{mode}-b{workload['batch_size']}"
            if key not in seen and info.get("attestation"):
                seen.add(key)
                yield f"checked ({key}): {evidence_line(info)}"
                if placed := placement_line(info):
                    yield f"placed ({key}): {placed}"
            if replicas := info.get("replicas"):
                yield f"{name}: {replicas_line(replicas)}"

    def _loaded(self, workload: Mapping[str, Any]) -> str:
        """Return what tells loaded models apart: quantizations, and names if there are several."""
        several = len({info["workload"].get("model") for _, info in self.records}) > 1
        model = f"{workload['model'].rstrip('/').rpartition('/')[2]}-" if several else ""
        return f"{model}{workload['quantization']}"

    def _examples(self) -> Iterator[str]:
        texts: dict[str, str] = {}
        for name, info in self.records:
            if name in self.examples:
                texts.setdefault(self._loaded(info["workload"]), self.examples[name])
        for loaded, text in texts.items():
            shown = text if len(text) <= MOST_EXAMPLE else f"{text[:MOST_EXAMPLE]}…"
            yield f"Example ({loaded}): {shown!r}"
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
        """Return what was wrong with the machine, a line for each cause, and what was unchecked."""
        count = len(self.records)
        refused = [
            (name, each["validity"]) for name, info in self.records for each in info["refused"]
        ]
        return [
            *doubts.again(refused, count),
            *(each.line(count) for each in self.causes),
            *unchecked.of_records(info["validity"] for _, info in self.records).lines(),
        ]

    def against_half(self) -> list[str]:
        """Return how the quantizations compare with 16 bits: a line for each."""
        return half_lines.lines(self.records)

    def failures(self) -> list[str]:
        """Return why benchmarks have no result: a line for each reason."""
        return failures(self.failed)

    def markdown(self) -> str:
        """Return the figures of a session that matter most, as a table in Markdown."""
        marked = [(f"`{name}`{marks(info)}", info) for name, info in self.rows]
        header, *rows = columns.markdown_rows(marked)
        table = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
        notes = [line for each in self._notes() for line in (each, "")]  # each a paragraph
        return "\n".join([*(f"| {' | '.join(row)} |" for row in table), "", *notes])

    def _notes(self) -> list[str]:
        found = [PROFILED] if any("*" in marks(info) for _, info in self.records) else []
        named: dict[str, str] = {}  # the first benchmark of each reason
        for name, info in self.records:
            for why in columns.doubts(info):
                named.setdefault(why, name)
        return found + [f"device time ! ({name}): {why}" for why, name in named.items()]

    def _tables(self, metrics: Sequence[str] | None, width: int) -> Iterator[str]:
        marked = [(f"{name}{marks(info)}", info) for name, info in self.rows]
        yield from metric_table(marked, metrics, width)
        yield from (line for each in self._notes() for line in wrapped(each))
