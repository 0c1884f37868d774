"""What one side of a duet does when it is asked: load, warm up, time a round, give an account."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError, ProfilerError
from benchmarks.config.generation import DEFAULT
from benchmarks.config.settings import build_settings
from benchmarks.duet.slowdown import slower
from benchmarks.environments import installed
from benchmarks.evidence import output, profiling
from benchmarks.evidence.agreement import FIGURES
from benchmarks.evidence.gathering import Evidence
from benchmarks.machine import clock, host, nvml, validity
from benchmarks.machine.bounds import UNSTEADY
from benchmarks.machine.device import describe, machine_info
from benchmarks.machine.host import kept_to
from benchmarks.machine.watch import Watch
from benchmarks.measure import memory
from benchmarks.measure.extra_info import extra_info, untimed
from benchmarks.measure.rounds import Attempt, round_of
from benchmarks.model import footprint, loading
from benchmarks.model.target import find_target
from benchmarks.sessions import pytest_format

if TYPE_CHECKING:
    import torch

    from benchmarks.common.quantity import Unmeasured
    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target

ONCE = "measured in the first restart of the duet"


@dataclass
class Recorded:
    """One benchmark whose rounds are done, as `Evidence` wants it: its seconds and its record."""

    batch_size: int
    slowdown: float
    data: list[float]
    tokens: torch.Tensor
    extra_info: dict[str, Any]
    has_error: bool = False


class Side:
    """What a worker holds between requests; each public method is one, by its name.

    Its arguments are the request's, and what it returns is the answer.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        """Prepare; nothing is imported or loaded yet."""
        self._say = say
        self._target: Target
        self._engine: Engine | None = None
        self._evidence: Evidence
        self._history: dict[str, Any] = {"loaded": [], "profiled": False}
        self._workloads: dict[int, Workload] = {}
        self._attempts: dict[float, Attempt] = {}  # of the batch size that is measured, by slowdown
        self._recorded: list[Recorded] = []
        self._own_pids = [os.getpid()]
        self._core: int | None = None  # wherever the system likes

    def start(
        self, options: dict[str, Any], overlay: str | None, packages: list[str]
    ) -> dict[str, Any]:
        """Import everything, find the target, and say what this process is.

        `packages` are those of both sides' overlays, whose versions are reported on both.
        """
        if overlay:
            installed.import_overlay(Path(overlay))

        chosen = build_settings(options.get, os.environ)
        unjudged = dict.fromkeys(UNSTEADY, inf)  # what both sides share cancels in their pairs
        chosen = replace(chosen, bounds=replace(chosen.bounds, **unjudged))
        self._target = find_target(chosen, self._say)
        machine = machine_info(self._target.device)
        found = installed.report(packages)
        machine["software"] |= {name: found[name]["version"] for name in packages if name in found}
        return {
            "loaded": found,
            "machine": {
                **machine,
                "python_version": platform.python_version(),
                "python_implementation": platform.python_implementation(),
                "python_implementation_version": platform.python_version(),
                "python_compiler": platform.python_compiler(),
                "python_build": platform.python_build(),
            },
            "describes": describe(self._target.device, chosen.device_map),
            "commit": pytest_format.commit_info(),  # of the suite that this side holds
        }

    def load(self, quantization: str) -> dict[str, Any]:
        """Load the model with a quantization, and attest it; free the one before."""
        self._recorded.clear()
        self._workloads.clear()
        if self._engine:
            self._engine.close()
        cold = not self._history["loaded"]
        self._engine = loading.load(self._target, quantization, cold=cold)
        self._history["loaded"].append(quantization)
        self._evidence = Evidence(self._target, self._engine, self._find_gpu)
        return {"load_s": self._engine.load_s}

    def pin(self, place: float) -> dict[str, Any]:
        """Choose the core to which the thread that works keeps in each round, and say which.

        A process stays where it began, and cores differ: by whoever works beside them, on this
        machine or on another one of the same host. On a CPU more threads need more than one core;
        on CUDA it is the thread that launches, and the driver's own stay where they are.
        """
        import torch

        shared = self._target.device.type == "cuda" or torch.get_num_threads() == 1
        self._core = host.core_at(place) if shared else None
        return {"core": self._core}

    def warm_up(self, batch_size: int, own_pids: list[int]) -> dict[str, Any]:
        """Generate untimed. `own_pids`: the workers, which are no strangers to each other."""
        workload = self._begin(batch_size, own_pids)
        self._loaded.warm_up(workload, self._target.settings.warmup_rounds)
        return {}

    def round(self, batch_size: int, slowdown: float = 0.0) -> dict[str, Any]:
        """Time one generation, watched, after an untimed token.

        A round of the partner has filled the caches with what is its own, and the first step would
        pay for it. The token comes if there was none as well: each round follows the same.
        """
        workload, engine = self._workloads[batch_size], self._loaded
        attempt = self._attempt(slowdown)
        with kept_to(self._core):
            engine.run(workload, 1)
            clock.now()  # waits for the device
        # In this order: the watch's own thread would share the core, and interrupt the round.
        with attempt.watch, kept_to(self._core), slower(engine, slowdown):
            round_s = attempt.time(engine.generate, workload)
        del attempt.generations[:-1]  # tokens of all would fill memory
        attempt.rounds.append(round_of(attempt.generations[-1], round_s))
        return {"round_s": round_s}

    def prepare(self, batch_size: int, own_pids: list[int]) -> dict[str, Any]:
        """Record a batch size without any timed round: its work is gathered with the rest."""
        workload, engine = self._begin(batch_size, own_pids), self._loaded
        tokens = engine.run(workload, workload.new_tokens)
        info = untimed(self._target, engine, workload)
        info["process"] = {**self._history, "loaded": [*self._history["loaded"]]}
        done = Recorded(batch_size, 0.0, [], tokens, info)
        self._evidence.add(done, workload, tokens)
        self._recorded.append(done)
        return {}

    def record(self, batch_size: int) -> dict[str, Any]:
        """Close the rounds of a batch size: what follows doesn't count for its peaks of memory."""
        engine, workload = self._loaded, self._workloads[batch_size]
        warmup_rounds = engine.generated(workload) - sum(
            len(attempt.rounds) for attempt in self._attempts.values()
        )
        for slowdown, attempt in self._attempts.items():
            attempt.placement = memory.place(engine.model)
            attempt.peaks = memory.peaks(engine, attempt.placement)
            times = [each.round_s for each in attempt.rounds]
            seen = attempt.watch.observations(times)
            attempt.validity = validity.judge(seen, self._target.settings.bounds)
            info = extra_info(
                self._target, engine, workload, [attempt], {}, warmup_rounds=warmup_rounds
            )
            info["process"] = {**self._history, "loaded": [*self._history["loaded"]]}
            if slowdown:
                info["injected_slowdown"] = slowdown
            tokens = attempt.generations[-1].tokens
            done = Recorded(batch_size, slowdown, times, tokens, info)
            self._evidence.add(done, workload, tokens)
            self._recorded.append(done)
        self._attempts.clear()
        return {}

    def collect(self, *, evidence: bool, work: bool) -> dict[str, Any]:
        """Return all that was recorded with this model; with evidence, as a session of pytest has.

        That comes last, and closes the model: a profiler may slow down what follows. `work`: the
        counters and device time alone, which each restart has.
        """
        note = None
        if evidence:
            self._history["profiled"] = True
            try:
                for each in self._recorded:
                    workload = self._workloads[each.batch_size]
                    profiles = (
                        profiling.profile_prefill(self._loaded, workload, frames=False),
                        profiling.profile_decode(self._loaded, workload, frames=False),
                    )
                    each.extra_info["profile"] = {part.phase: part.record() for part in profiles}
                self._evidence.finish()
            except ProfilerError as error:  # the rounds are none the worse for it
                note, evidence = str(error), False
        elif work:
            self._history["profiled"] = True
            try:
                self._evidence.gather_work()
            except ProfilerError as error:
                note = str(error)
        if not evidence:
            for each in self._recorded:
                each.extra_info["metrics"].update(dict.fromkeys(FIGURES))
                each.extra_info["unmeasured"].update(dict.fromkeys(FIGURES, note or ONCE))
        return {"benchmarks": [self._stored(each) for each in self._recorded], "note": note}

    def logits(self, file: str) -> dict[str, Any]:
        """Write the logits of the fixed text into a file, for the other side to compare with."""
        from safetensors.torch import save_file

        found = output.logits(self._loaded, self._target).cpu().contiguous()
        save_file({"logits": found}, file)
        return {}

    def compare_logits(self, file: str) -> dict[str, Any]:
        """Return how far this side's logits are from those in the file of the other side."""
        from safetensors.torch import load_file

        found = output.logits(self._loaded, self._target).cpu()
        expected = load_file(file)["logits"].to(found.dtype)
        return {
            **output.compare(found, expected),
            "logits_max_difference": float((found - expected).abs().max()),
        }

    def _begin(self, batch_size: int, own_pids: list[int]) -> Workload:
        """Prepare a batch size, and return its workload."""
        self._own_pids = own_pids
        settings = self._target.settings
        (generation,) = settings.generations
        workload = self._target.workload(batch_size, settings.new_tokens, generation)
        self._loaded.prepare(workload)
        self._workloads[batch_size] = workload
        return workload

    @property
    def _loaded(self) -> Engine:
        if self._engine is None:
            raise InputError("asked for rounds before a model was loaded; report this as a bug")
        return self._engine

    def _attempt(self, slowdown: float) -> Attempt:
        """Return where rounds of a kind are kept; before the first of all, peaks start again."""
        if not self._attempts:
            self._loaded.reset_peaks()
        if slowdown not in self._attempts:
            self._attempts[slowdown] = Attempt(self._new_watch())
        return self._attempts[slowdown]

    def _stored(self, done: Recorded) -> dict[str, Any]:
        workload = self._workloads[done.batch_size]
        return {
            "params": {
                "quantization": self._loaded.quantization,
                "batch_size": done.batch_size,
                "prompt_tokens": self._target.settings.prompt_id,
                "new_tokens": workload.new_tokens,
                **({"generation": mode} if (mode := workload.generation) != DEFAULT else {}),
            },
            "slowdown": done.slowdown,
            "data": done.data,
            "extra_info": done.extra_info,
            "tokens": done.tokens[:, workload.prompt_tokens :].tolist(),
        }

    def _new_watch(self) -> Watch:
        """Watch this process; without the suite's own work, as the other side is the control."""
        import torch

        threads = torch.get_num_threads()
        return Watch(self._target.device.type, threads=threads, control=None, gpu=self._find_gpu())

    def _find_gpu(self) -> nvml.Gpu | Unmeasured:
        """Return the GPUs to watch: the model's, on which both workers are at home."""
        return nvml.find_all(footprint.gpus(self._loaded.model), self._own_pids)
