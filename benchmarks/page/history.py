"""Each metric over the stored sessions of one machine and workload, ready for the page's script."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.common.packages import in_short
from benchmarks.history import levels
from benchmarks.page.changes import changes
from benchmarks.page.figures import over_time
from benchmarks.page.labels import (
    commit_label,
    machine_label,
    workload_label,
)
from benchmarks.report import columns
from benchmarks.sessions import baseline, commit, comparable, measures
from benchmarks.verdicts import times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.history.series import Place
    from benchmarks.page.changes import Changes
    from benchmarks.sessions.session import Measured, Session

# Values that a page holds, some 5.4 bytes each; a benchmark that is shown whole costs as much as
# WHOLE_BENCHMARK of them. So a page stays below 3 MB.
MOST_VALUES = 240_000
WHOLE_BENCHMARK = 5_000
LEAST_VALUES = 10_000
DIGITS = 5
ROUNDS = ("round_s", "cold_round_s")
PER_PHASE = {"decode": "a step", "prefill": "a prefill"}


def history(sessions: Sequence[Session]) -> dict[str, Any] | None:
    """Return series by machine and workload, oldest session first; None for fewer than two.

    Of more sessions than a page holds the newest are kept; `left_out` says how many aren't.
    """
    sessions = [each for each in sessions if not each.duet]
    if len(sessions) < 2:
        return None
    kept, changed = _newest(sessions), changes(sessions)
    groups: dict[Place, list[tuple[int, Measured]]] = {}
    for n, session in enumerate(kept):
        for measured in session.measured.values():
            key = comparable.machine_key(session), comparable.workload_key(measured)
            groups.setdefault(key, []).append((n, measured))
    machines = _labels(
        {key: machine_label(kept[found[0][0]]) for (key, _), found in groups.items()}
    )
    workloads = _labels({key: workload_label(found[0][1]) for (_, key), found in groups.items()})
    series = [
        {
            "machine": machines[place[0]],
            "workload": workloads[place[1]],
            "sessions": [n for n, _ in found],
            **_of_place([(kept[n], measured) for n, measured in found], changed.get(place, {})),
        }
        for place, found in groups.items()
    ]
    return {
        "sessions": [_describe(session) for session in kept],
        "series": sorted(series, key=_first_choice),
        "spec": over_time.spec(),
        "left_out": len(sessions) - len(kept),
        "split": levels.can_split(),
    }


def _of_place(
    found: Sequence[tuple[Session, Measured]], changed: Mapping[str, Changes]
) -> dict[str, Any]:
    """Return what is shown of the sessions of one place, oldest first."""
    number = {session.name: n for n, (session, _) in enumerate(found)}
    columns = _columns(found)
    for column in columns:
        known = changed.get(column["name"], ())
        column["changes"] = [(number[name], says) for name, says in known if name in number]
    return {
        "marks": [_standing(session) for session, _ in found],
        "levels": _levels(found),
        "doubts": _doubts([measured for _, measured in found]),
        "metrics": columns,
    }


def _first_choice(series: Mapping[str, Any]) -> tuple[int, bool]:
    """Return what series are sorted by: the longest first, and of these the throughput."""
    return -len(series["sessions"]), not series["workload"].startswith("throughput[")


def _newest(sessions: Sequence[Session]) -> list[Session]:
    """Return the newest sessions whose values a page holds."""
    kept: list[Session] = []
    room = max(LEAST_VALUES, MOST_VALUES - WHOLE_BENCHMARK * len(sessions[-1].measured))
    for session in reversed(sessions):
        room -= sum(len(measures.values(measured)) for measured in session.measured.values())
        if room < 0:
            break
        kept.append(session)
    return kept[::-1]


def _labels(names: Mapping[str, str]) -> dict[str, str]:
    """Return a label for each key; those that several keys have in common are numbered."""
    seen: dict[str, int] = {}
    labels = {}
    for key, label in names.items():
        seen[label] = seen.get(label, 0) + 1
        labels[key] = label if seen[label] == 1 else f"{label} ({seen[label]})"
    return labels


def _columns(found: Sequence[tuple[Session, Measured]]) -> list[dict[str, Any]]:
    """Return a column of values for each metric, with its own marks.

    One number if they are all the same, and none is marked.
    """
    rows = [measures.values(measured) for _, measured in found]
    marks = [_marks(session, measured) for session, measured in found]
    names = [name for name in columns.METRICS if any(name in row for row in rows)]
    names.sort(key=ROUNDS.__contains__)  # stable: throughput is the first choice
    names += sorted({name for row in rows for name in row} - set(names))
    series = []
    for name in names:
        column = [row.get(name) for row in rows]
        present = [value for value in column if value is not None]
        unit = columns.unit(name, [median(present)])
        scaled = [
            None if value is None else float(f"{value / unit.factor:.{DIGITS}g}")
            for value in column
        ]
        marked = {n: each[name] for n, each in enumerate(marks) if name in each}
        same = len(set(scaled)) == 1 and not marked
        series.append(
            {
                "name": name,
                "title": columns.title(name),
                "unit": unit.name or PER_PHASE.get(name.partition(".")[0], ""),
                "digits": 0 if "." in name else 5 if "device" in name else 4,
                "values": scaled[0] if same else scaled,
                "domain": None if same else _domain(name, scaled),
                "of_the_wall": measures.is_of_the_wall(name),
                "marks": marked,
            }
        )
    return series


def _domain(name: str, values: Sequence[float | None]) -> tuple[float, float]:
    """Return the ends of the axis of values: a change that nothing reports doesn't fill it."""
    present = [value for value in values if value is not None]
    middle = median(present)
    room = times.limits(name).floor * abs(middle)
    return min(*present, middle - room), max(*present, middle + room)


def _marks(session: Session, measured: Measured) -> dict[str, tuple[str, str]]:
    """Return how a session is marked for the metrics of a benchmark that were judged, and why."""
    regressed: dict[str, list[str]] = {}
    accepted: dict[str, list[str]] = {}
    for each in session.verdicts:
        if each["benchmark"] != measured.fullname:
            continue
        metric, reason = each["metric"], each["acknowledged"]
        if reason:
            accepted.setdefault(measures.name_of(metric), []).append(f"{metric}: {reason}")
        elif each["outcome"] == "REGRESSED":
            says = f"{metric} {columns.change(each['change'])}"
            regressed.setdefault(measures.name_of(metric), []).append(says)
    doubts = columns.doubts(measured.info)
    invalid = dict.fromkeys(measures.DEVICE_TIMES.values(), doubts) if doubts else {}
    if measured.doubts:  # then its times of the wall are marked by that
        wall = measures.is_of_the_wall
        accepted = {name: each for name, each in accepted.items() if not wall(name)}
    strongest_last = (("acknowledged", accepted), ("INVALID", invalid), ("REGRESSED", regressed))
    return {
        name: (mark, "; ".join(why))
        for mark, marked in strongest_last
        for name, why in marked.items()
    }


def _doubts(measured: Sequence[Measured]) -> dict[int, tuple[str, str]]:
    """Return why times of the wall can't be trusted, by the number of the session."""
    return {
        n: ("INVALID", "; ".join(each.doubts)) for n, each in enumerate(measured) if each.doubts
    }


def _standing(session: Session) -> tuple[str, str]:
    """Return how a session is marked whatever was judged: as a baseline, or as any other."""
    if "passed" in session.saved and baseline.is_baseline(session):
        forced = session.promoted.get("forced")
        return ("forced", f"promoted although refused: {forced}") if forced else ("baseline", "")
    return "session", ""


def _levels(found: Sequence[tuple[Session, Measured]]) -> list[tuple[int, str]]:
    """Return where another level of the baselines began, and how: as `baseline.baselines` has it.

    That is where a session was promoted whose own verdicts on the benchmark say so.
    """
    begun = []
    for n, (session, measured) in enumerate(found):
        said = {v["outcome"] for v in session.verdicts if v["benchmark"] == measured.fullname}
        if _standing(session)[0] == "session" or not said & {"REGRESSED", "IMPROVED"}:
            continue
        word = "accepted" if "REGRESSED" in said else "improved"
        begun.append((n, "forced" if session.promoted.get("forced") else word))
    return begun


def _describe(session: Session) -> dict[str, str]:
    return {
        "name": session.name.rpartition("/")[2],
        "when": session.when[:19].replace("T", " "),
        "commit": commit_label(session),
        "versions": in_short(session.software),
    } | ({"page": page} if (page := commit.page(session)) else {})
