"""The order of a duet is random, repeatable and balanced."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.duet import schedule
from benchmarks.duet.schedule import SIDES, Take

TWO = (Take("base"), Take("head"))
SEEDS = st.integers(0, 2**32)


@given(restarts=st.integers(0, 15), pairs=st.integers(1, 12), seed=SEEDS)
def test_each_pair_has_both_sides_and_the_seed_decides(restarts, pairs, seed):
    """So many restarts, so many pairs; the same seed gives the same order."""
    planned = schedule.plan(restarts, pairs, TWO, seed)
    assert len(planned) == restarts
    assert all(len(each.pairs) == pairs for each in planned)
    assert all(sorted(pair, key=str) == sorted(TWO, key=str) for r in planned for pair in r.pairs)
    assert planned == schedule.plan(restarts, pairs, TWO, seed)


@given(restarts=st.integers(1, 15), pairs=st.integers(1, 12), seed=SEEDS)
def test_neither_side_is_favoured(restarts, pairs, seed):
    """Starting first, and going first in a pair, are shared as evenly as numbers allow."""
    planned = schedule.plan(restarts, pairs, TWO, seed)
    starts = Counter(each.start[0] for each in planned)
    assert abs(starts["base"] - starts["head"]) <= restarts % 2
    firsts = Counter(pair[0].side for each in planned for pair in each.pairs)
    assert abs(firsts["base"] - firsts["head"]) <= restarts % 2 * pairs % 2
    for each in planned:
        own = Counter(pair[0].side for pair in each.pairs)
        assert abs(own["base"] - own["head"]) == pairs % 2
        assert own[each.start[0]] <= own[schedule.other(each.start[0])]


def test_the_order_is_random():
    """Who starts and who goes first can't be foretold from one seed to the next."""
    plans = [schedule.plan(2, 10, TWO, seed) for seed in range(40)]
    assert {each[0].start for each in plans} == {SIDES, SIDES[::-1]}
    assert len({each[0].pairs for each in plans}) > 20


@given(pairs=st.integers(1, 9), seed=SEEDS)
def test_more_takes_than_two_are_played_forwards_and_backwards(pairs, seed):
    """A selftest's rounds have each other's place on average."""
    takes = (*TWO, Take("head", 0.01), Take("head", 0.05))
    (planned,) = schedule.plan(1, pairs, takes, seed)
    assert all(sorted(pair, key=str) == sorted(takes, key=str) for pair in planned.pairs)
    if pairs % 2 == 0:
        places = {take: sum(pair.index(take) for pair in planned.pairs) for take in takes}
        assert len(set(places.values())) == 1


@given(most=st.integers(1, 40), alpha=st.floats(0.001, 0.5))
def test_looks_share_the_error(most, alpha):
    """However often is looked, the probabilities of a false alarm add up to alpha."""
    looks = schedule.looks(most, alpha)
    assert max(looks) == most
    assert abs(sum(looks.values()) - alpha) < 1e-12
    assert list(looks) == ([5, most] if most > 5 else [most])
