"""What tests of duets share: wheels for pip, and commands as a user runs them."""

import pytest

from benchmarks import __main__ as door
from tests.duets import FAST
from tests.local_packages import BROKEN, SLOW, pip_in_forks, pip_variables, write_wheel


@pytest.fixture(scope="module")
def variables(environment, tmp_path_factory):
    """Return the environment in which workers find the tests' checkpoint, and pip four releases.

    The third can't be imported, and the last makes decoding slow.
    """
    index = tmp_path_factory.mktemp("index")
    for number, module in enumerate(["", "", BROKEN, SLOW]):
        write_wheel(index, "sluggish", f"1.{number}", module)
    return {**environment, **pip_variables(index)}


@pytest.fixture
def command(variables, machine, monkeypatch, capfd, tmp_path):  # noqa: ARG001 (it is installed)
    """Return a function that runs a command: its status, and what it says. Results are in `out`."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    def run(*arguments):
        with pip_in_forks():
            status = door.main([*arguments[:1], *FAST, f"--out={tmp_path / 'out'}", *arguments[1:]])
        said, complaints = capfd.readouterr()
        return status, said + complaints

    return run
