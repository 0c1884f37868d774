"""A repository in which `ci` is run: the gate and the duet are played, git and files are real."""

from __future__ import annotations

import json
import os
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.__main__ import main
from benchmarks.commands import measuring
from benchmarks.common.packages import COMPARED
from benchmarks.config.settings import SAVED_TO
from tests import running
from tests.builders import promoted, save, verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

OPTIONS = "--model synthetic:llama-3.1-8b"
SAVED = Path(".benchmarks/gpu/0002_ci.json")
DOUBT = verdict("a", "INCONCLUSIVE")
SUSPICIOUS = {"verdicts": [{**DOUBT, "suspicious": True}], "exit_status": 11}
INSTALLED = {name: metadata.version(name).partition("+")[0] for name in COMPARED}


def pins(**others: str) -> str:
    """Return a file of pins: what is installed here, but for the others."""
    return "".join(f"{name}=={version}\n" for name, version in {**INSTALLED, **others}.items())


def git(*arguments: str) -> str:
    """Run git where we are, and return what it prints."""
    return running.git(Path(), *arguments)


def run(*arguments: str, options: str = OPTIONS) -> int:
    """Call the command as the workflow does."""
    return main(["ci", *arguments, "--options", options, "--summary", "summary.md"])


class Machine:
    """Plays the gate and the duet: keeps what was called, saves a session, answers a status."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Begin in a repository of three commits: the base, main after it, and a branch."""
        for name in [name for name in os.environ if name.startswith("GIT_")]:
            monkeypatch.delenv(name)
        git("init", "--quiet", "--initial-branch=main")
        self.commits: dict[str, str] = {}
        for name in ("base", "later", "head"):
            if name == "head":
                git("checkout", "--quiet", "-b", "branch", self.commits["base"])
            Path("what").write_text(name)
            Path("constraints.txt").write_text(pins())
            git("add", "what", "constraints.txt")
            git("commit", "--quiet", "--no-verify", "--no-gpg-sign", "--message", name)
            self.commits[name] = git("rev-parse", "HEAD")
        self.has_baseline()
        self.called: list[list[str]] = []
        self.variables: list[dict[str, str]] = []  # beside those of this process
        self.seen: str | None = None
        self.gate, self.duet, self.verdicts = 0, 0, [verdict("a", "NO CHANGE")]
        self.file: Path = SAVED  # in which the session is saved, as it says
        self.strangers: list[Path] = []  # that another job saves meanwhile
        self.saved: dict[str, Any] = {"day": 2, "commit": self.commits["head"], "verdicts": []}
        monkeypatch.setattr(measuring, "call_module", self._call)

    def _call(
        self,
        *module: str,
        said: list[str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> int:
        self.called.append(list(module))
        self.variables.append(dict(variables or {}))
        if module[0] == "pytest":
            for path in self.strangers:
                save(path, day=2)
            if self.saved:
                save(self.file, **self.saved)
                Path((variables or {})[SAVED_TO]).write_text(str(self.file))
            return self.gate
        what = Path(module[module.index("--base") + 1], "what")
        self.seen = what.read_text() if what.exists() else None  # checked out there meanwhile
        if said is not None:
            said.append("REGRESSED  <b>a</b>")
        (out,) = [Path(each.removeprefix("--out=")) for each in module if each.startswith("--out=")]
        out.mkdir(parents=True, exist_ok=True)  # this process runs two within a second
        (out / "verdicts.json").write_text(json.dumps({"verdicts": self.verdicts}))
        return self.duet

    def has_baseline(self, folder: str = ".benchmarks/gpu", **changes: Any) -> None:
        """Store a promoted session of the base."""
        usual = {"commit": self.commits["base"], "promoted": promoted()}
        save(Path(folder) / "0001_ci.json", **usual | changes)

    def suspect(self, duet: int = 0, **saved: Any) -> None:
        """Let the gate find something suspicious, and a duet that is run answer this status."""
        self.gate, self.duet = 11, duet
        self.saved |= SUSPICIOUS | saved

    @property
    def promoted(self) -> Any:
        """What the new session's file says of its promotion."""
        return json.loads(self.file.read_text())["llm_int8"]["promoted"]
