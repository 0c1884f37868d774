"""The errors that the suite raises itself; each message is one line that a user can act on."""

from __future__ import annotations


class HarnessError(Exception):
    """Something went wrong that the suite understands: what, expected, got, next step."""


class InputError(HarnessError):
    """An option, a model or a file can't be used; found before anything is measured."""


class LibraryError(InputError):
    """Another library can't use an input, for a reason of its own: see `foreign.wrapped`."""


class WorkError(HarnessError):
    """The work that was done is not the work that was asked for, so its time means nothing."""


class OutOfMemoryError(HarnessError):
    """The device can't hold what was asked of it."""


class ProfilerError(HarnessError):
    """The profiler can't start, or recorded nothing."""


class AttestationError(HarnessError):
    """What ran is not what was asked for, so its numbers have the wrong name."""


class OutputError(HarnessError):
    """The model's output is wrong: fast and wrong is not fast."""


class ReplicaError(HarnessError):
    """One of several replicas died, hung or failed, and all others are ended."""
