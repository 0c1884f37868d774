"""The pull requests that the gate is tried with on a GPU: what each one adds to main."""

from __future__ import annotations

from dataclasses import dataclass

EVERY = 2  # layers have a small kernel more, in main already: a pull request makes it slower

# What main and pull requests differ in: a plug-in that slows the model down.
PLUG_IN = '''
"""Slows the model down."""

import pytest


def extra_call(forward):
    """Return a function that calls another one, and is called itself."""
    return lambda *given, **named: forward(*given, **named)


def pytest_collection_finish(session):
    """Change the classes, once they can be imported."""
    import torch
    from bitsandbytes.nn import Linear8bitLt
    from transformers.models.llama.modeling_llama import LlamaDecoderLayer

    {change}
'''
HOST = """
    Linear8bitLt.forward = extra_call(Linear8bitLt.forward)
"""
WALL = """
    import time
    from benchmarks.model.engine import Engine

    run = Engine.run

    def longer(self, workload, new_tokens, *processors):
        last = time.perf_counter()

        def sleep(input_ids, scores):
            nonlocal last
            time.sleep({share} * (time.perf_counter() - last))
            last = time.perf_counter()
            return scores

        return run(self, workload, new_tokens, sleep, *processors)

    Engine.run = longer
"""
KERNEL = """
    forward = LlamaDecoderLayer.forward

    def longer(self, *given, **named):
        if self.self_attn.layer_idx % {every} == 0:
            torch.cuda._sleep({cycles})
        return forward(self, *given, **named)

    LlamaDecoderLayer.forward = longer
"""


@dataclass(frozen=True)
class PullRequest:
    """What one adds to main, and the exit status of its job, if that is known before."""

    expected: int | None
    kernel: float = 0.0  # main's small kernel takes such a share of a decode step longer
    wall: float = 0.0  # each step is paused by such a share of itself
    call: bool = False  # one more in each linear
    busy: bool = False  # a loop on each core meanwhile


PULL_REQUESTS = {
    "same": PullRequest(0),
    "kernel-0.5": PullRequest(1, kernel=0.005),
    "kernel-1": PullRequest(1, kernel=0.01),
    "kernel-2": PullRequest(1, kernel=0.02),
    "kernel-0.25": PullRequest(None, kernel=0.0025),  # at the floor of what is told
    "host": PullRequest(1, call=True),
    "busy": PullRequest(0, busy=True),
    # Whether a host is steady enough to show these isn't known before. No duet decides it, so they
    # take no longer than the others.
    "wall-2": PullRequest(None, wall=0.02),
    "wall-5": PullRequest(None, wall=0.05),
}


def plug_in(change: str) -> str:
    """Return the file that main and each pull request have, each with a change of its own."""
    return PLUG_IN.format(change=change.strip() or "pass")


def added(asks: PullRequest, device: tuple[float, float] | None, layers: int) -> str:
    """Return what its plug-in does to a model of so many layers.

    `device` has a decode step's device time, in s, and the clock, in Hz; None without a GPU, where
    there is no kernel.
    """
    found = ""
    if device:
        step_s, clock_hz = device
        spin = cycles(asks.kernel * step_s, clock_hz, layers)
        found += KERNEL.format(every=EVERY, cycles=spin)
    found += HOST if asks.call else ""
    return found + (WALL.format(share=asks.wall) if asks.wall else "")


def cycles(together_s: float, clock_hz: float, layers: int) -> int:
    """Return for how many cycles each of those kernels has to spin to take so long together."""
    return round(together_s / len(range(0, layers, EVERY)) * clock_hz)
