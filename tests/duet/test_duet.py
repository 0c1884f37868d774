"""Whole duets and bisections of real workers on a real model, and what disturbs them.

The workers are forked and their clock is the tests' own, but for one that starts as a user's does.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from functools import partial

import pytest

from benchmarks import __main__ as door
from benchmarks.commands.duet import report
from benchmarks.commands.measuring import pulse, say
from benchmarks.duet import restart, schedule
from benchmarks.duet.worker_process import Partner
from benchmarks.evidence import counters, profiling
from benchmarks.sessions import pytest_format
from benchmarks.sessions.session import read_session
from tests import forking, virtual
from tests.duets import FAST, duet_of, read
from tests.running import interrupt_at, run_module
from tests.waiting import PATIENCE_S, gone

SLOWED = "int8-decomp-b1-p16-n2"
NAME = f"benchmarks/test_throughput.py::test_throughput[{SLOWED}]"


@pytest.fixture(scope="module")
def slowed(variables, tmp_path_factory):
    """Run a duet whose head really works half as long again, in its own process.

    It spins for that, so its steps are short. Its evidence is of few of them.
    """
    folder, said = tmp_path_factory.mktemp("slowed"), io.StringIO()
    takes = (schedule.Take("base"), schedule.Take("head", 0.5))
    options = ["--max-restarts=3", "--quantization=int8-decomp"]
    with pytest.MonkeyPatch.context() as patch, virtual.installed(virtual.Machine(step_s=0.001)):
        patch.setattr(counters, "count", partial(counters.count, steps=range(2, 4)))
        profile = partial(profiling.profile_decode, steps=range(2, 3))
        patch.setattr(profiling, "profile_decode", profile)
        duet = duet_of(folder, variables, *options, say=say, takes=takes, evidence=True)
        duet.pulse = pulse
        with contextlib.redirect_stdout(said):
            say(duet.cost())
            duet.run()
            status = report(duet)
    return status, said.getvalue().splitlines(), folder / "out"


@pytest.fixture
def strike(machine, monkeypatch):
    """Return a function that sends a signal to a worker at the requests of a kind that it names."""

    def strike(number, do, which):
        send, count = Partner.send, iter(range(1, 1000))

        def send_and_strike(self, asked, **arguments):
            send(self, asked, **arguments)
            if asked == do and next(count) == which:
                os.kill(self.pid, number)
                machine.hung = number == signal.SIGSTOP

        monkeypatch.setattr(Partner, "send", send_and_strike)

    return strike


def test_a_real_slowdown_is_regressed_and_says_where(slowed):
    """The status is that of the gate; the table has the time, what the cost would be, the seed.

    Half as long again is half as long again: the tests' machine has so little noise.
    """
    status, lines, out = slowed
    assert status == 1, lines
    assert lines[0].startswith(
        "at most 3 restarts, 12 rounds of 2 new tokens in all, and 60 minutes; "
    )
    assert "seed 1; results in" in lines[0]
    assert "differs: no version" in lines
    assert "int8-decomp: the logits of both sides are equal to the last bit" in lines
    assert any(line.startswith(f"restart 1 of at most 3: {SLOWED} round_s +") for line in lines)
    assert "restart-01, int8-decomp: load .. b1 .... collect .." in lines  # a dot a round
    regressed = [line for line in lines if line.endswith("REGRESSED") and " round_s " in line]
    assert len(regressed) == 1
    assert any("counters" in line and "unchanged" in line for line in lines)
    verdicts = json.loads((out / "verdicts.json").read_text())
    assert verdicts["exit_status"] == 1
    (round_s,) = [each for each in verdicts["verdicts"] if each["metric"] == "round_s"]
    assert 0.45 < round_s["change"] < 0.55
    assert [reason for reason in round_s["reasons"] if reason.startswith(("prefill", "decode"))]


def test_each_side_and_restart_is_a_session_of_its_own(slowed):
    """The files say which side and order they are, and have what a session of pytest has."""
    *_, out = slowed
    for side in schedule.SIDES:
        first, _, third = read(out, side)
        assert (
            "first restart" in third["benchmarks"][0]["extra_info"]["unmeasured"]["top1_agreement"]
        )
        assert [bench["fullname"] for bench in first["benchmarks"]] == [NAME]
        ours = first["llm_int8"]["duet"]
        assert (ours["side"], ours["spec"]) == (side, "current")
        assert (ours["restart"], ours["seed"]) == (1, 1)
        assert ours["injected_slowdown"] == (0.5 if side == "head" else 0)
        other = read(out, schedule.other(side))[0]["llm_int8"]["duet"]["position_in_pair"]
        assert [a + b for a, b in zip(ours["position_in_pair"], other, strict=True)] == [1] * 2
        assert sum(ours["position_in_pair"]) == 1
        assert ours["agreement"]["int8-decomp"]["logits_max_difference"] == 0
        assert first["machine_info"]["hardware"]["device"] == "cpu"
        assert first["machine_info"]["cpu"]
        assert first["commit_info"] == pytest_format.commit_info()
        (bench,) = first["benchmarks"]
        info = bench["extra_info"]
        assert len(bench["stats"]["data"]) == len(info["rounds"]) == 2
        assert [each["round_s"] for each in info["rounds"]] == bench["stats"]["data"]
        assert info["counters"]["decode"]["operators_total"] > 100
        assert info["profile"]["decode"]["operators"]
        assert info["attestation"]["path"]["outliers"]
        assert info["metrics"]["top1_agreement"] > 0.9
        assert info["validity"]["readings"]["wall_s"] > 0
        if sys.platform == "linux":  # both sides on the same core
            assert ours["core"] in os.sched_getaffinity(0)
            assert ours["core"] == read(out, "base")[0]["llm_int8"]["duet"]["core"]
        assert info["warmup_rounds"] == 2
        assert info.get("injected_slowdown") == (0.5 if side == "head" else None)


def test_pytest_benchmarks_tool_and_the_judge_read_the_files(slowed, capfd):
    """The same verdict comes from the files, and the plain tool compares them."""
    *_, out = slowed
    files = {side: sorted(map(str, out.glob(f"restart-*-{side}.json"))) for side in schedule.SIDES}
    compared = [*files["base"], *files["head"]]
    with forking.instead_of_new_processes():
        done = run_module("pytest_benchmark", "compare", *compared, environment={}, folder=out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"test_throughput[{SLOWED}]") == 6
    status = door.main(["judge", "--paired", "--base", *files["base"], "--head", *files["head"]])
    assert status == 1
    assert "REGRESSED" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("number", "says"),
    [(signal.SIGKILL, "was killed (SIGKILL)"), (signal.SIGSTOP, "said nothing for 600 s")],
    ids=["killed", "hanging"],
)
def test_a_worker_lost_in_a_round_ends_that_restart_only(tmp_path, variables, strike, number, says):
    """It is said what was lost, the next restart counts, and no process is left."""
    said = []
    duet = duet_of(tmp_path, variables, "--max-restarts=1", say=said.append, alternate=True)
    strike(number, "round", 2)
    (planned,) = schedule.plan(1, 2, duet.conditions.takes, 1)
    assert not duet.add(1, planned)
    assert says in duet.lost[0]
    assert f"lost: {duet.lost[0]}" in said
    assert forking.children(os.getpid()) == []
    assert list(tmp_path.glob("out/*.json")) == []
    if number == signal.SIGKILL:
        assert duet.add(2, planned)
        assert forking.children(os.getpid()) == []
        assert [len(each) for each in duet.sides] == [1, 1]
        (base,) = read(tmp_path / "out", "base")
        assert base["llm_int8"]["duet"]["design"] == "alternate processes"
        info = base["benchmarks"][0]["extra_info"]
        assert info["counters"] is None
        assert "first restart" in info["unmeasured"]["top1_agreement"]


def test_waiting_ends_with_the_time_of_the_duet(tmp_path, variables, strike, machine):
    """However long an answer may take, --max-minutes ends it."""
    said, began_s = [], machine.now_s
    duet = duet_of(tmp_path, variables, "--max-minutes=2", "--max-restarts=3", say=said.append)
    strike(signal.SIGSTOP, "start", 1)
    duet.run()
    assert "was not done when --max-minutes were over" in duet.lost[0]
    assert len(duet.lost) == 1
    assert machine.now_s - began_s == pytest.approx(120, abs=0.1)
    assert forking.children(os.getpid()) == []


@pytest.mark.usefixtures("machine")
def test_an_interrupt_keeps_what_is_complete(variables, tmp_path):
    """Ctrl-C ends both workers by pytest's status 2, and says how to judge what there is."""
    out = tmp_path / "out"
    options = [*FAST, "--times-only", "--max-restarts=100", f"--out={out}"]
    process, lines = interrupt_at(
        "restart 1 of", ["benchmarks", "duet", "--base=current", *options], variables
    )
    assert process.returncode == 2, "".join(lines)
    assert "interrupted: 1 complete restart is kept" in lines[-1]
    assert "judge --paired" in lines[-1]
    assert [len(read(out, side)) for side in schedule.SIDES] == [1, 1]
    assert not [line for line in lines if "Traceback" in line]
    # One that is just being started is ended by the kernel, a moment after its parent's end.
    assert all(gone(pid) for pid in forking.children(process.pid))


def test_two_sides_that_turn_out_the_same_are_refused(command):
    """Where a difference was asked for, the same versions and files on both sides are an error."""
    with pytest.raises(SystemExit) as ended:
        command("duet", "--base=sluggish==1.1", "--head=sluggish==1.1.0")
    assert ended.value.code == 4


def test_bisect_finds_the_release_that_was_made_slow(command, tmp_path):
    """Of four releases one can't run and the last is slow: each of the three outcomes is met.

    The one that is as fast as the good end is no doubt so: nothing but noise is between them.
    """
    status, out = command(
        *("bisect", "--package=sluggish", "--good=1.0", "--bad=1.3"),
        *("--times-only", "--max-restarts=3", "--rounds=1"),
    )
    assert status == 0, out
    assert "4 candidates: 1.0, 1.1, 1.2, 1.3" in out
    assert "it turned in 1.3, or one of those that can't run: 1.2; the last good one is 1.1" in out
    tried = json.loads((tmp_path / "out" / "tried.json").read_text())
    turns = {each["name"]: each["turn"] for each in tried}
    assert turns == {"1.3": "bad", "1.2": "skipped", "1.1": "good"}
    why = {each["turn"]: each["why"] for each in tried}
    assert "made to fail" in why["skipped"]
    assert why["good"].startswith("tpot_s NO CHANGE")


def test_a_saved_session_reads_back_as_it_was_measured(slowed):
    """What is judged at once and what is judged later are the same."""
    *_, out = slowed
    file = out / "restart-01-head.json"
    session = read_session(file)
    assert session.measured[NAME].rounds_s == tuple(
        read(out, "head")[0]["benchmarks"][0]["stats"]["data"]
    )
    assert session.saved["passed"] is True


def test_a_worker_starts_as_a_users_does(variables, tmp_path):
    """In an interpreter of its own, on the real clock, it does all that a duet asks of it."""
    duet = duet_of(tmp_path, variables, "--model=synthetic:tiny")
    current = duet.environments["base"]
    variables = duet.conditions.variables
    with restart.start("base", current, variables, tmp_path / "log", print) as partner:
        assert partner.pid not in forking.children(os.getpid())

        def ask(do, **arguments):
            return partner.ask(do, PATIENCE_S, **arguments)

        started = ask("start", options=duet.conditions.options, overlay=None, packages=[])
        assert started["loaded"]["torch"]["version"]
        ask("load", quantization="int8-decomp")
        ask("pin", place=0.5)
        ask("warm_up", batch_size=1, own_pids=[partner.pid])
        took_s = [ask("round", batch_size=1)["round_s"] for _ in range(2)]
        ask("record", batch_size=1)
        (bench,) = ask("collect", evidence=False, work=False)["benchmarks"]
    assert bench["data"] == took_s
    assert min(took_s) > 0


def test_a_duet_of_work_alone_times_no_round(command, tmp_path):
    """Three restarts decide; what was counted on both sides is judged, and nothing else.

    `--work` alone asks for the same; the example of docs/duet.md runs it.
    """
    status, said = command("duet", "--base=current", "--gate=work")
    assert status == 0, said
    assert "3 restarts for the work alone" in said
    assert "3 of at most 3: bf16-b1-p16-n2 decode.python_calls +0.00 %; " in said
    assert "restart-01, bf16: load .. b1 .. collect ..\n" in said
    verdicts = json.loads((tmp_path / "out" / "verdicts.json").read_text())["verdicts"]
    metrics = {each["metric"]: each for each in verdicts}
    assert metrics["decode.python_calls"]["change"] == 0
    assert not any(each["kind"] == "time" for each in verdicts)
    for each in read(tmp_path / "out", "head"):
        (bench,) = each["benchmarks"]
        assert bench["stats"]["data"] == bench["extra_info"]["rounds"] == []
        assert bench["extra_info"]["counters"]["decode"]["python_calls"] > 100


@pytest.mark.parametrize("other", ["--selftest", "--times-only"])
def test_work_alone_goes_with_no_duet_of_times(command, capfd, other):
    """Refused before anything is installed, with both options named."""
    with pytest.raises(SystemExit) as ended:
        command("duet", "--base=current", "--work", other)
    assert ended.value.code == 4
    assert f"--work and {other}: expected one of them" in capfd.readouterr().err


def test_a_side_is_one_process(command, capfd):
    """A model that several hold together is refused before anything is installed."""
    with pytest.raises(SystemExit) as ended:
        command("duet", "--base=current", "--device-map=tensor", "--quantization=fp16")
    assert ended.value.code == 4
    assert "--device-map tensor: expected another one; a side of a duet is one process" in (
        capfd.readouterr().err
    )
