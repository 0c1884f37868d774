"""Series as OpenMetrics text, with the instants of the sessions: a history for Prometheus.

https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from benchmarks.common import files
from benchmarks.common.text import short
from benchmarks.history import series
from benchmarks.page import labels
from benchmarks.report import columns
from benchmarks.sessions import measures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from benchmarks.history.series import Series
    from benchmarks.sessions.session import Session

    Samples = Mapping[str, Mapping[float, float]]  # by labels, then by instant

TITLE = "the OpenMetrics text"
PREFIX = "llm_int8_"
UNITS = {"s": "seconds", "B": "bytes", "ratio": "ratio"}  # base units that a name ends with
SUFFIXES = {"seconds": "_s", "bytes": "_bytes", "ratio": ""}
WORKLOAD = ("model", "quantization", "batch_size", "prompt_tokens", "new_tokens")
ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def write(out: Path, sessions: Sequence[Session]) -> None:
    """Write a family of gauges for each metric. Raises InputError if the file can't be written."""
    found: dict[str, dict[str, dict[float, float]]] = {}
    for each in series.gather(sessions):
        samples = found.setdefault(each.metric, {}).setdefault(_labels(each), {})
        for session, value in zip(each.sessions, each.values, strict=True):
            samples[datetime.fromisoformat(session.when).timestamp()] = value
    with files.whole(out, TITLE) as file:
        for metric in sorted(found):
            file.writelines(f"{line}\n" for line in _family(metric, found[metric]))
        file.write("# EOF\n")


def _family(metric: str, samples: Samples) -> Iterator[str]:
    """Yield a family's lines; of one series the instants go forward, and none comes twice."""
    base = UNITS.get(measures.unit(metric), "")
    name = PREFIX + metric.replace(".", "_")
    if base:
        name = f"{name.removesuffix(SUFFIXES[base])}_{base}"
    yield f"# TYPE {name} gauge"
    if base:
        yield f"# UNIT {name} {base}"
    yield f"# HELP {name} {columns.title(metric).translate(ESCAPES)}"
    for said, values in samples.items():
        for seconds, value in sorted(values.items()):
            yield f"{name}{{{said}}} {value!r} {seconds:.3f}"


def _labels(each: Series) -> str:
    """Return the labels of a series: what it is of, and on which machine."""
    newest = each.sessions[-1]
    workload = newest.measured[each.benchmark].workload
    known = {
        "benchmark": short(each.benchmark),
        **{name: workload.get(name) for name in WORKLOAD},
        "machine": labels.machine_label(newest),
    }
    return ",".join(f'{name}="{str(value).translate(ESCAPES)}"' for name, value in known.items())
