"""The page on judging says of the wall what its raw files say: duets of it, and a bare loop."""

from __future__ import annotations

from math import exp, sqrt
from statistics import mean, stdev

from tests.docs.results import JUDGING, missing, moved
from tests.tools import gpu_check, parity, stored


def test_a_slowed_wall_is_found_as_its_page_says(raw):
    """By duets in which the GPU decides, and the host: neither, 2 % and 5 %."""
    said = JUDGING.read_text().splitlines()
    slowed = {"the same": 0, "2 % slower": 0.02, "5 % slower": 0.05}
    shares = {("prefill", "the GPU"): slowed, ("slowed", "the host"): slowed}
    shares["duet", "the host"] = {"the same": 0}
    for (folder, waits_for), played in shares.items():
        found = {duet.slowdown: verdicts for duet, verdicts in gpu_check.judged(raw / folder)}
        assert sorted(found) == sorted(played.values())
        for name, share in played.items():
            (each,) = (one for one in found[share] if one.metric == "round_s")
            row = f"| {name} | {moved(each)} | {each.outcome.value} |"
            rows = [line for line in said if line.startswith(f"| {waits_for}: ")]
            assert sum(line.endswith(row) for line in rows) == 1


def test_a_duet_of_rounds_that_wait_for_the_host_says_what_it_could_have_seen(raw):
    """By its times and by device time, in three restarts."""
    ((_, verdicts),) = gpu_check.judged(raw / "duet")
    by_metric = {each.metric: each for each in verdicts}
    limit, step = by_metric["round_s"].limit, by_metric["decode_device_s"]
    said = JUDGING.read_text()
    assert f"three restarts would have seen {limit:.0%}".replace("%", " %") in said
    assert f"changes above {100 * limit:.0f} % of a round" in said
    assert (
        f"{100 * step.limit:.1f} % of a decode step's device time, which is {moved(step)} INC"
        in said
    )
    assert {each.outcome.value for each in verdicts if each.kind == "counter"} == {"NO CHANGE"}


def test_rounds_and_a_bare_loop_were_as_fast_as_the_page_says(raw):
    """No median is off by more than its error; the mean of pairs that wait for the host is."""
    workloads, rows = stored.read(raw / "parity.json")["workloads"], []
    for each in workloads:
        middle, error = parity.middle(each["log_ratios"])
        assert abs(middle) < error
        where = (f"{each[name]:,}" for name in ("batch_size", "prompt_tokens", "new_tokens"))
        ratio = f"{exp(middle):.4f} ± {error:.4f}"
        rows.append(" | ".join([each["quantization"], *where, str(each["pairs"]), ratio]))
    assert len(rows) == 3
    assert missing([f"| {row} |" for row in rows], JUDGING) == []
    said, ratios = JUDGING.read_text(), workloads[0]["log_ratios"]
    error = stdev(ratios) / sqrt(len(ratios))
    apart = [each for each in ratios if abs(each) > 0.1]
    assert f"{100 * mean(ratios):.1f} % with a standard error of {100 * error:.1f} %" in said
    slower = sum(each < 0 for each in apart)
    assert f"Of {len(apart)} pairs that differ by over 10 %" in said
    assert f"the suite is the slower one in {slower}." in said
