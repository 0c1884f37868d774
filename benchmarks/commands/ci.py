"""`python -m benchmarks ci`: what the workflow runs on the GPU: screen, decide, promote."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.commands import ci_options, ci_work, measuring
from benchmarks.commands.arguments import OF_A_JUDGEMENT, epilog, given_path
from benchmarks.common import git, interrupts
from benchmarks.common.errors import InputError
from benchmarks.common.exit_status import JUDGED, MEANS, ExitStatus
from benchmarks.config.settings import SAVED_TO
from benchmarks.environments import versions
from benchmarks.report import github
from benchmarks.sessions.outcome import Outcome
from benchmarks.sessions.session import read_session, unchecked_of
from benchmarks.sessions.storage import STORAGE
from benchmarks.verdicts import acknowledged, promotion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.sessions.comparable import Changes
    from benchmarks.sessions.session import Session

ARTIFACTS = "artifacts"
FOR_ITS_WORK = "its work decides; the machine was too busy for its times, which aren't compared"
MOST = 100  # lines of a duet in the summary
# The one-token round of a profile is the ttft_s of a duet. What isn't here, a duet doesn't measure.
DUELLED = ("round_s", "ttft_s", "tpot_s", "prefill_device_s", "decode_device_s")


EXAMPLES = """
ci --promote
ci --base origin/main --gate=work --options "--batch-size 1"
"""
STATUSES = {
    **OF_A_JUDGEMENT,
    ExitStatus.FINE: "nothing got worse; what a duet couldn't decide is a warning",
    ExitStatus.FAILED: "a benchmark failed, or something got worse (REGRESSED)",
    ExitStatus.WRONG_INPUT: "wrong input",
    ExitStatus.NOTHING_SELECTED: "--options select no benchmark",
    ExitStatus.UNDECIDED: "suspicious, and no duet could decide it",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to compare with, and what follows from it."""
    parser.epilog = epilog(EXAMPLES, STATUSES)
    parser.add_argument(
        "--base",
        metavar="REV",
        help="the branch to merge into, such as origin/main: a duet decides what looks slower, "
        "against the commit where this one branched off (default: against the commit of the "
        "newest baseline); if versions of transformers, bitsandbytes or accelerate differ, "
        "against those versions",
    )
    parser.add_argument(
        "--promote", action="store_true", help="make the session a baseline if nothing got worse"
    )
    parser.add_argument(
        "--gate",
        choices=("screen", "work"),
        default="screen",
        help="screen: work and wall times have to pass; work: counters, calls, device time, memory "
        "and agreement with 16 bits have to pass, and wall times that can't be judged are a "
        "warning, as on a busy host (default: %(default)s)",
    )
    parser.add_argument(
        "--summary",
        type=_given_file,
        metavar="FILE",
        help="append verdicts and metrics to this file, as Markdown",
    )
    parser.add_argument(
        "--options",
        default="",
        metavar="TEXT",
        help='pytest options of the session, as in "--batch-size 1,8" (default: none)',
    )


def _given_file(text: str) -> Path | None:
    """Return the file; none for an empty name, which a variable gives that isn't set."""
    return given_path(text) if text else None


def run(arguments: argparse.Namespace) -> int:
    """Return the status of the gate, or of the duet that decided in its place.

    What a duet leaves undecided is no regression: it is a warning, and status 0. What no duet could
    look at stays 11. Raises InputError for --options that can't be used.
    """
    with interrupts.interruptible():
        return _screen(arguments)


def _screen(arguments: argparse.Namespace) -> int:
    options = ci_options.words(arguments.options)
    shared = ci_options.shared(options)
    ci_options.check_mode(shared)
    summary = ["--summary", str(arguments.summary)] if arguments.summary else []
    gate = "--gate=work" if "--work-only" in options else "--gate"
    given = ["benchmarks", gate, "--benchmark-save=ci", "--artifacts", ARTIFACTS, *summary]
    work = arguments.gate == "work"
    ended, saved = measure(*given, *options, variables=ci_work.QUIET if work else {})
    if saved is None:
        return _unsaved(ended, quiet=work)
    session, status, reason = read_session(saved), ended, None
    if work:
        session = ci_work.screened(session)
        status = _by_work(session, ended)
    if status == ExitStatus.UNDECIDED:
        status, reason = _decide(session, arguments, shared)
    if arguments.promote and status in JUDGED - {ExitStatus.FAILED, ExitStatus.INVALID}:
        _promote(saved, reason, work=work)
    if status != ended:
        _conclude(ended, status, arguments.summary)
    return status


def _conclude(ended: int, status: int, summary: Path | None) -> None:
    """Say why this ends with another status than the session, and below its summary as well."""
    means = MEANS.get(status, "nothing regressed, as far as it was decided")
    says = f"the session exited with {ended}, and ci with {status}: {means}"
    print(f"ci: {says}")
    if summary:
        with summary.open("a", encoding="utf-8") as stream:
            stream.write(f"\n### In the end: {says}\n")


def measure(*options: str, variables: Mapping[str, str] | None = None) -> tuple[int, Path | None]:
    """Run a session, and return its status and its file: that which it says that it wrote."""
    with TemporaryDirectory(prefix="ci-") as folder:
        told = Path(folder) / "saved"
        status = measuring.call_module(
            "pytest", *options, variables={**(variables or {}), SAVED_TO: str(told)}
        )
        name = told.read_bytes() if told.exists() else b""
    return status, Path(os.fsdecode(name)) if name else None


def _unsaved(status: int, *, quiet: bool) -> int:
    """Return the status of a session that left no file: nothing of it can be decided.

    `quiet`: it annotated nothing itself.
    """
    if status == ExitStatus.FAILED and quiet:
        _say("error", "every benchmark failed, so that no session was saved; its log says why")
    if status == ExitStatus.UNDECIDED:
        _warn("no duet: the session was not saved; remove the option that prevents it")
    if status == ExitStatus.FINE:
        _warn("no session was saved, so nothing was judged; remove the option that prevents it")
        return ExitStatus.NOTHING_COMPARED
    return status


def _by_work(session: Session, ended: int) -> int:
    """Return the status by the verdicts on work, of a session that was judged; and annotate it."""
    for line in ci_work.annotated(session):
        print(line)
    if ended not in JUDGED:
        return ended
    if unjudged := ci_work.unjudged(session):
        _warn(f"wall times: {', '.join(unjudged)}; the work was judged all the same")
    return ci_work.status(session)


def _decide(
    session: Session, arguments: argparse.Namespace, shared: Mapping[str, str]
) -> tuple[int, str | None]:
    """Return the status that a suspicion ends with, and why it may be promoted all the same."""
    suspicious = [each for each in session.verdicts if each.get("suspicious")]
    unseen = [each for each in suspicious if each["metric"] not in DUELLED]
    doubts = [each for each in unseen if not each.get("acknowledged")]
    try:
        found = ci_options.base(session, arguments.base, Path(session.name).parent)
        if found is None:
            _warn("the same commit and versions as the newest baseline: only the machine changed")
            return ExitStatus.FINE, None  # no regression, and no session to compare others with
        if doubts and unseen == suspicious:
            _warn(f"suspicious and undecided: {_unseen(doubts)}")
            return ExitStatus.UNDECIDED, None
        options = ci_options.workload(session, shared)
        if not any(each["kind"] == "time" for each in suspicious):
            options.append("--gate=work")  # no round has to be timed
        against, status, clear = _duet(*found, options, arguments.summary)
    except InputError as error:
        _warn(f"suspicious and undecided, with no duet: {error}")
        return ExitStatus.UNDECIDED, None
    if status in (ExitStatus.FINE, ExitStatus.UNDECIDED) and doubts:
        _warn(f"suspicious and undecided: {_unseen(doubts)}")
        return ExitStatus.UNDECIDED, None
    busy = status == ExitStatus.INVALID and arguments.gate == "work"
    if status == ExitStatus.UNDECIDED or busy:
        _warn("suspicious and undecided: no regression was found, and none was ruled out")
        return ExitStatus.FINE, None
    accepted = any(each.get("acknowledged") for each in session.verdicts)
    loose = unchecked_of(session)  # which no duet makes good
    if status != ExitStatus.FINE or unseen or accepted or loose or not clear:
        return status, None
    return status, f"suspicious, but a duet against {against} found no regression"


def _duet(
    commit: str, changed: Changes, options: list[str], summary: Path | None
) -> tuple[str, int, bool]:
    """Run a duet and return what it was against, its status, and whether it found no regression.

    One that is accepted is one: it passes, and never becomes a baseline.

    Raises InputError if it can't run, or can't show what changed.
    """
    said: list[str] = []
    out = STORAGE / "duets" / measuring.own_name()
    options = [*options, f"--out={out}"]
    if acknowledged.FILE.exists():
        options.append(f"--acknowledged={acknowledged.FILE}")
    if changed:
        against = versions.requirements(changed)
        print(
            f"other versions, so the base is {against} laid over this environment; both sides "
            "run the code of this checkout"
        )
        status = measuring.call_module("benchmarks", "duet", "--base", against, *options, said=said)
    else:
        against = commit[:12]
        with git.worktree(Path.cwd(), os.environ, commit, ci_options.HISTORY) as folder:
            status = measuring.call_module(
                "benchmarks", "duet", "--base", str(folder), *options, said=said
            )
    if summary:
        _append(summary, f"### Duet against {against}", said)
    if status not in JUDGED:
        raise InputError(
            f"that against {against} ended with status {status}, before it could decide; its last "
            "lines say why"
        )
    return against, status, _is_clear(out / "verdicts.json")


def _is_clear(verdicts: Path) -> bool:
    try:
        found = json.loads(verdicts.read_text(encoding="utf-8"))["verdicts"]
    except (OSError, ValueError, LookupError):
        return False
    return all(each["outcome"] != Outcome.REGRESSED.value for each in found)


def _unseen(verdicts: list[Mapping[str, Any]]) -> str:
    """Return what no duet measures, and what to do about it."""
    names = ", ".join(f"{each['benchmark']} {each['metric']}" for each in verdicts)
    return f"{names}: no duet measures it; look at it, and measure again on a quiet machine"


def _promote(path: Path, reason: str | None, *, work: bool) -> None:
    """Promote a session; if it is refused (suspicious, an acknowledged regression), say so.

    `work`: its work decides. Then it is a baseline of work though the machine was busy, as it is
    every night on some; its times are compared with none.
    """
    try:
        promotion.promote(path, reason=reason, for_its_work=FOR_ITS_WORK if work else None)
    except InputError as error:
        _warn(f"not promoted: {error}")
    else:
        print(f"promoted: {path}")


def _append(summary: Path, title: str, said: list[str]) -> None:
    """Add the end of what was said to the summary; indented, so that nothing in it is Markdown."""
    shown = [line for line in said if not line.startswith("::")]  # no annotations
    with summary.open("a", encoding="utf-8") as stream:
        stream.write("\n".join(["", title, "", *(f"    {line}" for line in shown[-MOST:]), ""]))


def _warn(text: str) -> None:
    _say("warning", text)


def _say(level: str, text: str) -> None:
    """Say it; on GitHub as an annotation that is seen without opening the log."""
    on_github = os.environ.get("GITHUB_ACTIONS") == "true"
    print(github.annotation(level, text) if on_github else text)
