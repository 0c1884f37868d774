"""`python -m benchmarks history`: the change points of stored sessions, the newest first."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.commands.arguments import add_sessions, epilog, given_path
from benchmarks.common.errors import InputError
from benchmarks.common.exit_status import ExitStatus
from benchmarks.common.files import append, as_json, check, whole
from benchmarks.common.text import count
from benchmarks.config import values
from benchmarks.history import change_points, levels, series
from benchmarks.report import change_points as shown
from benchmarks.sessions import baseline, measures
from benchmarks.sessions.session import read_session

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from benchmarks.history.change_points import ChangePoint
    from benchmarks.history.series import Series
    from benchmarks.sessions.session import Session

JSON = "the change points"
EXAMPLES = """
history .benchmarks
history --metric decode_device_s --fail-on-new 5
history --summary summary.md
"""
STATUSES = {
    ExitStatus.FINE: "nothing got worse, or none of it within the last N sessions",
    ExitStatus.FAILED: "a metric got worse within the last N sessions (--fail-on-new)",
    ExitStatus.WRONG_INPUT: "wrong input; nothing was read",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which sessions and metrics, and what fails."""
    parser.epilog = epilog(EXAMPLES, STATUSES)
    add_sessions(parser)
    parser.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME",
        help="only this metric, as in decode_device_s; may be given again (default: those that "
        "sessions are judged by)",
    )
    parser.add_argument("--json", type=given_path, metavar="OUT", help="write them there as well")
    parser.add_argument(
        "--summary", type=given_path, metavar="FILE", help="append Markdown to this file"
    )
    parser.add_argument(
        "--fail-on-new",
        metavar="N",
        help="exit with 1 if a metric got worse within its last N sessions; a change of a time "
        "shows from its second session on, a small one later",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the change points, write what was asked for, and return the exit status."""
    newest = _newest(arguments.fail_on_new)
    levels.check()
    if arguments.json:
        check(arguments.json, JSON)
    sessions, notes = _read(arguments.paths)
    every = series.gather(sessions)
    _check_metrics(arguments.metric, every)
    points = change_points.of_series(every, arguments.metric)
    new = [each for each in points if each.is_regression and each.since <= newest]
    notes += [_counts(points, every, arguments.metric), *_fails(new, newest)]
    for line in shown.lines(points, notes):
        print(line)
    status = ExitStatus.FAILED if new else ExitStatus.FINE
    if arguments.summary:
        append(arguments.summary, shown.markdown(points, notes), "--summary")
    if arguments.json:
        record = {"exit_status": status, "change_points": [each.as_record() for each in points]}
        with whole(arguments.json, JSON) as file:
            file.write(as_json(record, indent=1) + "\n")
    return status


def _newest(given: str | None) -> int:
    """Return how many sessions are new; 0 if nothing fails."""
    return values.count("--fail-on-new", given) if given is not None else 0


def _read(paths: Sequence[Path]) -> tuple[list[Session], list[str]]:
    """Return the sessions of files and folders, each once, and a line for each that is none.

    Raises InputError if a path doesn't exist, or if there is no session at all.
    """
    found: dict[str, Session] = {}
    notes: list[str] = []
    for path in paths:
        if path.is_dir():
            stored = baseline.stored(path)
            found |= {str(Path(each.name).resolve()): each for each in stored.sessions}
            notes += (*stored.damaged, *stored.ahead)
        elif path.exists():
            found[str(path.resolve())] = baseline.own(read_session(path))
        else:
            raise InputError(
                f"{path}: expected a saved session or a folder of them, got nothing there; save "
                "one with pytest benchmarks --benchmark-save=NAME, or correct the path"
            )
    if not found:
        says = f": {notes[0]}" if notes else f" below {', '.join(map(str, paths))}"
        raise InputError(f"expected saved sessions, got none{says}")
    return list(found.values()), notes


def _check_metrics(wanted: Sequence[str], every: Sequence[Series]) -> None:
    """Refuse a name that no series has, since what is mistyped would never change, and a fact."""
    known = sorted({each.metric for each in every})
    for name in wanted:
        if name in measures.FACTS:
            raise InputError(
                f"--metric {name}: neither more nor less of it is better, so its history has no "
                "change points; the page draws it, and the times that it is made of have some"
            )
        if name not in known:
            (near,) = get_close_matches(name, known, n=1, cutoff=0) or ["none"]
            raise InputError(f"--metric {name}: no session has it; the nearest is {near}")


def _counts(points: Sequence[ChangePoint], every: Sequence[Series], metrics: Sequence[str]) -> str:
    looked = change_points.wanted(every, metrics)
    longest = max((len(each.values) for each in looked), default=0)
    worse = sum(each.is_regression for each in points)
    return (
        f"{count(len(points), 'change point')} in {len(looked)} series of up to "
        f"{count(longest, 'session')}: {worse} worse, {len(points) - worse} better"
    )


def _fails(new: Sequence[ChangePoint], newest: int) -> list[str]:
    if not newest:
        return []
    found = f"{len(new)} of them" if new else "none"
    return [f"worse within the last {count(newest, 'session')}: {found}"]
