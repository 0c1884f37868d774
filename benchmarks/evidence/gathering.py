"""The evidence beside a model's numbers: what was loaded, the path it took, and its output."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.allocator import peaks
from benchmarks.common.errors import InputError, OutOfMemoryError, OutputError
from benchmarks.common.quantity import Unmeasured, as_stored
from benchmarks.config.generation import DEFAULT, MODES
from benchmarks.evidence import agreement, attestation, output, references, work
from benchmarks.evidence.tracing import DECODE_STEPS
from benchmarks.model import footprint
from benchmarks.modes import attested, caches

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from benchmarks.config.workload import Workload
    from benchmarks.evidence.work import Work
    from benchmarks.machine.nvml import Gpu
    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target

BEFORE = "the session ended before"  # it was measured


class Evidence:
    """Gathers evidence for the benchmarks of one engine, when all of their rounds are timed.

    Counting attaches a profiler, which may slow down what follows; so it comes last. Every error
    that it raises takes the results of this engine back: what isn't proved is not stored.
    """

    def __init__(
        self,
        target: Target,
        engine: Engine,
        find_gpu: Callable[[], Gpu | Unmeasured | None] = lambda: None,
    ) -> None:
        """Attest the loaded model. Raises AttestationError if it isn't what was asked for.

        `find_gpu` returns what is watched while device time is measured.
        """
        self._target = target
        self._engine = engine
        self._find_gpu = find_gpu
        self._model = attestation.attest_model(target, engine)
        self._model["weights"] = agreement.check_weights(engine, target)
        self._records: list[tuple[Any, Workload]] = []
        self._agreement: dict[Workload, dict[str, Any]] = {}  # of modes with the dynamic cache

    @property
    def names(self) -> list[str]:
        """The full names of its benchmarks."""
        return [benchmark.fullname for benchmark, _ in self._records]

    def add(self, benchmark: Any, workload: Workload, tokens: torch.Tensor) -> None:
        """Add a benchmark whose rounds are timed and stored, and the tokens that came out.

        Raises AttestationError if it ran in another mode than asked for, and OutputError if the
        mode changes the output by too much.
        """
        info = benchmark.extra_info
        mode = self._attest_mode(workload, tokens.shape[1] - 1)
        counted = workload.prompt_tokens + DECODE_STEPS.stop
        whole = tokens.shape[1] == workload.prompt_tokens + workload.new_tokens
        info["attestation"] = {
            **self._model,
            "tokens_sha256": agreement.tokens_sha256(tokens) if whole else None,
            "counted_tokens_sha256": agreement.tokens_sha256(tokens[:, :counted]),
            "path": None,
            "agreement": None,
            **({"generation": mode} if mode else {}),
        }
        info["counters"] = info["device_time"] = None
        info["metrics"].update(dict.fromkeys(work.METRICS))
        info["unmeasured"].update(dict.fromkeys(work.METRICS, BEFORE))
        self._records.append((benchmark, workload))

    def _attest_mode(self, workload: Workload, written: int) -> dict[str, Any] | None:
        """Return what the mode of the last generation was; None for the default one.

        `written`: tokens of each row that its cache must hold, all but the last one.
        """
        if workload.generation == DEFAULT:
            return None
        engine, mode = self._engine, MODES[workload.generation]
        held = caches.look_into(engine.cache) if engine.cache is not None else None
        engine.cache = None
        per_token = footprint.cache_bytes(engine.model).per_token
        found = {
            "mode": workload.generation,
            **attested.attest_cache(engine.quantization, workload, held, written, per_token),
        }
        shape = replace(workload, new_tokens=0)
        if shape not in self._agreement:
            self._agreement[shape] = agreement.check_mode(engine, workload, self._target)
        if mode.is_compiled:
            step = engine.decode_step
            by = "generate" if step.by_generate else "torch.compile"
            compiled = engine.compiled(workload)
            found["compiled"] = attested.attest_compiled(
                engine.quantization, workload, compiled, by, step.compile_mode
            )
        return {**found, "agreement": self._agreement[shape]}

    def finish(self) -> None:
        """Gather the work, free the model, and compare its output with the reference.

        Raises AttestationError, OutputError or ProfilerError.
        """
        try:
            self.gather_work()
            if self._target.settings.memory_snapshot:
                self._gather_peaks()
            if self._records:
                self.compare(*self._logits())
        except Exception:
            for benchmark, _ in self._records:
                benchmark.has_error = True  # pytest-benchmark stores no benchmark with an error
            raise

    def gather_work(self) -> None:
        """Count, watch the path, and measure device time, once for each set of prompts.

        Raises AttestationError or ProfilerError.
        """
        gpu = self._find_gpu()
        found: dict[Workload, Work] = {}
        # What is compiled comes first: it may be there still.
        for benchmark, workload in sorted(
            self._records, key=lambda each: not MODES[each[1].generation].is_compiled
        ):
            shape = replace(workload, new_tokens=0)  # how many are asked for doesn't matter
            if shape not in found:
                found[shape] = work.measure(self._engine, workload, gpu, self._target.settings)
            done, info = found[shape], benchmark.extra_info
            self._add_graphs(info["attestation"], done.counters["decode"])
            info["attestation"]["path"] = done.path
            peak = info["metrics"]["peak_allocated_bytes"]
            info["counters"] = {**done.counters, "peak_allocated_bytes": peak}
            info["device_time"] = done.device_time
            values, reasons = as_stored(work.metrics(done, info["metrics"], info["unmeasured"]))
            info["metrics"].update(values)
            unmeasured = info["unmeasured"].items()
            info["unmeasured"] = {k: why for k, why in unmeasured if k not in values} | reasons
            if done.uncalled:
                info["unmeasured"] |= dict.fromkeys(("python_calls", "c_calls"), done.uncalled)

    def _add_graphs(self, attested: dict[str, Any], decode: dict[str, Any]) -> None:
        """Add whether CUDA graphs were used, and how often a step called what was compiled."""
        if compiled := attested.get("generation", {}).get("compiled"):
            cuda = self._engine.device.type == "cuda"
            compiled["cuda_graphs"] = bool(decode.get("graph_launches")) if cuda else None
            compiled["regions"] = decode["compiled_regions"]

    def _gather_peaks(self) -> None:
        """Add what holds the memory at its peaks, once for each workload, and write snapshots."""
        artifacts = self._target.settings.artifacts
        found: dict[Workload, dict[str, dict[str, Any] | Unmeasured]] = {}
        for benchmark, workload in self._records:
            if workload not in found:
                folder = artifacts and artifacts / benchmark.name
                found[workload] = peaks.measure(self._engine, workload, folder)
            info, seen = benchmark.extra_info, found[workload].items()
            unknown = {phase: each for phase, each in seen if isinstance(each, Unmeasured)}
            info["memory"] = {phase: None if phase in unknown else each for phase, each in seen}
            info["unmeasured"] |= {f"memory.{name}": why.reason for name, why in unknown.items()}

    def _logits(self) -> tuple[torch.Tensor | None, str | None]:
        """Return the logits of the fixed text, or why there are none, and free the model.

        The reference may have to be loaded next: both would be too much.
        """
        try:
            return output.logits(self._engine, self._target).cpu(), None
        except OutOfMemoryError as error:
            return None, str(error)
        finally:
            self._engine.close()

    def compare(self, logits: torch.Tensor | None, reason: str | None) -> None:
        """Add how far the output is from the reference; null with a reason if that isn't known."""
        figures: dict[str, float | None] = dict.fromkeys(agreement.FIGURES)
        how: dict[str, Any] | None = None
        if logits is not None:
            name = "the reference"
            try:
                name = references.reference_name(self._target)
                reference = references.ensure_reference(self._target)
            except (OutOfMemoryError, InputError) as error:
                reason = f"{name}, to compare with, can't be loaded: {error}"
            except OutputError as error:  # its logits aren't finite, and those above are
                reason = str(error)
            except OSError as error:
                reason = f"{name}'s logits, to compare with, can't be kept: {error}"
            else:
                quantization = self._engine.quantization
                found, how = agreement.check(quantization, logits, self._target, reference)
                figures |= found
        for benchmark, _ in self._records:
            benchmark.extra_info["metrics"].update(figures)
            benchmark.extra_info["attestation"]["agreement"] = how
            if reason:
                benchmark.extra_info["unmeasured"].update(dict.fromkeys(figures, reason))
