"""A history that is replayed: what was held at its peak, and for what."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.allocator import replay
from benchmarks.allocator.replay import (
    ACTIVATIONS,
    CACHE,
    OTHER,
    QUANTIZED,
    WEIGHTS,
    WORKSPACE,
    Event,
    Held,
)

BEFORE = {1: Held(1000, WEIGHTS), 2: Held(50, OTHER)}


def parts(*events: Event, before: replay.Live = BEFORE) -> dict[str, int]:
    """Return what is held at the peak."""
    return dict(+replay.at_peak(before, events)[0])


def test_the_peak_is_the_first_moment_of_most_bytes() -> None:
    """What was given back before it, and what was taken after it, isn't in it."""
    events = [Event(3, 400), Event(3, 0), Event(4, 300), Event(5, 200, CACHE)]
    later = [Event(4, 0), Event(6, 300, CACHE)]  # as much again, for something else
    found = parts(*events, *later)
    assert found == {WEIGHTS: 1000, OTHER: 50, ACTIVATIONS: 300, CACHE: 200}
    assert parts() == {WEIGHTS: 1000, OTHER: 50}


def test_what_was_there_before_may_be_given_back() -> None:
    """As the keys of the last step: then it holds nothing any more. Strangers are left alone."""
    before = {**BEFORE, 3: Held(500, CACHE)}
    events = [Event(3, 0), Event(99, 0), Event(4, 600, CACHE)]
    assert parts(*events, before=before) == {WEIGHTS: 1000, OTHER: 50, CACHE: 600}
    _, live = replay.at_peak(before, events)
    assert live == {**BEFORE, 4: Held(600, CACHE)}


def test_an_address_that_is_taken_twice_holds_the_second_alone() -> None:
    """The end of the first wasn't recorded."""
    assert parts(Event(3, 100), Event(3, 70), before={}) == {ACTIVATIONS: 100}
    assert parts(Event(3, 100), Event(3, 70), Event(4, 90), before={}) == {ACTIVATIONS: 160}


def test_workspace_is_what_bitsandbytes_gives_back_itself() -> None:
    """What it returns outlives the next thing that others take: that is an activation."""
    events = [
        Event(3, 64, QUANTIZED),  # the product in int32
        Event(4, 32, QUANTIZED),  # the output
        Event(3, 0),
        Event(5, 16),  # the next operator's
        Event(4, 0),
        Event(6, 8, QUANTIZED),  # never given back
    ]
    assert parts(*events, before={}) == {WORKSPACE: 64, ACTIVATIONS: 32}
    assert parts(*events[:1], before={}) == {ACTIVATIONS: 64}
    assert parts(*events[1:], before={}) == {ACTIVATIONS: 48}


def test_whose_code_asked_is_read_off_the_innermost_file_that_is_known() -> None:
    """A checkout that lies in a folder of that name is none of the library's code."""
    packages = "/env/lib/site-packages/"
    ours = "/home/me/bitsandbytes/benchmarks/model/engine.py"
    assert replay.place_of([ours]) == ACTIVATIONS
    assert replay.place_of([f"{packages}bitsandbytes/functional.py", ours]) == QUANTIZED
    assert replay.place_of([f"{packages}bitsandbytes/backends/cuda/ops.py", ours]) == QUANTIZED
    assert replay.place_of(["bitsandbytes/autograd/_functions.py(12): forward"]) == QUANTIZED
    cache = f"{packages}transformers/cache_utils.py"
    assert replay.place_of([f"{packages}torch/functional.py", cache, ours]) == CACHE
    assert replay.place_of([]) == ACTIVATIONS


@given(
    st.lists(
        st.builds(
            Event,
            st.integers(1, 6),
            st.integers(0, 50),
            st.sampled_from([ACTIVATIONS, CACHE, QUANTIZED]),
        )
    )
)
def test_the_parts_are_as_many_bytes_as_were_live_at_once(events: list[Event]) -> None:
    """Whatever the order: no byte is lost, or counted twice."""
    live: dict[int, int] = {}
    most = 0
    for event in events:
        live[event.address] = event.bytes
        most = max(most, sum(live.values()))
    peak, left = replay.at_peak({}, events)
    assert peak.total() == most
    assert sum(each.bytes for each in left.values()) == sum(live.values())
