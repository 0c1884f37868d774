"""The workflow's file, its jobs, and how the runner would run their lines."""

import subprocess
import sys
from pathlib import Path

import yaml

from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".github" / "workflows"
WORKFLOW = yaml.safe_load((FOLDER / "benchmarks.yml").read_text())
JOBS = WORKFLOW["jobs"]


def run(*command, **more):
    """Run a command to its end, and keep what it says."""
    kept = {"capture_output": True, "text": True, "timeout": PATIENCE_S}
    return subprocess.run(command, check=False, **kept, **more)


def tool(name, *arguments):
    """Run a command of this environment."""
    return run(Path(sys.executable).with_name(name), *arguments)


def as_the_runner(line, folder, environment):
    """Run a line of a workflow in a folder, as the runner would."""
    return run("bash", "-euo", "pipefail", "-c", line, cwd=folder, env=environment)


def commands(job):
    """Return the commands of a job: the words, and the environment of the step."""
    return [
        (step["run"], {name: str(value) for name, value in step.get("env", {}).items()})
        for step in JOBS[job]["steps"]
        if "run" in step
    ]
