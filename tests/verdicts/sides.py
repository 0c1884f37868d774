"""Both sides of a verdict: sessions of one benchmark, and what is judged of them."""

import math

from benchmarks.verdicts.judgement import judge
from tests.builders import LUCK, THROUGHPUT, info, phase, session

ROUNDS = (1.0, 1.003, 0.998, 1.001, 0.999)


def rounds_s(shift=0.0):
    """Return five rounds, all of them off by the same share, on the log scale."""
    return [each * math.exp(shift) for each in ROUNDS]


def measured(shift=0.0, name=THROUGHPUT, **changes):
    """Return a session of one benchmark."""
    found = rounds_s(shift)
    return session((name, found, info(found, **changes)))


BASE = [measured(luck) for luck in LUCK]


def one(verdicts, metric="round_s", benchmark=THROUGHPUT):
    """Return the verdict on one metric."""
    (found,) = (each for each in verdicts if (each.metric, each.benchmark) == (metric, benchmark))
    return found


def head(**changes):
    """Return verdicts on a session whose record differs by this."""
    return judge(BASE, [measured(0.001, **changes)])


def decoding(**changes):
    """Return counters of which those of decoding differ by this."""
    return {"decode_steps": [2, 6], "prefill": phase(), "decode": phase(**changes)}
