"""Saved sessions are read back as they were measured, and other files are named."""

import json

import pytest

from benchmarks.common.errors import InputError
from benchmarks.sessions.session import parse_session, read_session
from benchmarks.verdicts import times
from tests import builders


def content(*names, data=(0.5, 0.25)):
    """Return what pytest-benchmark writes for these benchmarks, as far as it matters here."""
    return {
        "machine_info": {"node": "here"},
        "commit_info": {"id": "abc"},
        "datetime": "2026-11-24T08:00:00+00:00",
        "benchmarks": [
            {"fullname": name, "extra_info": {"schema": 1}, "stats": {"data": list(data)}}
            for name in names
        ],
    }


def test_a_session_is_read(tmp_path):
    """Rounds keep their order, and what was stored beside them comes along."""
    path = tmp_path / "0001_a.json"
    path.write_text(json.dumps(content("test_a", "test_b")))
    session = read_session(path)
    assert list(session.measured) == ["test_a", "test_b"]
    assert session.measured["test_a"].rounds_s == (0.5, 0.25)
    assert session.measured["test_a"].info == {"schema": 1}
    assert session.machine == {"node": "here"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (json.dumps(content("test_a"))[:-20], "damaged or foreign"),
        ("[]", r"another format \(the whole is no mapping\)"),
        ("{}", "another format"),
        (json.dumps({"benchmarks": [{"fullname": "a", "stats": {"mean": 1}}]}), "save-data"),
        (json.dumps(content("a", data=[])), "no rounds"),
        (json.dumps(content("a", data=[0.0])), "impossible"),
        (json.dumps(content("a", "a")), "got one twice"),
        ("\udcff", "can't read|damaged|another format"),
    ],
)
def test_another_file_is_named(tmp_path, text, says):
    """A damaged or foreign file is an error of one line that names it."""
    path = tmp_path / "0002_b.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=says) as caught:
        read_session(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rounds_of_another_suite_are_not_ours(tmp_path):
    """What it calls `rounds` is its own; ours with something else inside is damaged."""
    path, file = tmp_path / "0003_c.json", content("test_a")
    file["benchmarks"][0]["extra_info"] = {"rounds": 10}
    path.write_text(json.dumps(file))
    assert list(times.series(read_session(path).measured["test_a"])) == ["round_s"]
    ours = {"schema": 1, "rounds": [{"step_s": [1], "ttft_s": "soon"}]}
    file["benchmarks"][0]["extra_info"] = ours
    path.write_text(json.dumps(file))
    with pytest.raises(InputError, match="another format"):
        read_session(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    """A path that leads nowhere is no traceback."""
    with pytest.raises(InputError, match=r"none\.json"):
        read_session(tmp_path / "none.json")


@pytest.mark.parametrize(
    "damage",
    [
        {"llm_int8": {"passed": True, "promoted": True}},
        {"llm_int8": {"passed": True, "verdicts": [{}]}},
        {"machine_info": {"hardware": "x"}},
        {"machine_info": 3},
        {"llm_int8": {"verdicts": [builders.verdict("b", "m", "GREAT")]}},
        {"llm_int8": {"duet": {"side": "base", "restart": 1, "id": "d", "looks": {"x": 0.1}}}},
    ],
)
def test_values_of_another_type_are_damage(damage):
    """Nothing that looks into a session later meets a text where a table should be."""
    with pytest.raises(InputError, match="another format"):
        parse_session({"benchmarks": [], **damage}, "x.json")


@pytest.mark.parametrize(
    "validity",
    [
        {"findings": [3]},
        {"findings": [{"reading": "trend_size"}]},
        {"findings": [{"reading": "trend_size", "value": "much", "bound": 0}]},
        {"findings": [{"reading": "trend_size", "value": 10**400, "bound": 0}]},
        {"bounds_lifted": 3},
        {"bounds_widened": ["trend_size"]},
        {"bounds_widened": {"trend_size": "wide"}},
    ],
)
def test_a_damaged_validity_is_damage(validity):
    """Whoever says later why times can't be trusted finds findings there."""
    file = content("test_a")
    file["benchmarks"][0]["extra_info"]["validity"] = validity
    with pytest.raises(InputError, match="another format"):
        parse_session(file, "x.json")


def test_a_file_of_brackets_is_damage(tmp_path):
    """Even one that is nested deeper than Python reads."""
    file = tmp_path / "x.json"
    file.write_text("[" * 100_000)
    with pytest.raises(InputError, match="damaged or foreign"):
        read_session(file)


@pytest.mark.parametrize(
    "damage",
    [
        {"repeats_s": []},
        {"repeats_s": [0.0]},
        {"repeats_s": ["x"]},
        {"repeats_s": None},
        {"steps": 0},
        {"kernels": {"top": [{"name": "gemm"}], "rest": {"names": 0}}},
        {"kernels": None},
    ],
)
def test_damaged_device_time_is_one_line(damage):
    """A file whose device time can't be judged is refused when it is read, not later."""
    phase = {"steps": 8, "repeats_s": [1.0], "kernels": {"top": [], "rest": {"names": 0}}}
    whole = {"prefill": phase, "decode": phase}
    broken = whole | {"decode": phase | damage}
    assert builders.session(("a", [1.0], {"schema": 1, "device_time": whole}))
    with pytest.raises(InputError, match="expected JSON of pytest-benchmark"):
        builders.session(("a", [1.0], {"schema": 1, "device_time": broken}))
    with pytest.raises(InputError):
        builders.session(("a", [1.0], {"schema": 1, "device_time": {"prefill": phase}}))
