"""How a session is saved: what pytest-benchmark's hooks make of it, in a file written by us."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.common import files, git
from benchmarks.common.errors import InputError
from benchmarks.common.text import COLUMNS
from benchmarks.config.settings import SAVED_TO
from benchmarks.machine import identity
from benchmarks.pytest_session.state import SessionState, state_of
from benchmarks.sessions import commit, storage
from benchmarks.sessions.storage import DEFAULT_STORAGE

FILE = "file://"


def take_over(config: pytest.Config) -> None:
    """Take the saving from pytest-benchmark, and let it look into this machine's folder.

    Called before it reads its options. A storage that the user gave wins. Raises InputError for
    one that is no folder, where pytest-benchmark would fail, or make a folder of that name.
    """
    option, state = config.option, state_of(config)
    place = option.benchmark_storage
    if place == DEFAULT_STORAGE and not (option.help or option.collectonly):
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        place = f"{place}/{identity.folder_name(state.settings.device, visible)}"
    try:
        option.benchmark_storage = f"{FILE}{storage.folder_of(place)}"
    except InputError as error:
        raise InputError(f"--benchmark-storage: {error}") from error
    if name := option.benchmark_save or option.benchmark_autosave:
        state.save = folder(config), name
        option.benchmark_save = option.benchmark_autosave = None
    if option.benchmark_json:
        state.json, option.benchmark_json = files.given(str(option.benchmark_json)), None


def folder(config: pytest.Config) -> Path:
    """Return where sessions are stored."""
    return Path(config.option.benchmark_storage.removeprefix(FILE))


def content(config: pytest.Config) -> dict[str, Any] | None:
    """Return what is saved of this session, or None if nothing was measured.

    It goes through the hooks that pytest-benchmark offers for it, in its order, and once: asking
    for the CPU and the commit takes a second.
    """
    state = state_of(config)
    if state.content:
        return state.content
    measured = [each.stats for each in state.benchmarks if each.stats]
    if all(each.has_error for each in measured):
        return None
    hook = config.hook
    machine_info = hook.pytest_benchmark_generate_machine_info(config=config)
    hook.pytest_benchmark_update_machine_info(config=config, machine_info=machine_info)
    with commit.asked_of(commit.SUITE):
        found = hook.pytest_benchmark_generate_commit_info(config=config) | git.published()
    commit_info = commit.if_the_suites(found)
    hook.pytest_benchmark_update_commit_info(config=config, commit_info=commit_info)
    output: dict[str, Any] = hook.pytest_benchmark_generate_json(
        config=config,
        benchmarks=measured,
        include_data=True,
        machine_info=machine_info,
        commit_info=commit_info,
    )
    hook.pytest_benchmark_update_json(config=config, benchmarks=measured, output_json=output)
    state.content = output
    return output


def finish(session: pytest.Session, found: dict[str, Any] | None) -> None:
    """Save what was measured, if that was asked for, and keep the lines that say so.

    A session that can't be saved exits with pytest's status of an internal error, unless it already
    exits with another one.
    """
    state = state_of(session.config)
    if not (state.save or state.json) or session.config.option.benchmark_disable:
        return
    if not found:
        state.saved.append("not saved: no benchmark was measured")
        return
    for save in (_store, _write_json):
        try:
            if path := save(state, found):
                state.saved += where(path)
        except InputError as error:
            state.saved.append(f"NOT SAVED: {error}")
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


def _store(state: SessionState, found: dict[str, Any]) -> Path | None:
    if state.save:
        state.file = storage.save(*state.save, found)
        tell(state.settings.saved_to, os.fsencode(state.file))
        if why := commit.why_unknown(found.get("commit_info") or {}):
            says = "commit unknown, so that no other session counts as the same code"
            state.unversioned = f"{says}: {why}"
    return state.file


def where(path: Path) -> list[str]:
    """Say where a file is: in a line, or its name below its folder if a line doesn't hold both.

    An absolute path stays whole: it was given, and is copied.
    """
    line = f"saved: {path}"
    if len(line) <= COLUMNS or path.is_absolute():
        return [line]
    return [f"saved in {path.parent}:", f"    {path.name}"]


def _write_json(state: SessionState, found: dict[str, Any]) -> Path | None:
    """Write the file of --benchmark-json, as a whole; one that can't be isn't tried again."""
    path, state.json = state.json, None
    if path:
        with files.whole(path, "the JSON of --benchmark-json") as file:
            storage.dump(found, file)
        state.json = path
    return path


def tell(file: Path | None, name: bytes) -> None:
    """Write the name of what was saved into the file that whoever started this session reads."""
    try:
        if file:
            file.write_bytes(name)
    except OSError as error:
        raise InputError(
            f"{SAVED_TO}={file}: can't write it ({error.strerror}); check its folder"
        ) from error


def end_with(config: pytest.Config, status: int) -> None:
    """Let a session that was saved end with another status, and say so in its file."""
    state = state_of(config)
    if state.session is None or status == state.status:
        return
    state.session.exitstatus = status

    def edit(content: dict[str, Any]) -> None:
        content["llm_int8"]["exit_status"] = status
        content["llm_int8"]["passed"] &= status != pytest.ExitCode.TESTS_FAILED

    edit({"llm_int8": state.outcome})  # which the content of a report has as well
    try:
        if state.file:
            storage.change(state.file, edit)
        if state.content:
            _write_json(state, state.content)
    except InputError as error:
        state.saved.append(f"SAVED AS PASSED: {error}")
