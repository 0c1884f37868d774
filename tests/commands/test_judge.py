"""`python -m benchmarks judge`, as a user runs it: files in, a table, JSON and a status out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from itertools import count, product
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from tests.builders import DUET, LUCK, PROFILE, THROUGHPUT, WIDENED, content, info, write
from tests.running import heard
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]


SECONDS = count()


def saved(change=1.0, name=THROUGHPUT, **changes):
    """Return the content of a file of five rounds, all slower by a factor; of its own second."""
    found = [change * each for each in (1.0, 1.003, 0.998, 1.001, 0.999)]
    when = datetime.fromtimestamp(next(SECONDS), UTC).isoformat()
    return content((name, found, info(found, **changes)), when=when)


BUSY = {"valid": False, "reasons": ["a busy machine; wait"]}
WAITED = {"reading": "core_wait_share", "value": 0.3, "bound": 0.05}


def files(folder, *contents):
    """Write files of these contents, and return their paths."""
    return [str(write(folder / f"{n:04}.json", each)) for n, each in enumerate(contents)]


@pytest.fixture
def judge(tmp_path, capsys):
    """Return a function that judges files with this content, and returns the status and text."""

    def run(base, head, *options, instead=None):
        sides = []
        for name, contents in (("base", base), ("head", head)):
            paths = files(tmp_path / name, *contents)
            for path, (old, new) in product(map(Path, paths), (instead or {}).items()):
                path.write_text(path.read_text().replace(old, new))
            sides += [f"--{name}", *paths]
        status = main(["judge", *sides, *options])
        return status, capsys.readouterr().out

    return run


BASE = [saved(1 + luck) for luck in LUCK]


@pytest.mark.parametrize(
    ("head", "status", "says"),
    [
        (saved(), 0, "0 regressed"),
        (saved(1.3), 1, "REGRESSED"),
        (saved(1.04), 11, "duet --base"),
        (saved(name=PROFILE), 10, "MISSING"),
        (saved(validity=BUSY), 12, "a busy machine"),
        (saved(validity={**BUSY, "findings": [WAITED]}), 12, "other programs used 30 % of this"),
        (
            saved(validity=WIDENED),
            0,
            f"not checked in full (--bounds): 1 of {len(LUCK) + 1} sessions",
        ),
        (saved(1.3, workload={"model": "another"}), 10, "NOT COMPARABLE"),
    ],
)
def test_the_status_says_what_came_of_it(judge, head, status, says):
    """And the table says why."""
    found, out = judge(BASE, [head])
    assert found == status
    assert says in out


def test_gates_and_pairs_are_options(judge):
    """What is suspicious by default is regressed by the strict gate."""
    assert judge(BASE, [saved(1.04)], "--gate", "strict")[0] == 1


def test_judging_work_on_a_cpu_says_that_kernels_are_not_judged(judge):
    """A slower kernel would pass there without a word."""
    on_cpu = {'"device": "cuda"': '"device": "cpu"'}
    status, out = judge(BASE, [saved(1.5)], "--gate=work", instead=on_cpu)
    assert status == 0
    assert "not judged on a CPU: how long kernels take" in out
    assert "not judged on a CPU" not in judge(BASE, [saved()], instead=on_cpu)[1]
    assert "not judged on a CPU" not in judge(BASE, [saved()], "--gate=work")[1]


def test_a_duet_is_judged_in_pairs(judge):
    """Its interval is much narrower than that of the past."""
    status, out = judge(BASE, [saved(1.02 * (1 + luck)) for luck in LUCK], "--paired")
    assert status == 1
    assert "over 6 restarts" in out


def test_verdicts_are_written_as_json(judge, tmp_path):
    """With the status, for other tools."""
    out = tmp_path / "verdicts.json"
    status, _ = judge(BASE, [saved(1.3)], "--json", str(out))
    written = json.loads(out.read_text())
    assert written["exit_status"] == status == 1
    (slower,) = (each for each in written["verdicts"] if each["metric"] == "round_s")
    assert slower["outcome"] == "REGRESSED"
    assert 0.25 < slower["low"] < slower["change"] < slower["high"]


def test_versions_are_told(judge):
    """They are what is compared; facts that one side lacks are told as well."""
    head = saved()
    head["machine_info"]["software"]["torch"] = "2.14.0"
    head["machine_info"]["hardware"]["mig_mode"] = "on"
    status, out = judge(BASE, [head])
    assert status == 0
    assert "versions: torch 2.13.0 -> 2.14.0" in out
    assert "known of one side only, and so not compared: mig_mode" in out


NOT_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999")
PLACES = ("weights_bytes", "logits_relative_error", "a metric of tomorrow")


@pytest.mark.parametrize("number", NOT_NUMBERS)
@pytest.mark.parametrize("place", [*PLACES, "round", "attestation", "stats", "exit_status"])
def test_what_is_no_number_is_damage(judge, capsys, place, number):
    """Wherever it stands in a file, of the base as well: no comparison with it is ever true."""
    bad = saved()
    record = bad["benchmarks"][0]["extra_info"]
    where, name = {
        **{each: (record["metrics"], each) for each in PLACES},
        "round": (record["rounds"][0], "ttft_s"),
        "attestation": (record["attestation"], "share"),
        "stats": (bad["benchmarks"][0]["stats"], "mean"),
        "exit_status": (bad["llm_int8"], "exit_status"),
    }[place]
    where[name] = "HERE"
    for sides in ((BASE, [bad]), ([*BASE, bad], [saved()])):
        with pytest.raises(SystemExit) as caught:
            judge(*sides, instead={'"HERE"': number})
        assert caught.value.code == 4
        (line,) = capsys.readouterr().err.splitlines()
        assert ".json: expected JSON of pytest-benchmark, got a damaged or foreign file" in line
        assert f"({number} is no number); delete it, or measure again" in line


def test_no_number_that_is_none_is_written(judge, tmp_path):
    """A change that no number holds is null in the JSON, which any parser reads."""
    base, out = saved(), tmp_path / "verdicts.json"
    base["benchmarks"][0]["extra_info"]["metrics"]["weights_bytes"] = 5e-324
    _, said = judge([base], [saved()], "--json", str(out))
    written = json.loads(out.read_text(), parse_constant=pytest.fail)
    (found,) = (each for each in written["verdicts"] if each["metric"] == "weights_bytes")
    assert (found["outcome"], found["change"]) == ("REGRESSED", None)
    assert "inf" not in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--base", "none.json", "--head", "{good}"], "none.json: can't read it"),
        (["--base", "{foreign}", "--head", "{good}"], "another format"),
        (["--base", "{good}", "--head", "{other}", "{third}", "--paired"], "as many sessions"),
        (["--base", "{good}"], "--head"),
        (["--base", "{good}", "--head", "{other}", "--gate", "loose"], "--gate"),
        (["--base", "{good}", "--head", "{other}", "--json", "{good}/x"], "can't write"),
        (["--base", "{good}", "--head", "{other}", "--json", ""], "argument --json: expected a pa"),
        (["--base", "{good}", "--head", "~/no/such"], f"{Path.home()}/no/such: can't read it"),
        (["--base", "{good}", "{other}", "--head", "{copy}"], "expected each session once"),
        (["--base", "{good}", "{good}", "--head", "{other}"], "leave one of them out"),
    ],
)
def test_wrong_input_is_one_line_and_status_4(arguments, says, tmp_path, capsys):
    """What, expected, got, next step; no traceback."""
    good = saved()
    contents = {"good": good, "other": saved(), "third": saved(), "copy": good, "foreign": {}}
    paths = dict(zip(contents, files(tmp_path, *contents.values()), strict=True))
    given = [each.format_map(paths) for each in arguments]
    with pytest.raises(SystemExit) as caught:
        main(["judge", *given])
    assert caught.value.code == 4
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert says in line
    assert not said.out  # not even the verdicts, if the file of --json can't be written


def test_one_session_twice_is_refused_by_whatever_name(tmp_path, monkeypatch, capsys):
    """Here by bare names, which Python may keep as one text."""
    files(tmp_path, saved(), saved())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["judge", "--base", "0000.json", "0000.json", "--head", "0001.json"])
    assert "0000.json: expected each session once, got that of 0000.json" in capsys.readouterr().err


def test_a_duet_is_judged_by_the_share_of_its_look(judge):
    """As it judged itself: it looked twice, and each look has its share of alpha."""
    head = [saved(1.02 * (1 + luck)) for luck in LUCK[::-1]]
    for each in head:
        each["llm_int8"]["duet"] = {**DUET, "looks": {"5": 0.1, "12": 1e-9}}
    status, out = judge(BASE, head, "--paired")
    assert "alpha: 1e-09, as this duet planned it for so many restarts" in out
    assert status == 11


def test_an_interrupt_is_status_2(tmp_path):
    """Here while it waits for a file that nobody writes."""
    os.mkfifo(fifo := tmp_path / "fifo")
    command = [sys.executable, "-m", "benchmarks", "judge", "--base", str(fifo), "--head", "x"]
    with heard(signal.SIGINT):
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    patience = threading.Timer(PATIENCE_S, lambda: os.open(fifo, os.O_RDONLY | os.O_NONBLOCK))
    patience.start()
    with process:
        writes = os.open(fifo, os.O_WRONLY)  # waits until somebody reads
        patience.cancel()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    os.close(writes)
    assert (process.returncode, err) == (2, "python -m benchmarks judge: interrupted\n")


def test_it_runs_as_a_command(tmp_path):
    """In a process of its own, which loads neither torch nor pytest."""
    base, head = files(tmp_path, saved(), saved(1.3))
    script = (
        "import sys; from benchmarks.__main__ import main; "
        f"status = main(['judge', '--base', {base!r}, '--head', {head!r}]); "
        "assert not {'torch', 'pytest'} & set(sys.modules); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    assert "1 baseline" in done.stdout


@pytest.mark.parametrize(("floor", "status"), [("2", 11), ("10", 0)])
def test_thresholds_of_ones_own_decide_and_are_told(judge, tmp_path, floor, status):
    """A change below one's own floor passes; how many verdicts are by one is a note."""
    path = tmp_path / "thresholds.toml"
    path.write_text(
        f'[[threshold]]\nbenchmark = "*"\nmetric = "*_s"\nfloor_percent = {floor}\n'
        'reason = "a shared host"\n'
    )
    found, out = judge(BASE, [saved(1.04)], f"--thresholds={path}")
    assert found == status, out
    assert f"threshold of yours, floor {floor} % for *_s of * (a shared host): 3 of" in out
    assert f"by a threshold of yours: floor {floor} % (a shared host)" in out


def test_a_thresholds_file_that_is_not_there_is_status_4(judge, tmp_path, capsys):
    """A mistyped path must not judge by the usual limits."""
    with pytest.raises(SystemExit) as ended:
        judge(BASE, [saved()], f"--thresholds={tmp_path / 'none.toml'}")
    assert ended.value.code == 4
    assert "--thresholds: expected a file" in capsys.readouterr().err
