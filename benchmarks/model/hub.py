"""Fetch a model from the hub, or say in one line why that can't be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common import files
from benchmarks.common.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

HUB_MODEL = "meta-llama/Llama-3.1-8B"
NEXT_STEP = "use --model synthetic:llama-3.1-8b (or synthetic:tiny), which needs no download"


def download(model: str, revision: str | None, say: Callable[[str], None]) -> tuple[Path, str]:
    """Fetch a hub model's safetensors, configuration and tokenizer; returns folder and commit."""
    from huggingface_hub import errors, snapshot_download

    say(f"looking for {model}")
    try:
        folder = snapshot_download(
            model,
            revision=revision,
            allow_patterns=["*.json", "model*.safetensors", "tokenizer*", "*.txt"],
            ignore_patterns=["original/*", "consolidated*"],
        )
    except errors.GatedRepoError as error:
        raise InputError(
            f"--model {model}: access is restricted; ask for it on the model's page and log in "
            f"with `hf auth login`, or {NEXT_STEP}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(f"--revision: {model} has no revision {revision!r}") from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"--model {model}: no such model on the hub, or no access; check the name, log in "
            f"with `hf auth login`, or {NEXT_STEP}"
        ) from error
    except errors.HFValidationError as error:
        raise InputError(
            f"--model: expected a hub id, a folder or synthetic:NAME; got {model!r}"
        ) from error
    except Exception as error:  # the hub's client raises what its HTTP library does
        if files.is_disk_full(error):
            raise InputError(
                f"--model {model}: the disk is full; free some, or set HF_HOME to a larger disk"
            ) from error
        if isinstance(error, PermissionError):
            raise InputError(
                f"--model {model}: can't write the hub's cache; "
                "set HF_HOME to a folder that can be written"
            ) from error
        if getattr(getattr(error, "response", None), "status_code", None) == 401:
            raise InputError(
                f"--model {model}: the hub refused the access token; log in with "
                f"`hf auth login`, or {NEXT_STEP}"
            ) from error
        raise InputError(
            f"--model {model}: can't reach the hub, and this machine's cache lacks the model "
            f"({type(error).__name__}); connect, or {NEXT_STEP}"
        ) from error
    return Path(folder), Path(folder).name
