"""What pytest collects: which benchmarks there are, with which parameters, in which order."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.config import models
from benchmarks.config.generation import DEFAULT, MODES
from benchmarks.pytest_session import selection

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

    from benchmarks.config.settings import Settings

BENCHMARKS = Path(__file__).parent
REPLICAS = BENCHMARKS / "test_replicas.py"


def is_benchmark(fixtures: Iterable[str]) -> bool:
    """Whether a test measures a model, loaded here or in other processes, by its fixtures."""
    return "benchmark" in fixtures and not {"engine", "fleet", "ranks"}.isdisjoint(fixtures)


def is_left_out(file: Path, settings: Settings) -> bool:
    """Whether no option asks for the benchmark in a file.

    That is the one of replicas; and that of ranks, or all others if it is asked for.
    """
    if file.parent != BENCHMARKS or not file.name.startswith("test_"):
        return False
    wanted = selection.is_of_map(file.name, settings.device_map)
    return not (wanted and (file != REPLICAS or settings.replicas))


def parametrize(metafunc: pytest.Metafunc, settings: Settings) -> None:
    """Give a benchmark all its parameters. Ids hold scalars: they join baselines."""
    if len(settings.models) > 1:
        names = models.ids(settings.models)
        metafunc.parametrize("model", settings.models, ids=names, scope="session")
    arguments, values, ids = _quantizations(settings)
    metafunc.parametrize(arguments, values, ids=ids, scope="session")
    metafunc.parametrize("batch_size", settings.batch_sizes, ids="b{}".format)
    metafunc.parametrize("prompt_tokens", [settings.prompt_id], ids="p{}".format)
    own = {mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")}
    if "new_tokens" not in own:
        metafunc.parametrize("new_tokens", [settings.new_tokens], ids="n{}".format)
    if "replicas" in metafunc.fixturenames:
        metafunc.parametrize("replicas", settings.replicas or [1], ids="r{}".format)


def order(item: Any, settings: Settings) -> tuple[int, ...]:
    """Return where a test belongs: by model and quantization, so that each loads once, and mode.

    What is compiled comes last: it is there still when its work is counted. Within a mode warm-up
    comes first, and the profile last. Replicas come when no model is loaded here any more.
    """
    names = getattr(item, "fixturenames", ())
    if not is_benchmark(names):
        return (-1,)
    model = settings.models.index(selection.model_of(item, settings))
    given = item.callspec.params
    if "engine" not in names:
        return len(settings.models), model, given.get("replicas", 0)
    modes = sorted(settings.generations, key=lambda mode: MODES[mode].is_compiled)
    groups = [*itertools.product(settings.quantizations, modes)]
    first, last = map(item.get_closest_marker, ("runs_first", "runs_last"))
    group = given.get("quantization"), given.get("generation", DEFAULT)
    return model, groups.index(group), bool(last) - bool(first)


def loaded(item: Any) -> list[Any] | None:
    """Return what the model is of that a test wants loaded in this process: name, quantization."""
    if "engine" not in getattr(item, "fixturenames", ()) or not hasattr(item, "callspec"):
        return None
    return [item.callspec.params.get(name) for name in ("model", "quantization")]


def _quantizations(settings: Settings) -> tuple[Any, Any, list[str] | None]:
    """Return what quantization and mode are parametrized with: names, values, and their ids.

    The default mode is in no id, and alone it is no parameter either: stored ids stay what they
    are.
    """
    if settings.generations == (DEFAULT,):
        return "quantization", settings.quantizations, None
    pairs = [*itertools.product(settings.quantizations, settings.generations)]
    ids = [name if mode == DEFAULT else f"{name}-{mode}" for name, mode in pairs]
    return ("quantization", "generation"), pairs, ids
