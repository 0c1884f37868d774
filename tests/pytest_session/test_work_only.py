"""Sessions that measure the work alone: what they run, what they keep, and what gates them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from benchmarks import __main__ as commands
from benchmarks.evidence import calls
from benchmarks.sessions.session import parse_session
from tests.running import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from benchmarks.model.engine import Engine
    from tests.virtual import Machine

Run: TypeAlias = Callable[..., Outcome]
WORK = ["--batch-size=1", "--new-tokens=12", "--work-only"]
NAME = "benchmarks/test_throughput.py::test_throughput[int8-decomp-b1-p16-n12]"


def test_a_session_of_work_alone_keeps_no_time(session: Run, tmp_path: Path) -> None:
    """The ids are those of any session; one short generation; the figures of the wall are null."""
    page, summary = tmp_path / "page.html", tmp_path / "summary.md"
    outcome = session(*WORK, "--benchmark-save=work", f"--report={page}", f"--summary={summary}")
    assert outcome.status == 0, outcome.out
    assert "1 passed, 2 deselected" in outcome.out
    (benchmark,) = outcome.saved["benchmarks"]
    info = benchmark["extra_info"]
    assert benchmark["fullname"] == NAME
    assert info["workload"]["new_tokens"] == 12
    assert info["work_only"] is True
    assert info["rounds"] == []
    assert info["validity"] is None
    assert info["metrics"]["tpot_s"] is info["metrics"]["peak_allocated_bytes"] is None
    assert "only the work was measured" in info["unmeasured"]["tpot_s"]
    assert info["unmeasured"]["decode_device_s"].startswith("on the CPU")
    assert info["metrics"]["top1_agreement"] > 0.9
    assert info["counters"]["decode"]["python_calls"] > 1000
    assert info["attestation"]["tokens_sha256"] is None
    assert len(info["attestation"]["counted_tokens_sha256"]) == 64
    kept = parse_session(outcome.saved, "this").measured[NAME]
    assert (kept.rounds_s, kept.work_only) == ((), True)
    assert "Name (time in" not in outcome.out
    assert "Python calls of a decode step, by function" in page.read_text()
    assert "| calls |" in summary.read_text()


def test_the_fast_gate_passes_on_a_busy_machine_and_sees_one_call_more(
    session: Run, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy host is no 12 there; what is asked of the host decides, by name."""
    assert session(*WORK, "--benchmark-save=base").status == 0
    assert commands.main(["promote", str(tmp_path / "storage" / "0001_base.json")]) == 0
    machine.others = 0.5
    same = session(*WORK, "--gate=work")
    assert same.status == 0, same.out
    assert "INVALID" not in same.out
    from benchmarks.model import loading

    load = loading.load

    def slower(*arguments: object, **more: object) -> Engine:
        engine: Engine = load(*arguments, **more)  # type: ignore[arg-type]
        for each in engine.model.modules():
            if type(each).__name__ == "Linear8bitLt":
                each.register_forward_pre_hook(injected_host_work)
        return engine

    monkeypatch.setattr(loading, "load", slower)
    worse = session(*WORK, "--gate=work")
    assert worse.status == 1, worse.out
    verdicts = worse.out.partition("= gate =")[2]
    assert "decode.python_calls" in verdicts
    assert f"{__name__}.injected_host_work" in verdicts
    assert "more Python calls a step" in verdicts


def injected_host_work(*_: object) -> None:
    """Do nothing, once in each linear."""


def test_whole_sessions_are_judged_by_work_as_well(
    session: Run, machine: Machine, tmp_path: Path
) -> None:
    """Baselines of work alone serve --gate=work of a timed session, and a busy host is no 12."""
    assert session(*WORK, "--benchmark-save=base").status == 0
    assert commands.main(["promote", str(tmp_path / "storage" / "0001_base.json")]) == 0
    machine.others = 0.5
    timed = [*WORK[:2], "--rounds=2", "--warmup-rounds=1", "-k", "throughput"]
    by_work = session(*timed, "--gate=work")
    assert by_work.status == 0, by_work.out
    assert "INVALID" in by_work.out  # told, not judged
    assert "This run's times can't be trusted" in by_work.out
    screened = session(*timed, "--gate=screen")
    assert screened.status == 12


def test_a_gate_of_times_needs_times(session: Run) -> None:
    """--work-only measures none: the bare --gate is refused, with what to write."""
    outcome = session(*WORK, "--gate")
    assert outcome.status == 4
    assert "write --gate=work" in outcome.err


def test_without_calls_there_is_a_reason(session: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside another profiler the calls are null, and the rest is there."""
    monkeypatch.setattr(calls, "active_profiler", lambda: "coverage")
    outcome = session(*WORK, "--benchmark-save=work")
    assert outcome.status == 0, outcome.out
    info = outcome.saved["benchmarks"][0]["extra_info"]
    assert "python_calls" not in info["counters"]["decode"]
    assert "another profiler is active: coverage" in str(info["unmeasured"])
    assert info["counters"]["decode"]["operators_total"] > 0
