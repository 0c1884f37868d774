"""Files of saved sessions are whole or not there, and none replaces another."""

import contextlib
import json
import math
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.common import files
from benchmarks.common.errors import InputError
from benchmarks.sessions import storage
from tests.waiting import PATIENCE_S

SAVER = """
import os, sys
from pathlib import Path
from benchmarks.sessions import storage
free_path = storage.free_path
def and_let_others_run(*place):
    path = free_path(*place)
    for _ in range(20):
        os.sched_yield()
    return path
storage.free_path = and_let_others_run  # the moment in which two would find the same number
folder, mine = Path(sys.argv[1]), sys.argv[2]
print(flush=True); input()
for number in range(5):
    storage.save(folder, "same", {"from": mine, "number": number})
"""
CHANGER = """
import sys
from pathlib import Path
from benchmarks.sessions import storage
path, mine = Path(sys.argv[1]), sys.argv[2]
print(flush=True); input()
for number in range(5):
    storage.change(path, lambda content: content["changes"].append(f"{mine} {number}"))
"""
HALF = """
import sys
from pathlib import Path
from benchmarks.sessions import storage
class Endless:
    def __repr__(self):
        print("half", flush=True); input()
print(flush=True); input()
storage.save(Path(sys.argv[1]), "half", {"rounds": [0.5] * 10_000, "more": Endless()})
"""
HOLDER = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print(flush=True); input()
"""


@contextlib.contextmanager
def started(script, *arguments):
    """Run a script in a process of its own, which waits for a line before it begins."""
    with subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "\n"
        yield process


def at_once(script, target, processes=4):
    """Let several processes begin together, and wait for them."""
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(started(script, target, i)) for i in range(processes)]
        for process in running:
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.wait(PATIENCE_S) for process in running] == [0] * processes


def sessions_in(folder):
    """Return the content of each stored file by its name."""
    return {path.name: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def test_a_session_gets_the_next_number_as_pytest_benchmark_counts(tmp_path):
    """Numbers go on from the largest one, whatever the names are, and gaps are not filled."""
    assert storage.save(tmp_path / "a/b", "x", {}) == tmp_path / "a/b/0001_x.json"
    (tmp_path / "a/b/0007_other.json").write_text("{}")
    (tmp_path / "a/b/notes.json").write_text("{}")
    assert storage.save(tmp_path / "a/b", "x", {"a": 1}).name == "0008_x.json"
    assert storage.save(tmp_path / "a/b", "x", {}).name == "0009_x.json"
    assert json.loads((tmp_path / "a/b/0008_x.json").read_text()) == {"a": 1}


def test_processes_that_save_at_once_lose_nothing(tmp_path):
    """Of four processes that save under one name, every session has a number of its own."""
    at_once(SAVER, tmp_path)
    saved = sessions_in(tmp_path)
    assert list(saved) == [f"{number:04}_same.json" for number in range(1, 21)]
    found = {(each["from"], each["number"]) for each in saved.values()}
    assert found == {(str(i), number) for i in range(4) for number in range(5)}


def test_processes_that_change_one_file_at_once_lose_nothing(tmp_path):
    """Each change is made on the result of the others."""
    path = storage.save(tmp_path, "x", {"changes": []})
    at_once(CHANGER, path)
    changes = json.loads(path.read_text())["changes"]
    assert sorted(changes) == sorted(f"{i} {number}" for i in range(4) for number in range(5))


def test_a_kill_in_the_middle_of_saving_leaves_no_half_file(tmp_path):
    """After SIGKILL no file passes for a session, the folder isn't blocked, and others save."""
    storage.save(tmp_path, "before", {"a": 1})
    with started(HALF, tmp_path) as process:
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == "half\n"
        (half,) = tmp_path.glob(".*.tmp")
        assert half.stat().st_size > 2**16
        process.kill()
    assert list(sessions_in(tmp_path)) == ["0001_before.json"]
    assert storage.save(tmp_path, "after", {}, wait_s=PATIENCE_S).name == "0002_after.json"


def test_changing_keeps_the_rest_and_the_mode(tmp_path):
    """A change of one key leaves every other byte and the permissions as they were."""
    content = {"benchmarks": [{"stats": {"data": [0.1 + 0.2, 1e-9]}}], "name": "\u00fc", "mark": 1}
    path = storage.save(tmp_path, "x", content)
    path.chmod(0o640)
    before = path.read_text()
    storage.change(path, lambda content: content.update(mark=2))
    assert path.read_text() == before.replace('"mark": 1', '"mark": 2')
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [each.name for each in tmp_path.iterdir() if each.name != ".lock"] == ["0001_x.json"]


class Unwritable:
    """What fails while it is written."""

    def __repr__(self):
        return str(1 / 0)


@pytest.mark.parametrize(
    "edit",
    [lambda content: content.update(a=1 / 0), lambda content: content.update(a=Unwritable())],
    ids=["changing", "writing"],
)
def test_a_change_that_fails_changes_nothing(tmp_path, edit):
    """Whatever is raised meanwhile, the file is the old one, and nothing is left beside it."""
    path = storage.save(tmp_path, "x", {"a": 1})
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError):
        storage.change(path, edit)
    assert path.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {".lock", "0001_x.json"}


def test_new_files_have_the_users_own_mode(tmp_path):
    """A session is as readable as any file that the user makes."""
    (tmp_path / "plain").touch()
    path = storage.save(tmp_path, "x", {})
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_blocked_folder_says_where_the_session_is(tmp_path):
    """A process that never lets go costs no session: one line names the complete file."""
    with started(HOLDER, tmp_path / ".lock") as process:
        with pytest.raises(InputError, match=r"for 0\.1 s; the session is complete") as caught:
            storage.save(tmp_path, "x", {"a": 1}, wait_s=0.1)
        process.kill()
    (kept,) = tmp_path.glob(".*.tmp")
    assert str(kept) in str(caught.value)
    assert json.loads(kept.read_text()) == {"a": 1}


@pytest.mark.parametrize("use", [storage.check, lambda *to: storage.save(*to, {})])
def test_a_folder_that_cannot_be_written_is_one_line(use):
    """What was expected, and what to do; never a traceback of internals."""
    if sys.platform != "linux":
        pytest.skip("needs /proc, where even root can't write")
    with pytest.raises(InputError, match="--benchmark-storage") as caught:
        use(Path("/proc/none"), "x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["n" * 245, "é" * 122], ids=["characters", "bytes"])
def test_a_name_is_checked_as_it_will_be_stored(tmp_path, name):
    """The longest that a disk holds is saved and changed; one more is found before measuring."""
    storage.check(tmp_path, name)
    assert not list(tmp_path.iterdir())
    storage.change(storage.save(tmp_path, name, {}), lambda content: content.update(a=1))
    assert list(sessions_in(tmp_path).values()) == [{"a": 1}]
    with pytest.raises(InputError, match=r"--benchmark-save: expected a name .* \(File name too"):
        storage.check(tmp_path, name + "nn")


def test_a_name_of_several_lines_is_counted_as_any_other(tmp_path):
    """The second session doesn't replace the first one."""
    paths = [storage.save(tmp_path, "a\nb", {"number": each}) for each in (1, 2)]
    assert [each.name for each in paths] == ["0001_a\nb.json", "0002_a\nb.json"]
    assert len(sessions_in(tmp_path)) == 2


HOME = Path.home()
FOLDERS = {  # by address, the folder
    "file://./.benchmarks": Path(".benchmarks"),
    "file:///x/y": Path("/x/y"),
    "file:/x/y": Path("/x/y"),
    "FILE://localhost/x": Path("/x"),
    "file://localhosts/x": Path("localhosts/x"),
    "file:x": Path("x"),
    "~/bench": HOME / "bench",
    "file://~/bench": HOME / "bench",
    "x/~": Path("x/~"),
    "a:b": Path("a:b"),
}


@pytest.mark.parametrize("address", FOLDERS)
def test_an_address_is_a_folder(address):
    """As pytest-benchmark has it, as a URL has it, and as a shell has it."""
    assert storage.folder_of(address) == FOLDERS[address]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("s3://bucket/x", "s3://bucket/x"),
        ("host:/x", "host:/x"),
        ("elasticsearch+http://me:word@one,me:word@two/x", "elasticsearch+http://one,two/x"),
        ("", "an empty one"),
        ("file://", "an empty one"),
        (__file__, f"the file {__file__}"),
    ],
)
def test_what_is_no_folder_is_one_line(address, shown):
    """No folder of that name is made, and credentials aren't shown."""
    with pytest.raises(InputError, match=r"^expected a") as caught:
        storage.folder_of(address)
    assert f"got {shown}" in str(caught.value)
    assert "word" not in str(caught.value)


def test_no_file_holds_what_is_no_number(tmp_path):
    """NaN and infinity become null, however deep: a parser that isn't Python's reads the file."""
    content = {"rounds": [0.5, math.nan], "more": ({"deep": -math.inf},), "kept": 1e300}
    path = storage.save(tmp_path, "x", content)
    storage.change(path, lambda stored: stored.update(later=math.inf))
    files.write_json(tmp_path / "verdicts.json", content)
    found = {"rounds": [0.5, None], "more": [{"deep": None}], "kept": 1e300}
    for file, stored in ((path, {**found, "later": None}), (tmp_path / "verdicts.json", found)):
        assert json.loads(file.read_text(), parse_constant=pytest.fail) == stored
