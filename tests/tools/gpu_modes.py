"""Each quantization in each generation mode, in one process: what a GPU makes of the modes."""

from __future__ import annotations

import signal
import traceback
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError
from benchmarks.common.text import first_line
from benchmarks.config.generation import MODES
from benchmarks.evidence import work
from benchmarks.evidence.gathering import Evidence
from benchmarks.machine import clock, nvml, validity
from benchmarks.machine.watch import Watch
from benchmarks.measure import memory
from benchmarks.measure.extra_info import extra_info
from benchmarks.measure.rounds import Attempt, round_of
from benchmarks.model import loading, skeleton
from benchmarks.modes import possible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks.common.quantity import Unmeasured
    from benchmarks.config.workload import Workload
    from benchmarks.machine.nvml import Gpu
    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target

# Compilation comes last: it takes half a minute to a minute, and would leave no time to the others.
ORDER = sorted(MODES, key=lambda mode: MODES[mode].is_compiled)
SHOWN = ("tokens_per_s", "tpot_s", "decode_device_s", "decode_busy_share", "compile_s")
LEAST_S = 15.0  # in which a combination can be measured, if it isn't compiled
COMPILED_S = 45.0  # if it is: int8 took 36 s to compile on a slow host


class OutOfTimeError(BaseException):
    """The time for one quantization is over. No Exception: torch catches those of its compiler."""


class Deadline:
    """A moment by which something must have ended."""

    def __init__(self, seconds: float) -> None:
        self._end = clock.read() + seconds

    @property
    def left(self) -> float:
        """The seconds until then."""
        return self._end - clock.read()


def measure(
    target: Target,
    quantizations: Sequence[str],
    batch_sizes: Sequence[int],
    seconds: float,
    save: Callable[[dict[str, Any]], None],
    before: Mapping[str, Any],
) -> dict[str, Any]:
    """Measure every combination in so many seconds, of which each quantization has its share.

    The first batch size comes first, for all quantizations; what one leaves of its share is for
    those after it. What is impossible, fails, or has no time left is kept by its reason, and the
    next one follows. `save` is called with all that is known after each combination. `before` is
    what a call saved that was cut short: what it measured isn't measured again.
    """
    found: dict[str, Any] = {"refused": {}, "failed": {}}
    found |= {name: {**before.get(name, {})} for name in ("loads", "measured")}
    backends = _possible(target, found["refused"])
    whole = Deadline(seconds)
    gpu = nvml.find(target.device) if target.device.type == "cuda" else None
    for batch_size in batch_sizes:
        missing = {each: _missing(found, each, backends, batch_size) for each in quantizations}
        left = [each for each in quantizations if missing[each]]
        for number, quantization in enumerate(left):
            share = Deadline(whole.left / (len(left) - number))
            if share.left < 2 * LEAST_S:
                found["failed"][f"{quantization}-b{batch_size}"] = "no time left"
                continue
            try:
                with loading.load(target, quantization, cold=False) as engine:
                    found["loads"][quantization] = engine.load_s
                    modes = missing[quantization]
                    _modes_of(target, engine, batch_size, modes, gpu, found, save, share)
            except Exception as error:
                traceback.print_exc()
                found["failed"][quantization] = f"{type(error).__name__}: {first_line(error)}"
            save(found)
    return found


def _possible(target: Target, refused: dict[str, str]) -> dict[str, str | None]:
    """Return the modes that this machine can do, each with its backend; keep why others can't."""
    model = skeleton.build(target.checkpoint, target.settings.attn_implementation)
    backends: dict[str, str | None] = {}
    for mode in ORDER:
        try:
            backends[mode] = possible.check([mode], target.checkpoint.name, model, target.device, 1)
        except InputError as error:
            refused[mode] = str(error)
            print(f"{mode}: refused: {error}", flush=True)
    return backends


def _missing(
    found: Mapping[str, Any],
    quantization: str,
    backends: Mapping[str, str | None],
    batch_size: int,
) -> dict[str, str | None]:
    """Return the modes that weren't measured, each with its backend."""
    done = found["measured"]
    return {
        mode: backend
        for mode, backend in backends.items()
        if _name(quantization, mode, batch_size) not in done
    }


def _name(quantization: str, mode: str, batch_size: int) -> str:
    return f"{quantization}-{mode}-b{batch_size}"


def _modes_of(
    target: Target,
    engine: Engine,
    batch_size: int,
    backends: dict[str, str | None],
    gpu: Gpu | Unmeasured | None,
    found: dict[str, Any],
    save: Callable[[dict[str, Any]], None],
    share: Deadline,
) -> None:
    evidence = Evidence(target, engine, lambda: gpu)
    for mode, backend in backends.items():
        name = _name(engine.quantization, mode, batch_size)
        engine.backend = backend
        try:
            with _at_most(share.left, COMPILED_S if MODES[mode].is_compiled else LEAST_S):
                info = _one(
                    replace(target, backend=backend), engine, evidence, batch_size, mode, gpu
                )
        except OutOfTimeError:
            found["failed"][name] = "no time left"
            print(f"{name}: no time left", flush=True)
            engine.decode_step.undo()
        except Exception as error:
            traceback.print_exc()
            found["failed"][name] = f"{type(error).__name__}: {str(error)[:2000]}"
            print(f"{name}: FAILED: {type(error).__name__}: {first_line(error)}", flush=True)
            engine.decode_step.undo()
        else:
            found["measured"][name] = info
            values = {key: info["metrics"].get(key) for key in SHOWN}
            calls = info["counters"]["decode"].get("python_calls")
            values |= {"calls_of_4": calls, "peak": info["metrics"].get("peak_allocated_bytes")}
            print(f"{name}: {values}, {share.left:.0f} s left", flush=True)
        save(found)


def _one(
    target: Target,
    engine: Engine,
    evidence: Evidence,
    batch_size: int,
    mode: str,
    gpu: Gpu | Unmeasured | None,
) -> dict[str, Any]:
    """Return the record of one combination: timed rounds, what ran, and its work."""
    settings = target.settings
    workload = target.workload(batch_size, settings.new_tokens, mode)
    engine.prepare(workload)
    start = clock.now()
    # What is compiled becomes CUDA graphs in its second generation.
    engine.warm_up(workload, settings.warmup_rounds + MODES[mode].is_compiled)
    warm_up_s = clock.now() - start
    attempt = _rounds(target, engine, workload, gpu)
    info = extra_info(target, engine, workload, [attempt], {}, warmup_rounds=0)
    record = SimpleNamespace(extra_info=info, fullname=mode)
    evidence.add(record, workload, attempt.generations[-1].tokens)
    done = work.measure(engine, workload, gpu, settings)
    info["metrics"] |= work.metrics(done, info["metrics"], info["unmeasured"])
    info["counters"], info["device_time"] = done.counters, done.device_time
    why = done.no_device_time
    seen = [each.compiled and vars(each.compiled) for each in attempt.generations]
    more = {"warm_up_s": warm_up_s, "compiled_in_rounds": seen}
    return _plain({**info, **more, "no_device_time": why and why.reason})


def _rounds(
    target: Target, engine: Engine, workload: Workload, gpu: Gpu | Unmeasured | None
) -> Attempt:
    import torch

    attempt = Attempt(
        Watch(target.device.type, threads=torch.get_num_threads(), control=None, gpu=gpu)
    )
    engine.reset_peaks()
    for _ in range(target.settings.rounds):
        with attempt.watch:
            round_s = attempt.time(engine.generate, workload)
        attempt.rounds.append(round_of(attempt.generations[-1], round_s))
    attempt.placement = memory.place(engine.model)
    attempt.peaks = memory.peaks(engine, attempt.placement)
    seen = attempt.watch.observations([each.round_s for each in attempt.rounds])
    attempt.validity = validity.judge(seen, target.settings.bounds)
    return attempt


def _plain(value: Any) -> Any:
    """Return what JSON can hold: unmeasured is null, and functions by name are the first 20."""
    if isinstance(value, dict):
        return {
            str(k): _plain(dict([*v.items()][:20]) if k in ("functions", "c_functions") else v)
            for k, v in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else None


@contextmanager
def _at_most(seconds: float, least: float) -> Iterator[None]:
    """Let something take at most so long, wherever it is: torch may be compiling for minutes.

    Again each second: what is raised in a callback of the interpreter is swallowed. If there are
    fewer seconds than `least`, it doesn't begin.
    """
    if seconds < least:
        raise OutOfTimeError

    def stop(*_: object) -> None:
        raise OutOfTimeError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
