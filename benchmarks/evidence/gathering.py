"""The evidence beside a model's numbers: what was loaded, the path it took, and its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.common.errors import InputError, OutOfMemoryError
from benchmarks.evidence import agreement, attestation, counters, output, references

if TYPE_CHECKING:
    import torch

    from benchmarks.config.workload import Workload
    from benchmarks.model.engine import Engine
    from benchmarks.model.target import Target


class Evidence:
    """Gathers evidence for the benchmarks of one engine, when all of their rounds are timed.

    Counting attaches a profiler, which may slow down what follows; so it comes last. Every error
    that it raises takes the results of this engine back: what isn't proved is not stored.
    """

    def __init__(self, target: Target, engine: Engine) -> None:
        """Attest the loaded model. Raises AttestationError where it isn't what was asked for."""
        self._target = target
        self._engine = engine
        self._model = attestation.attest_model(target, engine)
        self._records: list[tuple[Any, Workload]] = []

    def add(self, benchmark: Any, workload: Workload, tokens: torch.Tensor) -> None:
        """Add a benchmark whose rounds are timed and stored, and the tokens that came out."""
        info = benchmark.extra_info
        info["attestation"] = {
            **self._model,
            "tokens_sha256": agreement.tokens_sha256(tokens),
            "path": None,
        }
        info["counters"] = None
        self._records.append((benchmark, workload))

    def finish(self) -> None:
        """Count, watch the path, free the model, and compare its output with that of fp16.

        Raises AttestationError, OutputError or ProfilerError.
        """
        try:
            self._watch_path()
            if self._records:
                self._compare(*self._logits())
        except Exception:
            for benchmark, _ in self._records:
                benchmark.has_error = True  # pytest-benchmark stores no benchmark with an error
            raise

    def _watch_path(self) -> None:
        found: dict[tuple[tuple[int, ...], ...], tuple[dict[str, Any], dict[str, Any]]] = {}
        for benchmark, workload in self._records:
            if workload.prompts not in found:  # how many tokens are asked for doesn't matter
                counts = counters.count(self._engine, workload)
                path = attestation.attest_workload(self._engine, workload, counts)
                found[workload.prompts] = counts, path
            info = benchmark.extra_info
            counts, info["attestation"]["path"] = found[workload.prompts]
            peak = info["metrics"]["peak_allocated_bytes"]
            info["counters"] = {**counts, "peak_allocated_bytes": peak}

    def _logits(self) -> tuple[torch.Tensor | None, str | None]:
        """Return the logits of the fixed text, or why there are none, and free the model.

        fp16 may have to be loaded next: both would be too much.
        """
        try:
            return output.logits(self._engine, self._target).cpu(), None
        except OutOfMemoryError as error:
            return None, str(error)
        finally:
            self._engine.close()

    def _compare(self, logits: torch.Tensor | None, reason: str | None) -> None:
        """Add how far the output is from fp16's; null with a reason where that can't be had."""
        figures: dict[str, float | None] = dict.fromkeys(agreement.FIGURES)
        if logits is not None:
            try:
                reference = references.ensure_reference(self._target)
            except (OutOfMemoryError, InputError) as error:
                reason = f"fp16, to compare with, can't be loaded: {error}"
            except OSError as error:
                reason = f"fp16's logits, to compare with, can't be kept: {error}"
            else:
                quantization = self._engine.quantization
                figures |= agreement.check(quantization, logits, self._target, reference)
        for benchmark, _ in self._records:
            benchmark.extra_info["metrics"].update(figures)
            if reason:
                benchmark.extra_info["unmeasured"].update(dict.fromkeys(figures, reason))
