"""What the workflow does with the gate's answer, in a real repository; the GPU's part is played."""

import json
import os
import signal
from importlib import metadata
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.commands import ci
from benchmarks.common import interrupts
from benchmarks.common.packages import COMPARED
from benchmarks.sessions import baseline
from benchmarks.verdicts import acknowledged
from tests import running
from tests.builders import LIFTED, promoted, save, verdict
from tests.running import heard

ACCEPTED = f"--acknowledged={acknowledged.FILE}"  # of the gate; they pass in a duet as well
OPTIONS = "--model synthetic:llama-3.1-8b"
SAVED = Path(".benchmarks/gpu/0002_ci.json")
DOUBT = verdict("a", "INCONCLUSIVE")
SUSPICIOUS = {"verdicts": [{**DOUBT, "suspicious": True}], "exit_status": 11}
COLD = verdict("w", "INCONCLUSIVE", metric="cold_round_s", suspicious=True)
INSTALLED = {name: metadata.version(name).partition("+")[0] for name in COMPARED}


def pins(**others):
    """Return a file of pins: what is installed here, but for the others."""
    return "".join(f"{name}=={version}\n" for name, version in {**INSTALLED, **others}.items())


def git(*arguments):
    """Run git where we are, and return what it prints."""
    return running.git(Path(), *arguments)


class Machine:
    """Plays the gate and the duet: keeps what was called, saves a session, answers a status."""

    def __init__(self, monkeypatch):
        """Begin in a repository of three commits: the base, main after it, and a branch."""
        for name in [name for name in os.environ if name.startswith("GIT_")]:
            monkeypatch.delenv(name)
        git("init", "--quiet", "--initial-branch=main")
        self.commits = {}
        for name in ("base", "later", "head"):
            if name == "head":
                git("checkout", "--quiet", "-b", "branch", self.commits["base"])
            Path("what").write_text(name)
            Path("constraints.txt").write_text(pins())
            git("add", "what", "constraints.txt")
            git("commit", "--quiet", "--no-verify", "--no-gpg-sign", "--message", name)
            self.commits[name] = git("rev-parse", "HEAD")
        self.has_baseline()
        self.called = []
        self.seen = None
        self.gate, self.duet, self.verdicts = 0, None, [verdict("a", "NO CHANGE")]
        self.saved = {"day": 2, "commit": self.commits["head"], "verdicts": []}
        monkeypatch.setattr(ci, "_call", self._call)

    def _call(self, *module, said=None):
        self.called.append(list(module))
        if module[0] == "pytest":
            if self.saved:
                save(SAVED, **self.saved)
            return self.gate
        what = Path(module[module.index("--base") + 1], "what")
        self.seen = what.read_text() if what.exists() else None  # checked out there meanwhile
        said.append("REGRESSED  <b>a</b>")
        (out,) = [Path(each.removeprefix("--out=")) for each in module if each.startswith("--out=")]
        out.mkdir(parents=True, exist_ok=True)  # this process runs two within a second
        (out / "verdicts.json").write_text(json.dumps({"verdicts": self.verdicts}))
        return self.duet

    def has_baseline(self, **changes):
        """Store a promoted session of the base."""
        path = Path(".benchmarks/gpu/0001_ci.json")
        save(path, commit=self.commits["base"], promoted=promoted(), **changes)

    def suspect(self, duet=None, **saved):
        """Let the gate find something suspicious, and a duet that is run answer this status."""
        self.gate, self.duet = 11, duet
        self.saved |= SUSPICIOUS | saved

    @property
    def promoted(self):
        """What the new session's file says of its promotion."""
        return json.loads(SAVED.read_text())["llm_int8"]["promoted"]


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Return the machine, in the folder of its repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return Machine(monkeypatch)


def run(*arguments, options=OPTIONS):
    """Call the command as the workflow does."""
    return main(["ci", *arguments, "--options", options, "--summary", "summary.md"])


def pin_at_the_base(**others):
    """Let main be a commit of other pins, from which the branch starts anew."""
    git("checkout", "--quiet", "main")
    Path("constraints.txt").write_text(pins(**others))
    git("commit", "--quiet", "--no-verify", "--no-gpg-sign", "--all", "--message", "pins")
    git("checkout", "--quiet", "-B", "branch")


def test_nothing_regressed_so_the_session_becomes_a_baseline(machine, capsys):
    """The gate gets the workload options and the summary; its session is promoted."""
    assert run("--promote") == 0
    (gate,) = machine.called
    assert gate[:3] == ["pytest", "benchmarks", "--gate"]
    assert gate[-4:] == ["--summary", "summary.md", "--model", "synthetic:llama-3.1-8b"]
    assert machine.promoted["forced"] is None
    assert f"promoted: {SAVED}" in capsys.readouterr().out


@pytest.mark.parametrize("status", [1, 2, 3, 4, 5, 12])
def test_a_failure_of_any_kind_is_passed_on_and_never_promoted(machine, status):
    """The job's status is the gate's, and the session stays as evidence."""
    machine.gate = status
    assert run("--promote") == status
    assert len(machine.called) == 1
    assert machine.promoted is None


def test_what_was_not_compared_fails_but_starts_a_history(machine):
    """The first session of a new benchmark has nothing to be compared with, and isn't a pass."""
    machine.gate = 10
    machine.saved |= {"verdicts": [verdict("a", "MISSING")], "exit_status": 10}
    assert run("--promote") == 10
    assert machine.promoted


def test_nothing_is_promoted_unless_asked_for(machine):
    """A pull request is no baseline."""
    assert run("--base", "main") == 0
    assert machine.promoted is None


@pytest.mark.parametrize(("duet", "status"), [(0, 0), (1, 1), (10, 10), (12, 12)])
def test_a_duet_against_the_merge_base_decides_what_is_suspicious(machine, duet, status):
    """It sees the commit where the branch left main, not what main got since; nothing is left."""
    machine.suspect(duet)
    assert run("--base", "main") == status
    assert machine.seen == "base"
    _, called = machine.called
    assert called[:3] == ["benchmarks", "duet", "--base"]
    assert called[4] == "--model=synthetic:llama-3.1-8b"
    assert called[5].startswith("--out=.benchmarks/duets/")
    assert called[6:] == [ACCEPTED]
    lines = Path("summary.md").read_text().splitlines()
    assert f"### Duet against {machine.commits['base'][:12]}" in lines
    assert "    REGRESSED  <b>a</b>" in lines  # indented: shown, not rendered
    assert len(git("worktree", "list").splitlines()) == 1
    assert machine.promoted is None


def test_what_a_duet_cleared_becomes_a_baseline_and_says_so(machine):
    """Else sessions beyond the interval would never count, and it would shrink for ever."""
    machine.suspect(0)
    assert run("--promote") == 0
    assert machine.seen == "base"  # the commit of the newest baseline
    assert machine.promoted["forced"].startswith("suspicious, but a duet against ")
    newest = baseline.stored(Path(".benchmarks")).sessions[-1]
    assert baseline.is_baseline(newest)


def test_a_duet_makes_no_lifted_bound_good(machine, capsys):
    """It finds no regression, which says nothing of the machine that the session was on."""
    machine.suspect(0, validity=LIFTED)
    assert run("--promote") == 0
    assert machine.promoted is None
    assert "not checked (--bounds): trend_size" in capsys.readouterr().out


def test_what_stays_undecided_is_a_warning_and_no_baseline(machine, monkeypatch, capsys):
    """Nothing regressed as far as anyone can tell: the job doesn't fail, and doesn't keep quiet."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    machine.suspect(11)
    assert run("--promote") == 0
    assert machine.promoted is None
    assert "::warning::suspicious and undecided" in capsys.readouterr().out


def test_a_warning_is_one_line_whatever_it_says(capsys, monkeypatch):
    """On GitHub what follows an end of line would be another command, and % an escape."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    ci._warn("slower by 5 %\n::error::x")
    assert capsys.readouterr().out == "::warning::slower by 5 %25%0A::error::x\n"


def test_what_is_only_noisy_may_become_a_baseline(machine):
    """Within what sessions vary, but they vary too much: that gets no better without new ones."""
    machine.suspect(11, verdicts=[DOUBT])
    assert run("--promote") == 0
    assert machine.promoted["forced"] is None


def test_the_same_commit_and_versions_need_no_duet(machine, capsys):
    """A nightly run of unchanged code: the machine moved. Fine, and nothing to compare with."""
    machine.suspect(commit=machine.commits["base"])
    assert run("--promote") == 0
    assert len(machine.called) == 1
    assert machine.promoted is None
    out = capsys.readouterr().out
    assert "only the machine changed" in out
    assert "not promoted: " in out


def test_other_libraries_than_the_newest_baselines_are_laid_over(machine, capsys):
    """One environment's code on both sides would show nothing of them."""
    then = {"bitsandbytes": "0.50.1", "transformers": "5.22.0", "accelerate": "1.15.0"}
    now = {"bitsandbytes": "0.50.2", "transformers": "5.23.0", "accelerate": "1.15.0"}
    machine.has_baseline(software=then)
    machine.suspect(0, commit=machine.commits["base"], software=now)
    assert run("--promote") == 0
    spec = "transformers==5.22.0,bitsandbytes==0.50.1"
    assert machine.called[1][3] == spec
    assert f"the base is {spec} laid over" in capsys.readouterr().out
    assert f"### Duet against {spec}" in Path("summary.md").read_text()
    assert spec in machine.promoted["forced"]


def test_other_pins_than_the_merge_bases_are_laid_over(machine):
    """A pull request that moves a pin is compared with what main had."""
    pin_at_the_base(bitsandbytes="0.1.0")
    machine.suspect(1)
    assert run("--base", "main") == 1
    assert machine.called[1][3] == "bitsandbytes==0.1.0"
    assert machine.seen is None


def test_another_torch_than_the_merge_bases_is_undecided(machine, capsys):
    """No overlay brings it, so a duet would clear what it can't see."""
    pin_at_the_base(torch="2.0.1", bitsandbytes="0.1.0")
    machine.suspect()
    assert run("--base", "main") == 11
    assert len(machine.called) == 1
    assert "torch 2.0.1 -> " in capsys.readouterr().out


@pytest.mark.parametrize("name", ["torch", "python", "cuda", "driver"])
def test_what_no_duet_can_lay_over_stays_undecided(machine, capsys, name):
    """Neither fine nor a baseline: a person decides, and the warning names what changed."""
    software = {"torch": "2.13.0", name: "99"}
    machine.suspect(commit=machine.commits["base"], software=software)
    assert run("--promote") == 11
    assert len(machine.called) == 1
    assert machine.promoted is None
    assert "-> 99: a duet can't lay that over" in capsys.readouterr().out


def test_a_base_that_is_not_there_is_said(machine, capsys):
    """A shallow checkout has no merge base: that isn't green, and names the next step."""
    machine.suspect()
    assert run("--base", "origin/none") == 11
    out = capsys.readouterr().out
    assert "with no duet: git merge-base failed" in out
    assert "fetch-depth" in out


@pytest.mark.parametrize("duet", [2, 3, 4, -9])
def test_a_duet_that_could_not_run_is_not_green(machine, capsys, duet):
    """Whatever ended it: nothing was decided."""
    machine.suspect(duet)
    assert run("--promote") == 11
    assert machine.promoted is None
    assert f"ended with status {duet}" in capsys.readouterr().out


@pytest.mark.parametrize(("gate", "says"), [(10, ""), (11, "was not saved")])
def test_a_gate_that_saved_nothing_is_passed_on(machine, capsys, gate, says):
    """Nothing to promote, and nothing to start a duet from."""
    machine.gate, machine.saved = gate, None
    assert run("--promote") == gate
    assert not SAVED.exists()
    assert says in capsys.readouterr().out


@pytest.mark.parametrize("others", [[], [SUSPICIOUS["verdicts"][0]]])
@pytest.mark.parametrize("duet", [0, 11])
def test_a_cold_start_is_not_cleared_by_a_duet(machine, capsys, others, duet):
    """A duet doesn't measure it; where nothing else is suspicious, none is run."""
    machine.suspect(duet, verdicts=[COLD, *others])
    assert run("--promote") == 11
    assert len(machine.called) == 1 + len(others)
    assert machine.promoted is None
    assert "w cold_round_s: no duet measures it" in capsys.readouterr().out


def test_an_acknowledged_cold_start_passes_and_is_no_baseline(machine):
    """The duet decides the rest, and what is acknowledged isn't cleared along with it."""
    machine.suspect(0, verdicts=[{**COLD, "acknowledged": "known"}, *SUSPICIOUS["verdicts"]])
    assert run("--promote") == 0
    assert machine.promoted is None


def test_an_acknowledged_regression_passes_and_is_no_baseline(machine, capsys):
    """It is compared with what was before for as long as it is acknowledged."""
    machine.saved |= {"verdicts": [verdict("a", "REGRESSED", acknowledged="known")]}
    assert run("--promote") == 0
    assert machine.promoted is None
    assert "not promoted: " in capsys.readouterr().out


@pytest.mark.parametrize("by", ["gate", "duet"])
def test_an_accepted_regression_beside_a_suspicion_is_no_baseline(machine, by):
    """The duet passes, but not because nothing regressed."""
    known = verdict("b", "REGRESSED", acknowledged="known")
    machine.suspect(0, verdicts=[*SUSPICIOUS["verdicts"], *([known] if by == "gate" else [])])
    machine.verdicts += [known] if by == "duet" else []
    assert run("--promote") == 0
    assert machine.promoted is None


def test_a_duet_measures_as_many_tokens_as_the_session(machine):
    """Its own default is fewer; what is chosen counts, and what is pytest's alone stays away."""
    machine.suspect(0, workload={"model": "synthetic:tiny", "new_tokens": 128})
    options = "--again-within 0 --warmup-rounds 2 -k throughput"
    assert run("--base", "main", options=options) == 0
    assert machine.called[0][-6:] == options.split()
    assert machine.called[1][4:-2] == ["--new-tokens=128", "--warmup-rounds=2"]
    SAVED.unlink()
    assert run("--base", "main", options="--new-tokens 64") == 0
    assert machine.called[3][4:-2] == ["--new-tokens=64"]


@pytest.mark.parametrize("options", ["--batch-size 'x", "--batch-size"])
def test_options_that_are_none_are_said_in_one_line(machine, capsys, options):
    """Before anything is measured."""
    with pytest.raises(SystemExit) as ended:
        run(options=options)
    assert ended.value.code == 4
    assert machine.called == []
    (line,) = capsys.readouterr().err.splitlines()
    assert "--options: " in line


def test_commands_run_in_sight_and_are_kept(capfd):
    """What a command prints is seen at once, and can go into the summary; so does its status."""
    said = []
    assert ci._call("platform", "--terse", said=said) == 0
    assert len(said) == 1
    shown = capfd.readouterr().out.splitlines()
    assert shown[0] == "$ python -m platform --terse"
    assert shown[-1] == said[0]
    assert ci._call("no_such_module") == 1


@pytest.mark.parametrize("deaf", [False, True], ids=["", "Ctrl-C is ignored"])
@pytest.mark.parametrize("said", [None, []])
def test_an_interrupt_lets_what_runs_save_its_work(tmp_path, monkeypatch, said, deaf):
    """It is passed on, and waited for: no child is left to wait for, not even a dead one."""
    (tmp_path / "patient.py").write_text(
        "import os, pathlib, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "try:\n    open('followed').read()\n"
        "    os.kill(os.getppid(), signal.SIGTERM)\n    time.sleep(600)\n"
        "except KeyboardInterrupt:\n    pathlib.Path('kept').write_text(str(os.getpid()))\n"
    )
    os.mkfifo(tmp_path / "followed")
    follow, firsts = ci._follow, iter([tmp_path / "followed"])

    def follow_and_say_so(process, said):
        for fifo in firsts:
            fifo.write_text("now")  # once the other end is there
        return follow(process, said)

    monkeypatch.setattr(ci, "_follow", follow_and_say_so)
    monkeypatch.chdir(tmp_path)
    with heard(signal.SIGINT):
        if deaf:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # heard() takes it back
        with pytest.raises(KeyboardInterrupt), interrupts.interruptible():
            ci._call("patient", said=said)
    with pytest.raises(ChildProcessError):
        os.waitpid(int(Path("kept").read_text()), os.WNOHANG)


def of_work(outcome="NO CHANGE"):
    """Return a verdict on the device time of a benchmark."""
    return {**verdict("a", outcome), "metric": "decode_device_s", "kind": "device"}


@pytest.mark.parametrize(
    ("verdicts", "gate", "status"),
    [
        ([of_work(), verdict("a", "NO CHANGE")], 0, 0),
        ([of_work("REGRESSED"), verdict("a", "NO CHANGE")], 1, 1),
        ([of_work("REGRESSED"), {**DOUBT, "suspicious": True}], 1, 1),
        ([of_work("INVALID"), verdict("a", "NO CHANGE")], 12, 12),
        ([of_work("MISSING"), verdict("a", "NO CHANGE")], 10, 10),
    ],
)
def test_the_work_decides_a_pull_request(machine, verdicts, gate, status):
    """Without a duet, whatever the wall says beside a regression of the work."""
    machine.gate = gate
    machine.saved |= {"verdicts": verdicts, "exit_status": gate}
    assert run("--base", "main", "--gate=work") == status
    assert len(machine.called) == 1


@pytest.mark.parametrize("outcome", ["INVALID", "MISSING"])
def test_a_wall_that_could_not_be_judged_is_a_warning_there(machine, capsys, outcome):
    """A busy host is no failure of a pull request whose work is judged."""
    machine.gate = 12
    machine.saved |= {"verdicts": [of_work(), verdict("a", outcome)], "exit_status": 12}
    assert run("--base", "main", "--gate=work") == 0
    assert f"times of the wall: {outcome}" in capsys.readouterr().out
    assert run("--base", "main") == 12


@pytest.mark.parametrize("wall", [{**DOUBT, "suspicious": True}, verdict("a", "REGRESSED")])
@pytest.mark.parametrize(("duet", "status"), [(0, 0), (1, 1)])
def test_a_duet_decides_where_the_wall_alone_is_suspicious(machine, wall, duet, status):
    """Times of the wall only screen there, however large they are."""
    machine.gate, machine.duet = 11, duet
    machine.saved |= {"verdicts": [of_work(), wall], "exit_status": 11}
    assert run("--base", "main", "--gate=work") == status
    assert [each[:2] for each in machine.called] == [
        ["pytest", "benchmarks"],
        ["benchmarks", "duet"],
    ]
