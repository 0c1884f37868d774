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


LOGIN = "log in with `hf auth login`"


def download(model: str, revision: str | None, say: Callable[[str], None]) -> tuple[Path, str]:
    """Fetch a hub model's safetensors, configuration and tokenizer; returns folder and commit."""
    from huggingface_hub import snapshot_download

    say(f"looking for {model}")
    failure = _unreachable(model, revision)
    try:
        folder = snapshot_download(
            model,
            revision=revision,
            local_files_only=failure is not None,
            allow_patterns=["*.json", "model*.safetensors", "tokenizer*", "*.txt"],
            ignore_patterns=["original/*", "consolidated*"],
        )
    except Exception as error:  # the hub's client raises what its HTTP library does
        raise InputError(_advice(_cause(error, failure), model, revision)) from error
    return Path(folder), Path(folder).name


def config_folder(model: str, revision: str | None, *, fetch: bool) -> Path | None:
    """Return the folder in the hub's cache that has a model's config.json, which is fetched alone.

    Without `fetch` it is the one that is there; None if none is.
    """
    from huggingface_hub import hf_hub_download

    failure = _unreachable(model, revision) if fetch else None
    local = not fetch or failure is not None
    try:
        return Path(
            hf_hub_download(model, "config.json", revision=revision, local_files_only=local)
        ).parent
    except Exception as error:  # as above
        if not fetch:
            return None
        raise InputError(_advice(_cause(error, failure), model, revision)) from error


def _unreachable(model: str, revision: str | None) -> Exception | None:
    """Return why the hub can't be reached; None if it answers, whatever it says of the model.

    Its client would try for 24 seconds, with a warning each time.
    """
    from huggingface_hub import HfApi, constants, errors

    try:
        HfApi().model_info(model, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except (errors.HfHubHTTPError, errors.HFValidationError):
        return None
    except Exception as error:  # what its HTTP library raises
        return error
    return None


def _cause(error: Exception, failure: Exception | None) -> Exception:
    """Return why a model can't be had: if the cache lacks it, that is why the hub wasn't asked."""
    from huggingface_hub import errors

    return failure if failure and isinstance(error, errors.LocalEntryNotFoundError) else error


def _advice(error: Exception, model: str, revision: str | None) -> str:
    """Return what went wrong and what to do, without the error's text, which may hold a token."""
    from huggingface_hub import errors

    if isinstance(error, errors.RevisionNotFoundError):
        return f"--revision: {model} has no revision {revision!r}"
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return f"--model {model}: expected a model with a config.json, got a repository without one"
    if isinstance(error, errors.HFValidationError):
        return f"--model: expected a hub id, a folder or synthetic:NAME; got {model!r}"
    if isinstance(error, errors.GatedRepoError):
        says = f"access is restricted; ask for it on the model's page and {LOGIN}, or {NEXT_STEP}"
    elif isinstance(error, errors.RepositoryNotFoundError):
        says = f"no such model on the hub, or no access; check the name, {LOGIN}, or {NEXT_STEP}"
    elif files.is_disk_full(error):
        says = "the disk is full; free some, or set HF_HOME to a larger disk"
    elif isinstance(error, PermissionError):
        says = "can't write the hub's cache; set HF_HOME to a folder that can be written"
    elif getattr(getattr(error, "response", None), "status_code", None) == 401:
        says = f"the hub refused the access token; {LOGIN}, or {NEXT_STEP}"
    elif isinstance(error, errors.OfflineModeIsEnabled):
        says = (
            "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set, and this machine's cache lacks the "
            f"model; unset it, or {NEXT_STEP}"
        )
    else:
        says = (
            "can't reach the hub, and this machine's cache lacks the model "
            f"({type(error).__name__}); connect, or {NEXT_STEP}"
        )
    return f"--model {model}: {says}"
