"""What a person reads at the end: tables, hotspots, an example, and where the files are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.harness import doubts, unchecked
from benchmarks.harness.workload import TOPICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    Format = Callable[[float], str]

HOTSPOT_ROWS = 8
IN_MARKDOWN = {"tokens_per_s", "ttft_s", "tpot_s", "joules_per_token", "peak_allocated_bytes"}
MOST_EXAMPLE = 200  # characters of the text that a model generated
PROFILED = "* timed after a profiler had run in this process"


def rate(value: float) -> str:
    """Return a rate with about four digits."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Return seconds with the unit that reads best."""
    return _scaled(seconds, ((1e-6, "µs"), (1e-3, "ms"), (1, "s")))


def size(count: float) -> str:
    """Return bytes in decimal units."""
    return _scaled(count, ((1, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB")))


def percent(share: float) -> str:
    """Return a share as a percentage."""
    return f"{share * 100:.3g} %"


def _scaled(value: float, units: Sequence[tuple[float, str]]) -> str:
    """Return three digits in the first unit in which they round to less than 1000."""
    for factor, unit in units:
        text = f"{value / factor:.3g}"
        if float(text) < 1000:
            return f"{text} {unit}"
    return f"{value / factor:,.0f} {unit}"


SPEED: tuple[tuple[str, str, Format], ...] = (
    ("tokens/s", "tokens_per_s", rate),
    ("per row", "tokens_per_s_per_row", rate),
    ("TTFT", "ttft_s", duration),
    ("TPOT", "tpot_s", duration),
    ("ITL p50", "itl_p50_s", duration),
    ("p95", "itl_p95_s", duration),
    ("p99", "itl_p99_s", duration),
    ("prefill/s", "prefill_tokens_per_s", rate),
    ("decode/s", "decode_tokens_per_s", rate),
    ("script's", "script_speed", rate),
)
SPACE: tuple[tuple[str, str, Format], ...] = (
    ("J/token", "joules_per_token", rate),
    ("load", "load_s", duration),
    ("weights", "weights_bytes", size),
    ("allocated", "peak_allocated_bytes", size),
    ("reserved", "peak_reserved_bytes", size),
    ("resident", "peak_resident_bytes", size),
    ("bytes/step", "decode_bytes", size),
    ("light", "speed_of_light_tpot_s", duration),
    ("MBU", "mbu", percent),
    ("cold/warm", "cold_start_ratio", lambda ratio: f"{ratio:.3g}x"),
)


def metric_tables(records: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Return two tables with one row per benchmark: its speed, and what it needs.

    A column that no benchmark has a number for is left out.
    """
    lines = []
    for group in (SPEED, SPACE):
        columns = [
            column
            for column in group
            if any(info["metrics"].get(column[1]) is not None for _, info in records)
        ]
        header = ["benchmark", *(title for title, _, _ in columns)]
        rows = [
            [name, *(_cell(info["metrics"].get(metric), form) for _, metric, form in columns)]
            for name, info in records
        ]
        lines += [*align([header, *rows]), ""]
    return lines


def markdown(records: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Return the figures of a session that matter most, as a table in Markdown."""
    columns = [column for column in (*SPEED[:4], *SPACE) if column[1] in IN_MARKDOWN]
    rows = [
        [f"`{name}`{_marks(info)}"]
        + [_cell(info["metrics"].get(metric), form) for _, metric, form in columns]
        for name, info in records
    ]
    titles = ["benchmark", *(title for title, _, _ in columns)]
    table = [titles, ["---"] + ["---:"] * len(columns), *rows]
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


def align(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> list[str]:
    """Return rows as lines with aligned columns: those in `left` to the left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _marks(info: Mapping[str, Any]) -> str:
    """Return the footnotes of a benchmark."""
    profiled = info.get("process", {}).get("profiled")
    invalid = (info.get("validity") or {}).get("reasons")
    return (" *" if profiled else "") + (" !" if invalid else "")


def _busy(profile: Mapping[str, Any]) -> str:
    """Return how much of a profiled window the GPU worked: the rest is the host's."""
    share = profile.get("device_busy_share")
    return "" if share is None else f", GPU busy {percent(share)} of {duration(profile['wall_s'])}"


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
                yield from hotspot_table(f"{name}: {phase}{_busy(profile)}", profile["operators"])
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


def evidence_line(info: Mapping[str, Any]) -> str:
    """Return a benchmark's evidence in a few words, for the terminal."""
    found, metrics = info["attestation"], info["metrics"]
    kinds = ", ".join(f"{count} {name}" for name, count in found["linears"].items())
    parts = [f"{kinds} of {found['linears_expected']}"]
    work = info["workload"]
    rows, different = work["batch_size"], work.get("distinct_prompts", len(TOPICS))
    if work.get("threshold") and different < min(rows, len(TOPICS)):
        parts.append(f"only {different} of {rows} prompts differ, so fewer outliers than usual")
    if outliers := (found["path"] or {}).get("outliers"):
        decode = outliers["decode"]
        parts.append(
            f"outliers in {decode['share_of_linears']:.0%} of decode calls "
            f"({decode['columns_min']} to {decode['columns_max']} columns)"
        )
    if note := (found["path"] or {}).get("note"):
        parts.append(note)
    if info["counters"]:
        first, stop = info["counters"]["decode_steps"]
        decode = info["counters"]["decode"]
        total = decode["operators_total"]
        parts.append(f"{total:,} operator calls in decode steps {first} to {stop - 1}")
        if "kernel_launches" in decode:
            syncs = sum(decode["synchronizations"].values())
            parts.append(f"{decode['kernel_launches']:,} launches, {syncs:,} synchronizations")
    if metrics.get("top1_agreement") is not None:
        parts.append(
            f"top-1 agreement with fp16 {metrics['top1_agreement']:.1%}, "
            f"logits off by {metrics['logits_relative_error']:.2%}"
        )
    return "; ".join(parts)


def headline(extra_info: Mapping[str, Any]) -> str:
    """Return a finished benchmark in a few words."""
    metrics = extra_info["metrics"]
    parts = [f"{rate(metrics['tokens_per_s'])} tokens/s", f"TTFT {duration(metrics['ttft_s'])}"]
    if metrics["tpot_s"] is not None:
        parts.append(f"TPOT {duration(metrics['tpot_s'])}")
    if (extra_info.get("validity") or {}).get("reasons"):
        return f"{', '.join(parts)} !"  # as the table marks it; the end of the session says why
    return ", ".join(parts)
