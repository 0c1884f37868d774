"""What tests of the gate give a session, and read of it."""

from tests.running import LEAST

GATED = [*LEAST, "--gate"]


def end(outcome):
    """Return what the terminal shows of the gate."""
    return outcome.out.partition("= gate =")[2]


def words(outcome):
    """Return it as one line, however it was folded."""
    return " ".join(end(outcome).split())
