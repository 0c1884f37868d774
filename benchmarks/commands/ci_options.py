"""What a session of `ci`, and the duet after it, are asked for: options, a commit, versions."""

from __future__ import annotations

import argparse
import os
import shlex
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from benchmarks.commands import measuring
from benchmarks.common import git, packages
from benchmarks.common.errors import InputError
from benchmarks.config import models
from benchmarks.config.options import OPTIONS, TENSOR
from benchmarks.environments import versions
from benchmarks.sessions import baseline, commit, comparable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.sessions.comparable import Changes
    from benchmarks.sessions.session import Session

HISTORY = "check the base out with its history (fetch-depth)"


def words(text: str) -> list[str]:
    """Split --options as a shell does. Raises InputError if a shell would ask for more."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InputError(
            f"--options: expected words as in a shell, got {text!r} ({error}); close the quotes"
        ) from error


NOT_FOLLOWED = {  # what a session may be given, but not by `ci`, which would go on without it
    "--summary": "give it to ci itself, whose duet adds to it",
    "--replicas": "a duet has one process a side, and can't decide on them: use pytest --gate",
    "--benchmark-compare": "ci judges, and chooses its duet, by promoted baselines: promote it",
}


class _Options(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"--options: {message}; see python -m pytest benchmarks --help")


def shared(options: list[str]) -> dict[str, str]:
    """Return those of the options that a duet takes as well; the others are pytest's alone.

    Raises InputError for options without their value, and for those that `ci` can't follow.
    """
    parser = _Options(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    for option in OPTIONS:
        if option.name not in measuring.NOT_OURS:
            parser.add_argument(option.name, dest=option.name)
    for name in NOT_FOLLOWED:
        parser.add_argument(name, dest=name, nargs="?")
    found = vars(parser.parse_known_args(options)[0])
    models.check_one(models.named(found.get("--model")), measuring.ONE_MODEL)
    for name, step in NOT_FOLLOWED.items():
        if value := found.pop(name, None):
            raise InputError(f"--options: expected no {name}, got {name}={value}; {step}")
    if found.get("--device-map") == TENSOR:
        raise InputError(
            f"--options: expected no --device-map={TENSOR}; {measuring.ONE_PROCESS}: pytest --gate"
        )
    return found


def check_mode(shared: Mapping[str, str]) -> None:
    """Raise InputError for a session of several generation modes: a duet of `ci` plays one."""
    if len(modes := shared.get("--generation", "").split(",")) > 1:
        raise InputError(
            f"--options: expected one --generation, got {', '.join(modes)}: the duet that decides "
            "plays one mode; run ci once for each"
        )


def workload(session: Session, shared: Mapping[str, str]) -> list[str]:
    """Return the options of a duet that measures what the session did, and not its own default."""
    lengths = [int(each.workload.get("new_tokens") or 0) for each in session.measured.values()]
    longest = max(lengths, default=0)  # throughput's: a profile has a single token
    given = {"--new-tokens": str(longest), **shared} if longest else shared
    return [f"{name}={value}" for name, value in given.items()]


def base(session: Session, revision: str | None, storage: Path) -> tuple[str, Changes] | None:
    """Return the commit that a duet compares with, and the versions that differ from its own.

    That is where a revision forked off, or the newest baseline in the storage. None if both are
    those of the session. Raises InputError if they can't be known.
    """
    if not revision:
        return _newest(session, storage)
    installed = {name: metadata.version(name) for name in packages.COMPARED}
    here, variables = Path.cwd(), os.environ
    fork = git.run_git(here, variables, "merge-base", revision, "HEAD", next_step=HISTORY)
    pins = git.run_git(here, variables, "show", f"{fork}:constraints.txt", next_step=HISTORY)
    return fork, versions.of_pins(pins, installed)


def _newest(session: Session, storage: Path) -> tuple[str, Changes] | None:
    found = baseline.baselines(baseline.stored(storage).sessions, session)
    if not found:
        raise InputError("there is no baseline; name what to compare with --base")
    newest = found[-1]
    if not (then := commit.known(newest)):
        raise InputError(
            f"the commit of the newest baseline is unknown, {newest.name} "
            f"({commit.why_unknown(newest.commit)}); name what to compare with --base"
        )
    changed = comparable.changed_versions(newest, session)
    if not changed and (builds := commit.other_builds(newest, session)):
        raise InputError(
            f"{', '.join(builds)}: the same version, but another build or an unknown one, which no "
            "duet can lay over; compare two environments by hand"
        )
    return None if commit.code(newest) == commit.code(session) else (then, changed)
