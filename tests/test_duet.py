"""Whole duets and bisections of real workers on the tiny model, and what disturbs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from local_packages import BROKEN, SLOW, write_wheel

from benchmarks import __main__ as door
from benchmarks.commands import workload
from benchmarks.harness import duet as duets
from benchmarks.harness import overlay, partner, restart, schedule, sessions, storing, tool
from benchmarks.harness.errors import InputError, OutOfMemoryError, OutputError
from benchmarks.harness.outcome import Outcome
from benchmarks.harness.partner import Partner
from tests.running import heard, interrupt_at

ROOT = Path(__file__).parent.parent
TOOL = Path(sys.executable).with_name("pytest-benchmark")
NAME = "benchmarks/test_throughput.py::test_throughput[int8-decomp-b8-p16-n4]"
FAST = ["--device=cpu", "--new-tokens=4", "--rounds=3", "--bounds=*=inf", "--seed=1"]


@pytest.fixture(scope="module")
def variables(cache_dir, target, tmp_path_factory):
    """Return the environment in which workers find the tests' checkpoint, and pip their wheels."""
    home = cache_dir.parent / "duet-home"
    home.mkdir(exist_ok=True)
    (home / "llm-int8-benchmarks").symlink_to(cache_dir)
    index = tmp_path_factory.mktemp("index")
    for number, module in enumerate(["", "", BROKEN, SLOW]):
        write_wheel(index, "sluggish", f"1.{number}", module)
    assert target.checkpoint.name == "synthetic:tiny"
    return {
        "XDG_CACHE_HOME": str(home),
        "OMP_NUM_THREADS": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(index),
    }


@pytest.fixture
def command(variables, monkeypatch, capfd, tmp_path):
    """Return a function that runs a command, as a user does, and returns status and output."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    def run(*arguments):
        status = door.main([*arguments[:1], *FAST, f"--out={tmp_path / 'out'}", *arguments[1:]])
        out, err = capfd.readouterr()
        return status, out + err

    return run


@pytest.fixture(scope="module")
def slowed(variables, tmp_path_factory):
    """Run a duet whose head really works half as long again, in its own process."""
    out = tmp_path_factory.mktemp("slowed")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "duet", "--base=current", "--inject=head=0.5"),
            *("--max-restarts=3", f"--out={out}", *FAST),
        ],
        env=os.environ | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done, out


def read(out, side):
    """Return the saved content of one side, restart by restart."""
    return [json.loads(file.read_text()) for file in sorted(out.glob(f"restart-*-{side}.json"))]


def workers():
    """Return the ids of the workers that this process started and that still run."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"benchmarks.harness.worker" in words and str(os.getpid()).encode() in words:
            found.append(int(file.parent.name))
    return [pid for pid in found if tool.is_alive(pid)]


def test_a_real_slowdown_is_regressed_and_says_where(slowed):
    """The status is that of the gate; the table has the time, what the cost would be, the seed."""
    done, out = slowed
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(
        "at most 3 restarts, 18 rounds of 4 new tokens in all, and about 60 min"
    )
    assert "seed 1; results in" in lines[0]
    assert "differs: no version" in lines
    assert "int8-decomp: the logits of both sides are equal to the last bit" in lines
    assert any(line.startswith("restart 1 of at most 3: int8-decomp-b8-p16-n4 +") for line in lines)
    regressed = [line for line in lines if line.endswith("REGRESSED") and " round_s " in line]
    assert len(regressed) == 1
    assert any("counters" in line and "unchanged" in line for line in lines)
    verdicts = json.loads((out / "verdicts.json").read_text())
    assert verdicts["exit_status"] == 1
    (round_s,) = [each for each in verdicts["verdicts"] if each["metric"] == "round_s"]
    assert 0.3 < round_s["change"] < 0.8
    assert [reason for reason in round_s["reasons"] if reason.startswith(("prefill", "decode"))]


def test_each_side_and_restart_is_a_session_of_its_own(slowed):
    """The files say which side and order they are, and have what a session of pytest has."""
    _, out = slowed
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
        assert [a + b for a, b in zip(ours["position_in_pair"], other, strict=True)] == [1] * 3
        assert sum(ours["position_in_pair"]) in (1, 2)
        assert ours["agreement"]["int8-decomp"]["logits_max_difference"] == 0
        assert first["machine_info"]["hardware"]["device"] == "cpu"
        assert first["machine_info"]["cpu"]
        (bench,) = first["benchmarks"]
        info = bench["extra_info"]
        assert len(bench["stats"]["data"]) == len(info["rounds"]) == 3
        assert [each["round_s"] for each in info["rounds"]] == bench["stats"]["data"]
        assert info["counters"]["decode"]["operators_total"] > 1000
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
    _, out = slowed
    files = {side: sorted(map(str, out.glob(f"restart-*-{side}.json"))) for side in schedule.SIDES}
    done = subprocess.run(
        [TOOL, "compare", *files["base"], *files["head"]],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("test_throughput[int8-decomp-b8-p16-n4]") == 6
    status = door.main(["judge", "--paired", "--base", *files["base"], "--head", *files["head"]])
    assert status == 1
    assert "REGRESSED" in capfd.readouterr().out


def duet_of(tmp_path, variables, *options, say=print):
    """Return a duet of identical sides, as the command makes it, to be played step by step."""
    parser = door.Parser()
    workload.add_arguments(parser)
    arguments = parser.parse_args([*FAST, "--times-only", *options])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        conditions = workload.conditions(arguments)
    current = overlay.Environment("current", Path(sys.executable))
    budget = workload.budget(arguments, conditions.settings.rounds)
    sides = dict.fromkeys(schedule.SIDES, current)
    return duets.Duet(conditions, sides, budget, tmp_path / "out", say)


@pytest.fixture
def strike(monkeypatch):
    """Return a function that sends a signal to a worker in the rounds that are named."""

    def strike(number, rounds):
        send, count = Partner.send, iter(range(1, 1000))

        def strike_and_send(self, do, **arguments):
            send(self, do, **arguments)
            if do == "round" and next(count) in rounds:
                os.kill(self.pid, number)

        monkeypatch.setattr(Partner, "send", strike_and_send)

    return strike


@pytest.mark.parametrize(
    ("number", "says"),
    [(signal.SIGKILL, "was killed (SIGKILL)"), (signal.SIGSTOP, "said nothing for 5 s")],
    ids=["killed", "hanging"],
)
def test_a_worker_lost_in_a_round_ends_that_restart_only(tmp_path, variables, strike, number, says):
    """It is said what was lost, the next restart counts, and no process is left."""
    said = []
    duet = duet_of(
        tmp_path, variables, "--answer-within=5", "--max-restarts=1", "--alternate", say=said.append
    )
    strike(number, {2})
    (planned,) = schedule.plan(1, 3, duet.conditions.takes, 1)
    assert not duet.add(1, planned)
    assert says in duet.lost[0]
    assert f"lost: {duet.lost[0]}" in said
    assert workers() == []
    assert list(tmp_path.glob("out/*.json")) == []
    if number == signal.SIGKILL:
        assert duet.add(2, planned)
        assert workers() == []
        assert [len(each) for each in duet.sides] == [1, 1]
        (base,) = read(tmp_path / "out", "base")
        assert base["llm_int8"]["duet"]["design"] == "alternate processes"
        info = base["benchmarks"][0]["extra_info"]
        assert info["counters"] is None
        assert "first restart" in info["unmeasured"]["top1_agreement"]


def test_two_models_that_dont_fit_are_measured_one_after_the_other(
    tmp_path, variables, monkeypatch
):
    """It is said plainly, and the restart is played again with one process at a time."""
    said, played = [], []

    def too_large(conditions, *_, **__):
        played.append(conditions.alternate)
        if not conditions.alternate:
            raise OutOfMemoryError("head: out of memory while loading")
        raise partner.LostError("far enough")

    monkeypatch.setattr(restart, "play", too_large)
    duet = duet_of(tmp_path, variables, "--max-restarts=2", say=said.append)
    duet.run()
    assert played == [False, True]
    assert said[:2] == [
        "two models don't fit at once: head: out of memory while loading",
        restart.ALTERNATE,
    ]


def made(rounds_s=(0.1, 0.11, 0.1), slower=1.0):
    """Return a restart as it is played: both sides measured, nothing gathered beside."""
    params = {"quantization": "int8-decomp", "batch_size": 8, "prompt_tokens": 16, "new_tokens": 4}
    side = {"loaded": {}, "machine": {}, "describes": "cpu"}
    found = restart.Played(started={"base": side, "head": side})
    for each, factor in zip(schedule.SIDES, (1.0, slower), strict=True):
        bench = storing.benchmark(params, [factor * round_s for round_s in rounds_s], {})
        found.benchmarks[schedule.Take(each)].append(bench)
    return found


@pytest.mark.parametrize(("ceiling", "status"), [(40, 0), (20, 1)])
def test_what_the_gate_accepts_passes_in_a_duet_as_well(
    command, tmp_path, monkeypatch, ceiling, status
):
    """Up to its ceiling, and in sight."""
    plays = (made(slower=1.3 + luck) for luck in (0.0, 0.01, -0.01, 0.02, -0.01, 0.01))
    monkeypatch.setattr(restart, "play", lambda *_, **__: next(plays))
    known = tmp_path / "accepted.toml"
    known.write_text(
        '[[acknowledged]]\nbenchmark = "*"\nmetric = "round_s"\nreason = "exact outliers"\n'
        f"ceiling_percent = {ceiling}\nexpires = 2999-12-31\n"
    )
    ended, text = command(
        "duet", "--base=current", "--max-restarts=6", f"--acknowledged={known}", "--new-tokens=1"
    )
    assert ended == status, text
    assert "1 regressed" in text
    assert ("acknowledged: exact outliers" in text) == (not status)


@pytest.mark.parametrize("kind", [InputError, OutOfMemoryError, partner.LostError])
def test_an_error_in_a_late_restart_costs_that_restart_only(tmp_path, variables, monkeypatch, kind):
    """What ran once may fail by chance: it is lost, its order is played again, the design stays."""
    orders, plays = [], iter([made(), kind("head: can't load"), made(), made(), made()])

    def play(conditions, _environments, planned, *_, **__):
        assert not conditions.alternate
        orders.append(planned)
        found = next(plays)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(restart, "play", play)
    said = []
    duet = duet_of(tmp_path, variables, "--max-restarts=4", say=said.append)
    duet.run()
    assert duet.lost == ["restart 2: head: can't load"]
    assert orders[1] == orders[2]
    assert duet.restarts == 3
    assert {each.outcome for each in duet.verdicts if each.kind == "time"} == {Outcome.NO_CHANGE}
    first = read(tmp_path / "out", "base")[0]["llm_int8"]["duet"]
    assert (first["id"], first["alpha"], first["looks"]) == (duet.id, 0.05, {"4": 0.05})


@pytest.mark.parametrize(
    ("error", "status"), [(OutputError("wrong"), 1), (KeyboardInterrupt(), 2), (OSError("x"), 3)]
)
def test_whatever_ends_a_duet_keeps_and_judges_what_is_complete(
    command, tmp_path, monkeypatch, capfd, error, status
):
    """The table, the verdicts and the command that judges the files again, then the error."""
    plays = iter([made(), made(), made(), error])

    def play(*_, **__):
        found = next(plays)
        if isinstance(found, BaseException):
            raise found
        return found

    monkeypatch.setattr(restart, "play", play)
    out = tmp_path / "with a space"
    arguments = ("duet", "--base=current", f"--out={out}")
    if status == 3:
        with pytest.raises(SystemExit) as unknown:
            command(*arguments)
        assert unknown.value.code == status
        assert "OSError: x" in capfd.readouterr().err
    else:
        ended, text = command(*arguments)
        assert ended == status
        assert "3 complete restarts are kept; python -m benchmarks judge --paired" in text
        assert f"--base '{out}'/restart-*-base.json" in text
        assert "NO CHANGE" in text
    verdicts = json.loads((out / "verdicts.json").read_text())
    assert {"id", "alpha", "looks"} <= set(verdicts)
    assert verdicts["verdicts"]


def test_no_folder_is_left_where_nothing_was_measured(command, tmp_path):
    """The folder is made when something is written into it."""
    with pytest.raises(SystemExit):
        command("duet", "--base=nonesuch==1")
    assert not (tmp_path / "out").exists()


def test_waiting_ends_with_the_time_of_the_duet(tmp_path, variables):
    """However long an answer may take, --max-minutes ends it."""
    said = []
    duet = duet_of(tmp_path, variables, "--max-minutes=0.001", "--max-restarts=3", say=said.append)
    duet.run()
    assert "was not done when --max-minutes were over" in duet.lost[0]
    assert len(duet.lost) == 1
    assert workers() == []


def test_alternating_processes_are_looked_at_after_an_even_number(tmp_path, variables):
    """A drift cancels over each two restarts."""
    assert duet_of(tmp_path, variables).looks == {5: 0.025, 12: 0.025}
    assert duet_of(tmp_path, variables, "--alternate").looks == {6: 0.025, 12: 0.025}


def test_losing_every_restart_ends_the_duet(tmp_path, variables, monkeypatch):
    """After three in a row it gives up; nothing was compared, which is no pass."""

    def lost(*_, **__):
        raise partner.LostError("head: the worker died")

    monkeypatch.setattr(restart, "play", lost)
    said = []
    duet = duet_of(tmp_path, variables, "--max-restarts=12", say=said.append)
    duet.run()
    assert len(duet.lost) == 3
    assert said[-1] == "giving up: 3 restarts in a row were lost"
    assert duet.verdicts == []
    from benchmarks.commands.duet import report

    assert report(duet) == 10


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
    for _ in range(100):
        left = [file for file in Path("/proc").glob("[0-9]*/cmdline") if holds(file, process.pid)]
        if not left:
            break
        time.sleep(0.05)
    assert left == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_only_the_first_signal_interrupts(number, monkeypatch):
    """A second one would disturb how workers are ended and files are kept."""
    ended = []

    def work():
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)
            ended.append("in order")

    with heard(number), pytest.raises(KeyboardInterrupt), workload.interruptible():
        work()
    assert ended == ["in order"]
    monkeypatch.setattr(workload, "DEAF_S", 0)  # what hangs can still be interrupted later
    with heard(number), pytest.raises(KeyboardInterrupt), workload.interruptible():
        work()
    assert ended == ["in order"]


def holds(file, parent):
    """Whether a process is a worker of this parent."""
    try:
        words = file.read_bytes().split(b"\0")
    except OSError:
        return False
    return b"benchmarks.harness.worker" in words and str(parent).encode() in words


def test_two_sides_that_turn_out_the_same_are_refused(command):
    """Where a difference was asked for, the same versions and files on both sides are an error."""
    with pytest.raises(SystemExit) as ended:
        command("duet", "--base=sluggish==1.1", "--head=sluggish==1.1.0")
    assert ended.value.code == 4


def test_bisect_finds_the_release_that_was_made_slow(command, tmp_path):
    """Of four releases one can't run and the last is slow: each of the three outcomes is met."""
    status, out = command(
        *("bisect", "--package=sluggish", "--good=1.0", "--bad=1.3"),
        *("--times-only", "--max-restarts=3"),
    )
    assert status == 0, out
    assert "4 candidates: 1.0, 1.1, 1.2, 1.3" in out
    assert "it turned in 1.3, or one of those that can't run: 1.2; the last good one is 1.1" in out
    tried = json.loads((tmp_path / "out" / "tried.json").read_text())
    turns = {each["name"]: each["turn"] for each in tried}
    assert turns == {"1.3": "bad", "1.2": "skipped", "1.1": "good"}
    (why,) = [each["why"] for each in tried if each["turn"] == "skipped"]
    assert "made to fail" in why


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["duet"], "expected --base SPEC or --selftest"),
        (["duet", "--base="], "--base: expected current; requirements"),
        (["duet", "--base=current", "--report=x.html"], "unrecognized arguments: --report"),
        (["duet", "--base=current", "--acknowledged=none"], "--acknowledged: expected a file"),
        (["duet", "--selftest", "--acknowledged=none"], "--acknowledged: expected --base"),
        (["duet", "--base=~nobody-of-this-name/x"], "expected `current`"),
        (["duet", f"--base={'x' * 300}/y"], "expected `current`"),
        (["duet", "--base=current", "--max-restarts=0"], "--max-restarts: expected a whole number"),
        (["duet", "--base=current", "--max-minutes=0"], "--max-minutes: expected a number above 0"),
        (["duet", "--base=current", "--alpha=1"], "--alpha: expected a probability below 1"),
        (["duet", "--base=current", "--seed=x"], "--seed: expected a whole number"),
        (["duet", "--base=current", "--quantization=x"], "--quantization: expected one of"),
        (["duet", "--base=a/b"], "expected `current`"),
        (["bisect", "--package=sluggish", "--good=1.3", "--bad=1.1"], "expected it before"),
        (["bisect", "--package=sluggish", "--good=2", "--bad=1.1"], "--good 2: expected one of"),
        (["bisect", "--package=nonesuch", "--good=1", "--bad=2"], "can't ask the package index"),
    ],
)
def test_a_wrong_option_is_one_line_and_status_4(command, capfd, arguments, says):
    """What was wrong, what was expected, what to do: no traceback, and nothing measured."""
    with pytest.raises(SystemExit) as ended:
        command(*arguments)
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line]
    assert ended.value.code == 4
    assert says in line


def test_a_folder_that_is_used_is_not_written_into(command, tmp_path, capfd):
    """Results of two duets never mix."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "restart-01-base.json").write_text("{}")
    with pytest.raises(SystemExit):
        command("duet", "--base=current")
    assert "--out: expected a new or an empty folder" in capfd.readouterr().err


def test_a_full_disk_loses_no_complete_restart(tmp_path, variables):
    """Half a restart is not left behind, and the message names the file."""
    duet = duet_of(tmp_path, variables)
    (planned,) = schedule.plan(1, 1, duet.conditions.takes, 1)
    side = {"loaded": {}, "machine": {}}
    played = restart.Played(started={"base": side, "head": side})
    (tmp_path / "out" / "restart-01-head.json").mkdir(parents=True)  # can't be written
    with pytest.raises(InputError, match=r"can't write .*restart-01-head\.json"):
        duet._save(1, planned, played)
    assert not (tmp_path / "out" / "restart-01-base.json").exists()
    assert duet.restarts == 0


def test_a_saved_session_reads_back_as_it_was_measured(slowed):
    """What is judged at once and what is judged later are the same."""
    _, out = slowed
    file = out / "restart-01-head.json"
    session = sessions.read(file)
    assert session.measured[NAME].rounds_s == tuple(
        read(out, "head")[0]["benchmarks"][0]["stats"]["data"]
    )
    assert session.saved["passed"] is True
