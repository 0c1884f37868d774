"""Why something regressed: phases, counters, and operators of the profile."""

from benchmarks.evidence.profiling import Hotspot
from benchmarks.sessions.outcome import Outcome
from benchmarks.verdicts.judgement import judge
from tests.builders import PROFILE, THROUGHPUT, info, session
from tests.verdicts.sides import decoding, head, one, rounds_s


def profile(**seconds):
    """Return a profiled phase, with the seconds that each operator spent on the device."""
    operators = [
        Hotspot(f"aten::{name}", 28, spent, 0.0, 0.1).__dict__ for name, spent in seconds.items()
    ]
    return {"decode_steps": [2, 6], "wall_s": 1.0, "operators": operators}


def profiled(decode, *, launches=40, prefill_s=1.0, decode_s=1.0):
    """Return a session whose prefill and decode took so many times longer, and its profile."""
    record = info(rounds_s())
    for each in record["rounds"]:
        each["ttft_s"] *= prefill_s
        each["step_s"] = [decode_s * gap for gap in each["step_s"]]
    found = [each * (0.2 * prefill_s + 0.8 * decode_s) for each in rounds_s()]
    record["counters"]["decode"]["kernel_launches"] = launches
    phases = {"prefill": profile(mm=0.1), "decode": decode}
    single = info(rounds_s(-1), new_tokens=1, profile=phases)
    return session((THROUGHPUT, found, record), (PROFILE, rounds_s(-1), single))


def test_the_reasons_of_a_regression():
    """Which phase, and per decode step which counters and operators gained time or calls."""
    more_calls = profile(mm=0.5, mul=0.202, add=0.1001, new=0.08, abs=0.01, neg=0.01)
    more_calls["operators"][2]["calls"] = 30
    base = profiled(profile(mm=0.1, mul=0.2, add=0.1, abs=0.01))
    slow = profiled(more_calls, launches=42, decode_s=1.5)
    found = one(judge([base], [slow]))
    assert found.outcome is Outcome.REGRESSED
    assert found.reasons == (
        "decode +50.0 %, prefill +0.0 %",
        "counters: decode.kernel_launches 10 -> 10.5",
        "a decode step: aten::mm 25 ms -> 125 ms on the device, 7 calls",
        # One that the stored profile lacks had at most the time of the last that it has.
        "a decode step: aten::new 2.5 ms -> 20 ms on the device, 7 calls",
        "a decode step: aten::add 25 ms -> 25 ms on the device, 7 -> 7.5 calls",
    )


def test_the_phase_that_cost_more_comes_first():
    """In seconds of a round, of which decode has most steps, not by its share."""
    base, slow = profiled(profile(mm=0.1)), profiled(profile(mm=0.2), prefill_s=1.6, decode_s=1.3)
    assert one(judge([base], [slow])).reasons[0] == "decode +30.0 %, prefill +60.0 %"
    slow = profiled(profile(mm=0.2), prefill_s=2.0, decode_s=1.01)
    found = one(judge([base], [slow]))
    assert found.reasons == ("prefill 2 times, decode +1.0 %",)


def test_at_most_five_operators_are_named():
    """The worst ones."""
    names = "abcdefgh"
    base = profiled(profile(**dict.fromkeys(names, 0.1)))
    worse = {name: 0.2 + number / 10 for number, name in enumerate(names)}
    found = one(judge([base], [profiled(profile(**worse), decode_s=1.5)]))
    named = [each.split()[3] for each in found.reasons if "aten" in each]
    assert named == [f"aten::{name}" for name in "hgfed"]


def test_operators_are_the_reasons_of_their_total():
    """Which operators are called more often is said; that others are called as often, too."""
    more = {"aten::mm": 28, "aten::item": 54, "aten::add": 2}
    verdicts = head(counters=decoding(operators=more, operators_total=84))
    found = one(verdicts, "decode.operators_total")
    assert found.outcome is Outcome.REGRESSED
    assert found.reasons == ("aten::item +0.75 calls a step", "aten::add +0.5 calls a step")
    fewer = {"aten::mm": 29, "aten::item": 38, "aten::copy_": 8}
    verdicts = head(counters=decoding(operators=fewer, operators_total=75))
    found = one(verdicts, "decode.operators_total")
    assert found.outcome is Outcome.IMPROVED
    assert "as many calls" not in found.detail
    assert all(" -" in each for each in found.reasons)
    assert "aten::item -" in found.reasons[0]
    verdicts = head(counters=decoding(operators={"aten::mm": 29, "aten::item": 50}))
    found = one(verdicts, "decode.operators_total")
    assert found.outcome is Outcome.NO_CHANGE
    assert found.detail == (
        "as many calls as before, but of other operators: "
        "aten::mm +0.25 calls a step, aten::item -0.25 calls a step"
    )
