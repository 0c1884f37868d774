"""A model without weights: what its config.json describes, and what one pass of it does."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.common import foreign
from benchmarks.common.errors import InputError
from benchmarks.common.text import first_line
from benchmarks.config.options import ATTENTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import torch

    from benchmarks.model.checkpoint import Checkpoint

PROMPT = 4  # tokens of the pass


@dataclass(frozen=True)
class Pass:
    """What one pass did: how often each linear ran, and whether it returned a cache.

    `idle` are the modules of whose weights it read none: a vision tower's. `deep` are the linears
    whose inputs had more dimensions than rows, tokens and features.
    """

    linears: Mapping[str, int]
    idle: frozenset[str]
    deep: frozenset[str]
    has_cache: bool


def build(checkpoint: Checkpoint, attention: str) -> Any:
    """Return the model that a checkpoint's config.json describes, in bfloat16, without weights.

    Raises InputError if transformers can't build it, or has no such attention for it.
    """
    try:
        return _build(checkpoint, attention)
    except Exception as error:
        if "auto_map" in checkpoint.config:
            raise InputError(
                f"--model {checkpoint.name}: expected an architecture that transformers has, got "
                "one whose code is in the checkpoint (auto_map in its config.json), which is never "
                "run; give a model that needs none"
            ) from error
        for other in ATTENTIONS:
            if other != attention and _can_be_built(checkpoint, other):
                raise InputError(
                    f"--attn-implementation {attention}: expected one that works for "
                    f"{checkpoint.name}, got {_unusable(error, checkpoint)}; write "
                    f"--attn-implementation {other}"
                ) from error
        what = f"--model {checkpoint.name}: transformers can't build it from its config.json"
        raise foreign.wrapped(what, error) from error


def dry_pass(model: Any) -> Pass | None:
    """Return what a pass of a model without weights does; None if it can't run without them.

    Whatever depends on values, such as the choice of an expert, may not.
    """
    import torch

    read: set[int] = set()
    names = {module: name for name, module in linears(model).items()}
    ran = Counter(dict.fromkeys(names.values(), 0))
    deep: set[str] = set()

    def see(module: Any, inputs: tuple[torch.Tensor, ...], _: object) -> None:
        ran.update([names[module]])
        if inputs[0].dim() > 3:
            deep.add(names[module])

    hooks = [module.register_forward_hook(see) for module in names]
    asked = model.config._attn_implementation
    ids = torch.zeros(1, PROMPT, dtype=torch.long, device="meta")
    try:
        model.set_attn_implementation("eager")  # the others look at the mask's values
        with torch.inference_mode(), _keeping(read):
            found = model.eval()(input_ids=ids, use_cache=True)
    except Exception:  # whatever needs values raises
        return None
    finally:
        for hook in hooks:
            hook.remove()
        model.set_attn_implementation(asked)
    idle = {
        name
        for name, module in model.named_modules()
        if (own := _own(module)) and not read.intersection(map(_storage, own))
    }
    return Pass(ran, frozenset(idle), frozenset(deep), cache_of(found) is not None)


def cache_of(output: Any) -> Any:
    """Return the cache that a pass returned, under either of its names; None without one."""
    return getattr(output, "past_key_values", None) or getattr(output, "cache_params", None)


def linears(model: Any) -> dict[str, Any]:
    """Return all linears by name, those of classes of a library's own included."""
    import torch

    return {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}


def quantizable(model: Any, skipped: Iterable[str] = ()) -> tuple[list[str], list[str]]:
    """Return the linears that a quantization replaces, and those that it leaves as they are.

    The output head stays in 16 bits, and so does what a model keeps in 32 bits. Of the others
    transformers replaces those whose class is torch's own. `skipped` are parts of names that a
    quantized checkpoint leaves out.
    """
    import torch

    head = model.get_output_embeddings()
    kept = {*kept_in_32_bits(model), *skipped}
    replaced: list[str] = []
    left: list[str] = []
    for name, module in linears(model).items():
        ours = type(module) is torch.nn.Linear and module is not head
        out = is_part(name, kept)
        (replaced if ours and not out else left).append(name)
    return replaced, left


def _keeping(read: set[int]) -> Any:
    """Return a context that keeps whose storages operators read.

    A weight may be used without its linear, which hooks of modules don't see.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Reading(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch's own lack types
        def __torch_dispatch__(self, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = tree_leaves((args, kwargs))
            read.update(_storage(each) for each in given if isinstance(each, torch.Tensor))
            return func(*args, **(kwargs or {}))

    return Reading()  # type: ignore[no-untyped-call] # likewise


def _own(module: Any) -> list[torch.Tensor]:
    """Return the weights and buffers of a module without those of its parts."""
    return [*module.parameters(recurse=False), *module.buffers(recurse=False)]


def _storage(tensor: torch.Tensor) -> int:
    """Return what a tensor and its views have in common; without weights none has an address."""
    return int(tensor.untyped_storage()._cdata)


def kept_in_32_bits(model: Any) -> set[str]:
    """Return the parts of names of what an architecture keeps in 32 bits, whatever is asked for."""
    lists = ("_keep_in_fp32_modules", "_keep_in_fp32_modules_strict")
    return {part for each in lists for part in getattr(model, each, None) or ()}


def made_in_32_bits(model: Any) -> set[str]:
    """Return the names of the weights that an architecture makes in 32 bits, in no list of its own.

    Zamba's A_log is one. The model is one of `build`, which asks for 16.
    """
    import torch

    return {name for name, each in model.named_parameters() if each.dtype == torch.float32}


def is_part(name: str, parts: Iterable[str]) -> bool:
    """Tell if a name has one of these parts, which may be several words: `indexer.proj`."""
    return any(f".{part}." in f".{name}." for part in parts)


def _unusable(error: Exception, checkpoint: Checkpoint) -> str:
    """Return why an attention can't be used: its package is missing, or the architecture has none.

    transformers looks first for what the architecture has.
    """
    if "does not support" in str(error):
        return f"one that transformers doesn't have for {checkpoint.config.get('model_type')}"
    missing = "whose package isn't installed, or " if isinstance(error, ImportError) else "that "
    return f"one {missing}can't be used here ({first_line(error).rstrip('.')})"


def _can_be_built(checkpoint: Checkpoint, attention: str) -> bool:
    try:
        _build(checkpoint, attention)
    except Exception:  # as above
        return False
    return True


def _build(checkpoint: Checkpoint, attention: str) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(checkpoint.path, trust_remote_code=False)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(
            config,
            attn_implementation=attention,
            dtype=torch.bfloat16,
            trust_remote_code=False,
        )
