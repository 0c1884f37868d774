"""Renew the examples and the pictures of README and docs: `make examples`.

An example stands in a page between `<!-- example: NAME -->` and `<!-- end -->`. Its commands are
run in a fresh clone of this repository, on the CPU, and what they print replaces what was there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from docs import report_picture, terminal

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "examples"
CLONE = BUILD / "llm-int8-benchmarks"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(
    r"(<!-- example: (\S+) -->\n\n```console\n)(.*?)(```\n\n<!-- end -->)", re.DOTALL
)
LEFT_OUT = "…"
# make hands ARGS down to each make below it, where they would be those of an example's command.
NOT_INHERITED = (
    *("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "PYTHONPATH"),
    *("ARGS", "MAKEFLAGS", "MAKELEVEL"),
)
TRIES = 3  # of a session during which the machine can't be trusted


@dataclass(frozen=True)
class Shown:
    """Which lines of an example's output its page shows."""

    begins: str = ""  # the first line that is looked at; of an output without it: the last one
    only: tuple[str, ...] = ("",)  # how lines that are shown begin
    never: tuple[str, ...] = ("=",)  # how others begin, which no line stands for
    first: int = 99
    last: int = 2
    may_be_invalid: bool = False

    def of(self, output: str) -> list[str]:
        """Return these lines; a mark stands for those that are left out between them."""
        lines = output.splitlines()
        starts = [at for at, line in enumerate(lines) if re.match(self.begins, line)]
        at = starts[0] if starts else len(lines) - 1
        found: list[str] = []
        for line in lines[at:]:
            if not line.strip() or any(re.match(each, line) for each in self.never):
                continue
            if any(re.match(each, line) for each in self.only):
                found.append(line.rstrip())
            elif found and found[-1] != LEFT_OUT:
                found.append(LEFT_OUT)
        if len(found) > self.first + self.last:
            found = [*found[: self.first], LEFT_OUT, *found[-self.last :]]
        return found[:-1] if found[-1:] == [LEFT_OUT] else found


EXAMPLES = {  # in this order: `baselines` lists what `caught` saved
    "caught": Shown(r"versions: .* -> ", never=("=", "gate: "), first=12, last=4),
    "baselines": Shown(),
    "duet": Shown(
        never=(
            "=",
            "restart",
            r"(base|head) \(",
            "int8-decomp: ",
            "3 restarts",
            r"\S+: installing",
            "    ",  # the rest of a line that is folded
        ),
        first=10,
        last=4,
    ),
    "invalid": Shown("", ("INVALID: ", "saved: ", ".*can't be trusted"), may_be_invalid=True),
    "first": Shown(
        only=(
            "model: ",
            "versions: ",
            r"(warmup|throughput|profile)\[.*\]( !)?  ",
            "benchmark  ",
            "saved: ",
        ),
    ),
}


def main(names: list[str]) -> None:
    """Renew these examples, or all of them and the pictures."""
    wanted = names or [*EXAMPLES, "pictures"]
    if not CLONE.exists() or not names:
        _clone()
    for name in filter(wanted.__contains__, EXAMPLES):
        page = next(page for page in PAGES if f"<!-- example: {name} -->" in page.read_text())
        _renew(page, name)
    if "pictures" in wanted:
        (ROOT / "docs" / "caught.svg").write_text(terminal.picture(pictured()))
        _report()


def blocks(page: Path) -> list[re.Match[str]]:
    """Return the examples of a page: all before, name, commands and output, all after."""
    return list(BLOCK.finditer(page.read_text(encoding="utf-8")))


def commands(block: str) -> list[str]:
    """Return the commands of an example."""
    return [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]


def pictured() -> list[str]:
    """Return what the picture of a caught regression shows: the last command, and its output."""
    (block,) = [each[3] for each in blocks(ROOT / "README.md") if each[2] == "caught"]
    lines = block.splitlines()
    last = max(at for at, line in enumerate(lines) if line.startswith("$ "))
    return lines[last:]


def _clone() -> None:
    """Clone what is committed, so that an example shows what a new user sees."""
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    _call(["git", "clone", "--quiet", str(ROOT), str(CLONE)])
    (CLONE / ".venv").symlink_to(sys.prefix)


def _renew(page: Path, name: str) -> None:
    """Run the commands of an example, and put what they print below each."""
    block = next(each for each in blocks(page) if each[2] == name)
    shown: list[str] = []
    for command in commands(block[3]):
        sys.stderr.write(f"{name}: $ {command}\n")
        shown += [f"$ {command}", *_output(command, EXAMPLES[name])]
    if not any(line[:2] != "$ " for line in shown):
        sys.exit(
            f"make examples: {name}: nothing of its output is to be shown: {BUILD}/outputs.txt"
        )
    text = page.read_text(encoding="utf-8")
    new = "".join((block[1], *(f"{line}\n" for line in shown), block[4]))
    page.write_text(text.replace(block[0], new), encoding="utf-8")


def _output(command: str, shown: Shown) -> list[str]:
    """Return what is shown of a command's output. Of an untrusted machine nothing is shown."""
    if "pip install" in command:
        _call(["bash", "-c", command], CLONE)
        return []  # pip tells of the network here
    for _ in range(TRIES):
        output = _call(["bash", "-c", command], CLONE)
        with (BUILD / "outputs.txt").open("a", encoding="utf-8") as whole:
            whole.write(f"$ {command}\n{output}")
        if shown.may_be_invalid or "INVALID" not in output:
            return shown.of(output)
    sys.exit(f"make examples: {command}: its times can't be trusted here; try again later")


def _report() -> None:
    """Picture the report of a session that draws all there is."""
    page = BUILD / "report.html"
    options = "--quantization int8-decomp,int8 -k throughput --artifacts artifacts"
    _output(f"pytest benchmarks {options} --report {page}", Shown())
    report_picture.main(page, ROOT / "docs" / "report.png")


def _call(command: list[str], folder: Path = ROOT) -> str:
    """Run a command on the CPU, and return what it prints. Its status is the reader's to see."""
    path = os.pathsep.join((str(CLONE / ".venv" / "bin"), os.environ["PATH"]))  # it is activated
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "COLUMNS": "80", "PATH": path}
    for name in NOT_INHERITED:
        environment.pop(name, None)
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout.replace(str(CLONE), "~/llm-int8-benchmarks")


if __name__ == "__main__":
    main(sys.argv[1:])
