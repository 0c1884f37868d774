"""What tests of the gate give a session, and read of it."""

from tests.running import LEAST

GATED = [*LEAST, "--gate"]


def end(outcome):
    """Return what the terminal shows of the gate."""
    return outcome.out.partition("= gate =")[2]
