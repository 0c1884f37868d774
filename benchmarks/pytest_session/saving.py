"""How a session is saved: what pytest-benchmark's hooks make of it, in a file written by us."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.common.errors import InputError
from benchmarks.config.settings import SAVED_TO
from benchmarks.machine import identity
from benchmarks.pytest_session.state import state_of
from benchmarks.sessions import commit, storage
from benchmarks.sessions.storage import DEFAULT_STORAGE


def take_over(config: pytest.Config) -> None:
    """Take the saving from pytest-benchmark, and let it look into this machine's folder.

    Called before it reads its options. A storage that the user gave wins, and one that is no
    folder (elasticsearch) stays pytest-benchmark's own.
    """
    option, state = config.option, state_of(config)
    if option.benchmark_storage == DEFAULT_STORAGE and not (option.help or option.collectonly):
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        name = identity.folder_name(state.settings.device, visible)
        option.benchmark_storage = f"{DEFAULT_STORAGE}/{name}"
    name = option.benchmark_save or option.benchmark_autosave
    if name and (place := folder(config)):
        state.save = place, name
        option.benchmark_save = option.benchmark_autosave = None


def folder(config: pytest.Config) -> Path | None:
    """Return where sessions are stored, or None if that is no folder."""
    place = config.option.benchmark_storage.removeprefix("file://")
    return None if "://" in place else Path(place)


def check(config: pytest.Config) -> None:
    """Raise InputError if the session, once measured, could not be saved, or not say where."""
    if save := state_of(config).save:
        storage.check(save[0])
        _tell(state_of(config).settings.saved_to, b"")


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
    commit_info = hook.pytest_benchmark_generate_commit_info(config=config)
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
    """Save what was measured where that was asked for, and keep the line that says so.

    A session that can't be saved ends by pytest's status of an internal error, unless it already
    ends by another one.
    """
    state = state_of(session.config)
    if not state.save or session.config.option.benchmark_disable:
        return
    try:
        if found:
            state.file = storage.save(*state.save, found)
            state.saved = f"saved: {state.file}"
            _tell(state.settings.saved_to, os.fsencode(state.file))
            if why := commit.why_unknown(found.get("commit_info") or {}):
                says = "commit unknown, so that no other session counts as the same code"
                state.unversioned = f"{says}: {why}"
        else:
            state.saved = "not saved: no benchmark was measured"
    except InputError as error:
        state.saved = f"{state.saved or 'NOT SAVED'}: {error}"
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


def _tell(file: Path | None, name: bytes) -> None:
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
    if state.file:
        try:
            storage.change(state.file, edit)
        except InputError as error:
            state.saved = f"SAVED AS PASSED: {error}"
