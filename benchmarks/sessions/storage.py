"""The files of saved sessions: each is whole or not there, and none ever replaces another.

pytest-benchmark looks for the next number and then writes in place: of two processes that save
at once one can overwrite the other or fail, and a kill leaves half a file. So the suite writes
its sessions itself, in pytest-benchmark's format and under its names.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from uuid import uuid4

from filelock import FileLock, Timeout

from benchmarks.common import files
from benchmarks.common.errors import InputError
from benchmarks.common.files import of_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

NUMBERED = re.compile(r"(\d{4,})_(.+)\.json", re.DOTALL)  # a name may have several lines
WAIT_S = 60  # for another process that saves; it takes milliseconds

STORAGE = Path(".benchmarks")

PLACE = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # not on this machine; C:/ is
FORMAT: dict[str, Any] = {"indent": 4, "ensure_ascii": True, "allow_nan": False}

DEFAULT_STORAGE = "file://./.benchmarks"  # pytest-benchmark's


def folder_of(address: str) -> Path:
    """Return the folder that an address of sessions means, as of --benchmark-storage.

    Raises InputError for any other place: the gate and the report read files.
    """
    if address.lower().startswith("file:"):  # then the host, which is this one, and the path
        address = re.sub(r"^//(localhost(?=/))?", "", address[len("file:") :])
    elif PLACE.match(address):
        shown = re.sub(r"[^/,@]*@", "", address)  # without credentials
        raise InputError(
            f"expected a folder, got {shown}; sessions are files here, which "
            "the gate and the report read: save them in a folder, and copy them from there"
        )
    folder = files.given(address)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"expected a folder, got the file {folder}")
    return folder


def save(folder: Path, name: str, content: Mapping[str, Any], *, wait_s: float = WAIT_S) -> Path:
    """Store a session under the folder's next number, and return its file, `0001_NAME.json`.

    Raises InputError if the folder can't be written, or another process blocks it for longer
    than `wait_s`; the file in which the session is complete is then named.
    """
    return _store(folder, content, wait_s, lambda: free_path(folder, name))


def add(path: Path, content: Mapping[str, Any], *, wait_s: float = WAIT_S) -> Path:
    """Store a session in this file, or under the next number if there is one; return where.

    Raises InputError as `save` does.
    """
    numbered = NUMBERED.fullmatch(path.name)
    name = numbered[2] if numbered else path.stem
    return _store(
        path.parent,
        content,
        wait_s,
        lambda: free_path(path.parent, name) if path.exists() else path,
    )


def _store(
    folder: Path, content: Mapping[str, Any], wait_s: float, where: Callable[[], Path]
) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = _write(_hidden(folder), content)
        with _locked(folder, wait_s, f"the session is complete in {written}"):
            path = where()
            written.replace(path)
            _sync_folder(folder)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return path


def check(folder: Path, name: str) -> None:
    """Find out before hours of measuring whether a session can be saved there, under this name.

    Raises InputError if not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(_hidden(folder), {}).unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        path = free_path(folder, name)
        hidden = path.with_name(f".{path.name[1:]}")  # as long, of the same characters
        _write(hidden, {}).unlink(missing_ok=True)  # of two that check at once
    except OSError as error:
        raise InputError(
            f"--benchmark-save: expected a name that this disk can hold, got one of {len(name)} "
            f"characters ({error.strerror}); choose a shorter or a plainer one"
        ) from error


def free_path(folder: Path, name: str) -> Path:
    """Return the file with the folder's next number."""
    numbers = [int(found[1]) for each in folder.iterdir() if (found := NUMBERED.match(each.name))]
    return folder / f"{max(numbers, default=0) + 1:04}_{name}.json"


def change(path: Path, edit: Callable[[dict[str, Any]], None], *, wait_s: float = WAIT_S) -> None:
    """Let `edit` change the content of a stored file, which is replaced as a whole.

    Mode and every other key stay as they are. Processes that change one file do so one after
    the other, so that no change is lost. A link still leads to the file, which is what changes.
    Raises InputError as `save` does.
    """
    try:
        path = path.resolve()
        with _locked(path.parent, wait_s, "nothing was changed"):
            content = json.loads(path.read_text(encoding="utf-8"))
            edit(content)
            mode = path.stat().st_mode
            written = _write(_hidden(path.parent), content, mode)
            written.replace(path)
            _sync_folder(path.parent)
    except OSError as error:
        raise InputError(
            f"{path}: can't change it ({error.strerror}); check the permissions of its folder"
        ) from error


def _hidden(folder: Path) -> Path:
    """Return a file that nobody reads, for what is on its way: its name is short and its own."""
    return folder / f".{uuid4().hex}.tmp"


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(
        f"{folder}: expected a folder in which sessions can be saved; {error.strerror}; "
        "check its permissions and the disk, or choose another one with --benchmark-storage"
    )


def _write(path: Path, content: Mapping[str, Any], mode: int | None = None) -> Path:
    """Write a hidden file that nothing reads yet, down to the disk; leave none where that fails."""
    try:
        with path.open("w", encoding="ascii") as stream:
            dump(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        if mode is not None:
            path.chmod(mode)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


@contextmanager
def _locked(folder: Path, wait_s: float, meanwhile: str) -> Iterator[None]:
    """Keep other processes of the suite from the folder; the system unlocks it if one dies."""
    lock = FileLock(folder / ".lock", timeout=wait_s)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"{folder}: another process kept {lock.lock_file} for {wait_s:g} s; {meanwhile}; "
            "end that process and try again"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _sync_folder(folder: Path) -> None:
    """Put the folder's entries on the disk as well, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # some network file systems can't
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def dump(content: Mapping[str, Any], stream: TextIO) -> None:
    """Write a session as pytest-benchmark does; a thinned one without blanks, as there are many."""
    thinned = (content.get("llm_int8") or {}).get("thinned")
    how = FORMAT | {"indent": None, "separators": (",", ":")} if thinned else FORMAT
    json.dump(of_numbers(content), stream, default=_unserializable, **how)


def _unserializable(value: Any) -> str:
    return f"UNSERIALIZABLE[{value!r}]"  # as pytest-benchmark writes what JSON can't hold
