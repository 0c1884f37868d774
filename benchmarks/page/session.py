"""One session as a page shows it: facts, metrics, and each benchmark with its figures."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from benchmarks.harness.report import SPACE, SPEED, evidence_line, headline
from benchmarks.page import overview, profiles, sampled, timing, units
from benchmarks.page.figure import MOST_NAME, Figure, Table
from benchmarks.page.history import machine_label, short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from benchmarks.harness.sessions import Measured, Session
    from benchmarks.page.profiles import Flame

    Info = Mapping[str, Any]

FILES = {  # what a profile leaves beside its stacks, and what opens it
    "trace.json.gz": "trace, for ui.perfetto.dev",
    "table.txt": "table of all operators",
    "script-table.txt": "table of the old script",
    "host.stacks.txt": "folded stacks of the host, for speedscope.app",
    "device.stacks.txt": "folded stacks of the device, for speedscope.app",
}
GROUPS = (("Speed", SPEED), ("Memory and cost", SPACE))


@dataclass(frozen=True)
class View:
    """A benchmark as a page shows it."""

    name: str
    headline: str
    valid: bool | None  # None where the machine wasn't judged
    doubts: Sequence[str]
    notes: Sequence[str]
    figures: Sequence[Figure]
    profiles: Sequence[tuple[str, Sequence[Figure], Sequence[Flame], Sequence[tuple[str, str]]]]
    facts: Sequence[tuple[str, Table]]


def facts(session: Session) -> list[tuple[str, str]]:
    """Return what was measured, on what, and when, in a few lines."""
    infos = [measured.info for measured in session.measured.values()]
    workloads = [info["workload"] for info in infos]
    software = session.machine.get("software") or {}
    commit = session.commit
    models = dict.fromkeys(
        f"{each['model']} ({each.get('weights') or 'unknown'} weights)" for each in workloads
    )
    return [
        ("Model", ", ".join(models)),
        ("Quantizations", ", ".join(dict.fromkeys(each["quantization"] for each in workloads))),
        ("Machine", machine_label(session)),
        (
            "Commit",
            " ".join(
                part
                for part in (
                    str(commit.get("id") or "unknown")[:10],
                    f"on {commit['branch']}" if commit.get("branch") else "",
                    "with uncommitted changes" if commit.get("dirty") else "",
                )
                if part
            ),
        ),
        ("Saved", f"{session.when[:19].replace('T', ' ')} UTC" if session.when else "not saved"),
        ("File", session.name.rpartition("/")[2]),
        (
            "Versions",
            ", ".join(f"{name} {version}" for name, version in software.items() if version),
        ),
    ]


def metrics(session: Session) -> list[tuple[str, Table]]:
    """Return the tables of metrics: a row for each benchmark, no column without a number."""
    records = _records(session)
    tables = []
    for title, group in GROUPS:
        columns = [
            (name, metric, form)
            for name, metric, form in group
            if any(info["metrics"].get(metric) is not None for _, info in records)
        ]
        rows = [
            (name, *(_cell(info["metrics"].get(metric), form) for _, metric, form in columns))
            for name, info in records
        ]
        tables.append((title, Table(("benchmark", *(name for name, _, _ in columns)), rows)))
    return tables


def unmeasured(session: Session) -> Table | None:
    """Return what could not be measured, and why: a row for each reason."""
    found: dict[str, dict[str, None]] = {}
    for _, info in _records(session):
        for metric, reason in (info.get("unmeasured") or {}).items():
            found.setdefault(reason, {})[metric] = None
    rows = [(", ".join(names), reason) for reason, names in found.items()]
    return Table(("not measured", "because"), rows, left=(0, 1)) if rows else None


def figures(session: Session) -> list[Figure]:
    """Return the figures that show all benchmarks side by side."""
    records = _records(session)
    return [
        figure
        for figure in (
            overview.phases(records),
            overview.light(records),
            overview.memory(records),
        )
        if figure
    ]


def no_light(session: Session) -> str | None:
    """Return why the distance to the speed of light isn't shown; None where it is."""
    records = _records(session)
    if overview.light(records):
        return None
    reasons = ((info.get("unmeasured") or {}).get("speed_of_light_tpot_s") for _, info in records)
    return next((reason for reason in reasons if reason), "it was not recorded")


def machine(session: Session) -> Table:
    """Return everything that is known of the machine."""
    return _table(session.machine)


def views(session: Session, artifacts: Path | None, out: Path) -> list[View]:
    """Return each benchmark; links to files of `artifacts` are relative to the page `out`."""
    cold = {
        _key(measured): measured.info
        for measured in session.measured.values()
        if "cold_process" in measured.info
    }
    return [_view(measured, cold, artifacts, out) for measured in session.measured.values()]


def _view(measured: Measured, cold: Mapping[str, Info], artifacts: Path | None, out: Path) -> View:
    info = measured.info
    validity = info.get("validity")
    first = None if "cold_process" in info else cold.get(_key(measured))
    shown = (timing.rounds(info, first), timing.gaps(info), timing.distribution(info))
    folder = artifacts / measured.fullname.rpartition("::")[2] if artifacts else None
    return View(
        name=short(measured.fullname),
        headline=_headline(info),
        valid=validity and validity["valid"],
        doubts=validity["reasons"] if validity else ("the machine was not judged",),
        notes=list(_notes(info)),
        figures=[figure for figure in (*shown, sampled.gpu(info)) if figure],
        profiles=[
            (
                phase,
                [figure] if (figure := profiles.hotspots(phase, profile)) else [],
                list(profiles.flames(folder, phase)) if folder else [],
                list(_files(folder, phase, out)) if folder else [],
            )
            for phase, profile in (info.get("profile") or {}).items()
        ],
        facts=[(title, table) for title, table in _facts(info) if table.rows],
    )


def _headline(info: Info) -> str:
    needed = ("tokens_per_s", "ttft_s")
    if any(info["metrics"].get(name) is None for name in needed):
        return ""
    return headline({"metrics": {"tpot_s": None, **info["metrics"]}})


def _notes(info: Info) -> Iterator[str]:
    if (info.get("process") or {}).get("profiled"):
        yield "Timed after a profiler had run in this process."
    for refused in info.get("refused") or ():
        reasons = (refused.get("validity") or {}).get("reasons") or ["unknown reasons"]
        yield f"Measured again, since the first rounds were refused: {'; '.join(reasons)}"
    if info.get("attestation") and (checked := _evidence(info)):
        yield f"Checked: {checked}."


def _evidence(info: Info) -> str | None:
    try:
        return evidence_line(info)
    except (
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
    ):  # of another release; the facts below have it all
        return None


def _files(folder: Path, phase: str, out: Path) -> Iterator[tuple[str, str]]:
    for end, says in FILES.items():
        path = folder / f"{phase}.{end}"
        if path.is_file():
            yield says, quote(os.path.relpath(path.resolve(), out.resolve().parent))


def _facts(info: Info) -> Iterator[tuple[str, Table]]:
    yield "Attestation: what really ran", _table(info.get("attestation") or {})
    yield "Counters", _table(info.get("counters") or {})
    validity = info.get("validity") or {}
    reasons = validity.get("unmeasured") or {}
    rows = [
        (name, units.text(name, value) if isinstance(value, (int, float)) else str(value), "")
        if value is not None
        else (name, "-", reasons.get(name, ""))
        for name, value in (validity.get("readings") or {}).items()
    ]
    yield (
        "Readings of the machine",
        Table(("reading", "value", "not measured because"), rows, (0, 2)),
    )
    yield "Workload", _table(info["workload"])


def _table(facts: Mapping[str, Any]) -> Table:
    return Table(("fact", "value"), list(_flat(facts)), left=(0, 1))


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested facts as pairs of a dotted name and a text."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _flat(part, f"{name}.{key}".lstrip("."))
    elif isinstance(value, (list, tuple)):
        yield name, ", ".join(map(str, value))[:MOST_NAME]
    else:
        yield name, "-" if value is None else str(value)[:MOST_NAME]


def _cell(value: float | None, form: Callable[[float], str]) -> str:
    return "-" if value is None else form(value)


def _records(session: Session) -> list[tuple[str, Info]]:
    return [(short(name), measured.info) for name, measured in session.measured.items()]


def _key(measured: Measured) -> str:
    return str(sorted(measured.info["workload"].items(), key=lambda pair: pair[0]))
