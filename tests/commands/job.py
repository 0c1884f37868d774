"""A job of the workflow in a real repository; the GPU's part, the gate and the duet, is played."""

import json
import os
from importlib import metadata
from pathlib import Path

from benchmarks.__main__ import main
from benchmarks.commands import ci
from benchmarks.common.packages import COMPARED
from tests import running
from tests.builders import promoted, save, verdict

OPTIONS = "--model synthetic:llama-3.1-8b"
SAVED = Path(".benchmarks/gpu/0002_ci.json")
SUSPICIOUS = verdict("a", "INCONCLUSIVE", suspicious=True)
INSTALLED = {name: metadata.version(name).partition("+")[0] for name in COMPARED}


def pins(**others):
    """Return a file of pins: what is installed here, but for the others."""
    return "".join(f"{name}=={version}\n" for name, version in {**INSTALLED, **others}.items())


def git(*arguments):
    """Run git where we are, and return what it prints."""
    return running.git(Path(), *arguments)


class Job:
    """Plays the gate and the duet: keeps what was called, saves a session, answers a status."""

    def __init__(self, monkeypatch):
        """Begin in a repository of three commits: the base, main after it, and a branch."""
        for name in [name for name in os.environ if name.startswith("GIT_")]:
            monkeypatch.delenv(name)
        git("init", "--quiet", "--initial-branch=main")
        self.commits = {}
        for name in ("base", "later", "head"):
            if name == "head":
                git("checkout", "--quiet", "-b", "branch", self.commits["base"])
            Path("what").write_text(name)
            Path("constraints.txt").write_text(pins())
            git("add", "what", "constraints.txt")
            git("commit", "--quiet", "--no-verify", "--no-gpg-sign", "--message", name)
            self.commits[name] = git("rev-parse", "HEAD")
        self.has_baseline()
        self.called = []
        self.seen = None
        self.gate, self.duet, self.verdicts = 0, None, [verdict("a", "NO CHANGE")]
        self.saved = {"day": 2, "commit": self.commits["head"], "verdicts": []}
        monkeypatch.setattr(ci, "_call", self._call)

    def _call(self, *module, said=None):
        self.called.append(list(module))
        if module[0] == "pytest":
            if self.saved:
                save(SAVED, **self.saved)
            return self.gate
        what = Path(module[module.index("--base") + 1], "what")
        self.seen = what.read_text() if what.exists() else None  # checked out there meanwhile
        said.append("REGRESSED  <b>a</b>")
        (out,) = [Path(each.removeprefix("--out=")) for each in module if each.startswith("--out=")]
        out.mkdir(parents=True, exist_ok=True)  # this process runs two within a second
        (out / "verdicts.json").write_text(json.dumps({"verdicts": self.verdicts}))
        return self.duet

    def has_baseline(self, **changes):
        """Store a promoted session of the base."""
        path = Path(".benchmarks/gpu/0001_ci.json")
        save(path, commit=self.commits["base"], promoted=promoted(), **changes)

    def suspect(self, duet=None, **saved):
        """Let the gate find something suspicious, and a duet that is run answer this status."""
        self.gate, self.duet = 11, duet
        self.saved |= {"verdicts": [SUSPICIOUS], "exit_status": 11} | saved

    @property
    def promoted(self):
        """What the new session's file says of its promotion."""
        return json.loads(SAVED.read_text())["llm_int8"]["promoted"]

    def run(self, *arguments, options=OPTIONS):
        """Call the command as the workflow does."""
        return main(["ci", *arguments, "--options", options, "--summary", "summary.md"])
