"""The page on judging says what its raw files say: gate, false alarms, cards."""

from __future__ import annotations

import json
import re
import shutil
from itertools import combinations, permutations
from math import sqrt
from statistics import fmean, mean, median

import pytest
from scipy.special import stdtrit

from benchmarks.sessions import baseline, measures
from benchmarks.sessions.session import parse_session, read_session
from benchmarks.verdicts import device_times
from benchmarks.verdicts.judgement import judge
from tests.docs.results import JUDGING, missing, moved
from tests.tools import cards, gpu_gate, modes, splits, stored, trials
from tests.tools.gpu_pull_requests import PULL_REQUESTS

SPIN = re.compile(r"spin_kernel.*: ([\d.]+) µs -> ([\d.]+) µs")


def test_pull_requests_were_judged_as_the_page_says(raw):
    """Whatever is known of a status before holds in both of the gate's trials."""
    said, held = JUDGING.read_text(), []
    for name in ("gate", "gate-earlier"):
        found = stored.read(raw / f"{name}.json")
        assert {*found["pull_requests"]} == {*PULL_REQUESTS}
        assert gpu_gate.wrong(found["pull_requests"]) == {}
        sessions = baseline.stored(raw / f"{name}-baselines").sessions
        (base,) = zip(*(step_times(each) for each in sessions), strict=True)
        decode = [
            (verdict_on("decode_device_s", each[1]), injected(raw, *each))
            for each in found["pull_requests"].items()
        ]
        others = [one["head"] - longer for one, longer in decode]
        low, high = (f"{100 * (end(others) / mean(base) - 1):.2f}" for end in (min, max))
        if name == "gate":
            assert missing(trials.table(found), JUDGING) == []
            assert f"{low[1:]} % below to {high} % above the mean" in said
        else:
            assert min(others) > max(base)
            assert f"by {low} to {high} % without what was injected, and above each" in said
        held += [one["low"] <= longer / one["base"] <= one["high"] for one, longer in decode]
    assert f"So of {len(held)} intervals of a decode step" in said
    assert f"an earlier one, {sum(held)} hold what was injected" in said


STEPS = {  # that measured the same work on one card
    "e2b7": ("identical/*", "all-modes"),
    "d1cb": ("energy", "main", "all-modes-of-one"),
    "03a7": ("table-03a7", "energy-03a7", "turns/*"),
}


def test_intervals_know_how_far_sessions_minutes_apart_differ(raw):
    """Two groups of sessions on one card, and pull requests beside their baselines."""
    said = JUDGING.read_text()
    for phase, metric in measures.DEVICE_TIMES.items():
        apart = [each for card in STEPS for each in changes(raw, card, phase)]
        off = []
        for name in ("gate", "gate-earlier"):
            for each in stored.read(raw / f"{name}.json")["pull_requests"].items():
                verdict = verdict_on(metric, each[1])
                off.append(verdict["change"] - injected(raw, *each) / verdict["base"])
        assert (len(apart), len(off)) == (23, 18)
        row = [f"{100 * sqrt(fmean(x * x for x in each)):.2f} %" for each in (apart, off)]
        row.append(f"{100 * sqrt(fmean(x * x for x in [*apart, *off])):.2f} %")
        assert f"| {phase} | {' | '.join(row)} |" in said
        deviation, freedom = device_times.LEAST[phase]
        assert row[-1] == f"{100 * deviation:.2f} %"
        reach = deviation * stdtrit(freedom, 0.975)
        assert f" {100 * reach:.2f} %" in said
        assert max(map(abs, off)) < reach


def changes(raw, card, phase):
    """Return by how much the means of each two steps of a card differ, of the same work."""
    groups = {}
    for name in STEPS[card]:
        for file in sorted(raw.glob(f"{name}.json")):
            spent = {}  # several benchmarks of a session share their work
            for _, info in modes.benchmarks([file]):
                work = info["workload"]
                if work.get("generation", "dynamic") == "dynamic":
                    spent[work["quantization"], work["batch_size"]] = info["device_time"][phase]
            for key, each in spent.items():
                groups.setdefault(key, {}).setdefault(name, []).append(median(each["repeats_s"]))
    for found in groups.values():
        for before, after in combinations(map(mean, found.values()), 2):
            yield after / before - 1


def step_times(session):
    """Return the device time of a decode step in each benchmark of a session."""
    return [each.metrics["decode_device_s"] for each in session.measured.values()]


def verdict_on(metric, pull_request):
    """Return the stored verdict on a metric."""
    (found,) = (one for one in pull_request["verdicts"] if one["metric"] == metric)
    return found


def injected(raw, name, pull_request):
    """Return by how many seconds of a decode step a pull request's kernel spins longer.

    A verdict that is NO CHANGE doesn't say so: then the session does, beside a baseline.
    """
    decode = verdict_on("decode_device_s", pull_request)
    spins = [re.search(SPIN, reason) for reason in decode["reasons"]]
    longer_s = 1e-6 * sum(float(spin[2]) - float(spin[1]) for spin in spins if spin)
    if PULL_REQUESTS[name].kernel and not longer_s:
        head, base = (
            read_session(raw / file) for file in (f"gate-{name}.json", "gate-baselines/0003.json")
        )
        longer_s = spun_s(head) - spun_s(base)
    return longer_s


def spun_s(session):
    """Return how long the spinning kernel takes of a decode step."""
    (one,) = session.measured.values()
    decode = one.device_time["decode"]
    found = (each for each in decode["kernels"]["top"] if "spin_kernel" in each["name"])
    return sum(each["device_s"] for each in found) / decode["steps"]


LATER = ("table-df01", "main-85b4")


def test_cards_are_told_from_code(raw):
    """int8-decomp's copies began later on one; without latency no pair is off by the limit."""
    names = ("table", "energy", "main", "table-03a7", "energy-03a7")
    names += ("sharded-one-gpu", "table-75a2", "main-8f8a", *LATER)
    files = [*(raw / f"{name}.json" for name in names), *sorted((raw / "identical").iterdir())]
    files += sorted((raw / "turns").iterdir())
    sessions = [read_session(each) for each in files]
    rows = cards.table(sessions, "decode")
    assert len(rows) == 9 + 2
    assert missing(rows, JUDGING) == []
    same = {"n32]": "n16]", '"new_tokens": 32': '"new_tokens": 16'}  # which isn't what is compared
    sides = [baseline.stored(raw / "identical").sessions[:5]]
    sides += [
        [read_session(raw / f"{name}.json")]
        for name in ("table", "table-03a7", "table-75a2", *LATER)
    ]
    for name in ("energy", "energy-03a7"):
        text = (raw / f"{name}.json").read_text()
        for old, new in same.items():
            text = text.replace(old, new)
        sides.append([parse_session(json.loads(text), name)])
    for base, head in permutations(sides, 2):
        times = [each for each in judge(base, head[:1]) if each.kind == "device"]
        assert len(times) >= 2 * 4
        assert {each.outcome.value for each in times} == {"NO CHANGE"}


def test_counters_are_the_same_on_each_card_and_over_a_day(raw):
    """But for peaks of memory; and for calls of a process that saw two GPUs."""
    first = eight_rows(raw / "table.json")
    assert len(first) == 4
    others = ("identical/01", "energy", "table-03a7", "table-75a2", "main-8f8a", *LATER)
    for name in others:
        here = eight_rows(raw / f"{name}.json")
        assert counted(here) == counted({each: first[each] for each in here})
    day_before = eight_rows(raw / "sharded-one-gpu.json")
    calls = ("python_calls", "c_calls", "functions", "c_functions")
    assert counted(day_before, but=calls) == counted({"int8": first["int8"]}, but=calls)
    before, after = (each["int8"]["counters"]["decode"] for each in (day_before, first))
    assert [(before[name] - after[name]) / 4 for name in calls[:2]] == [1344, 2688]
    last = eight_rows(raw / "main-85b4.json")["int8"]["metrics"]
    decode, prefill = (
        f"{100 * (last[name] / day_before['int8']['metrics'][name] - 1):.2f} %"
        for name in ("decode_device_s", "prefill_device_s")
    )
    said = f"Device time is {decode} longer in the decode step, and {prefill} in the prefill,"
    assert said in JUDGING.read_text()


def eight_rows(file):
    """Return what was measured of each quantization at batch 8."""
    found = (info for _, info in modes.benchmarks([file]))
    return {
        info["workload"]["quantization"]: info
        for info in found
        if info["workload"]["batch_size"] == 8
    }


def counted(rows, but=()):
    """Return the counters of each quantization but for peaks of memory, and others."""
    return {
        (quantization, phase): {
            name: count
            for name, count in info["counters"][phase].items()
            if "peak" not in name and name not in but
        }
        for quantization, info in rows.items()
        for phase in ("prefill", "decode")
    }


def test_identical_code_is_judged_as_its_page_says(raw):
    """Ten sessions; here six of them are judged in every split, which takes seconds."""
    sessions = baseline.stored(raw / "identical").sessions
    assert len(sessions) == 10
    assert missing(splits.spreads(sessions), JUDGING) == []
    ordered = judge(sessions[:5], sessions[5:], gate="work")
    in_time = [each for each in ordered if each.kind == "device"]
    assert [each.low <= 0 <= each.high for each in in_time] == [True] * 8
    verdicts = list(splits.split_verdicts(sessions[:6], 3))
    judged = 20 * (3 + 1)  # splits, and what is judged in each
    quantizations, phases = 4, 2
    assert len([each for each in verdicts if each.kind == "device"]) == (
        judged * quantizations * phases
    )
    assert {each.kind for each in verdicts} == {"agreement", "counter", "device", "memory"}
    assert {each.outcome.value for each in verdicts} == {"NO CHANGE"}


def test_sessions_with_rounds_and_of_work_alone_are_judged_as_their_page_says(raw):
    """They took turns; each of work alone is judged by those with rounds, and all together."""
    whole, work = (
        [read_session(each) for each in sorted((raw / "turns").glob(f"*-{kind}.json"))]
        for kind in ("whole", "work")
    )
    assert len(whole) == len(work) == 5
    for head in (work, *([each] for each in work)):
        verdicts = judge(whole, head, gate="work")
        assert [each.outcome.value for each in verdicts] == ["NO CHANGE"] * 30
    said = JUDGING.read_text()
    for each in judge(whole, work, gate="work"):
        if each.kind == "device":
            base, head = (f"{1e3 * side:.3f} ms" for side in (each.base, each.head))
            assert f" | {base} | {head} | {moved(each, 2)} |" in said


def test_only_sessions_of_the_same_code_are_split(raw, tmp_path, capsys):
    """Of another commit, a damaged one, too few, and numbers that can't be: one line each."""
    folder = tmp_path / "identical"
    shutil.copytree(raw / "identical", folder)
    other = json.loads((folder / "02.json").read_text())
    other["commit_info"]["id"] = "0" * 40
    for changed, arguments, says in (
        (None, ["--repeats=0"], "--repeats: expected a whole number of at least 1"),
        (None, ["--baselines=10"], "--baselines: expected less than 10 sessions; got 10"),
        (json.dumps(other), [], ": expected the commit of "),
        ("{", [], "02.json"),
    ):
        if changed:
            (folder / "02.json").write_text(changed)
        with pytest.raises(SystemExit):
            splits.main([str(folder), *arguments])
        assert says in capsys.readouterr().err


def test_a_longer_decode_step_is_found_by_its_size(raw):
    """Against three baselines a session that is 1 % slower is, and at the floor hardly any."""
    two = [splits.with_repeats(each, 2) for each in baseline.stored(raw / "identical").sessions]
    _, _, *rows = splits.detection_table(two[:6], 3)
    assert len(rows) == 4
    for row in rows:
        _, at_floor, _, *others = row.strip(" |").split(" | ")
        assert others == ["100 %", "100 %"]
        assert float(at_floor.removesuffix(" %")) < 60
