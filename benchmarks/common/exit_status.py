"""What a session or a command ends with, and which of several statuses counts. Pure."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """Statuses of the suite and of pytest, in numbers that scripts may rely on."""

    FINE = 0
    FAILED = 1  # a benchmark failed, or a verdict is REGRESSED
    INTERRUPTED = 2
    ERROR = 3
    WRONG_INPUT = 4  # nothing was measured
    NOTHING_SELECTED = 5
    NOTHING_COMPARED = 10  # not comparable, missing, or nothing was compared
    UNDECIDED = 11  # inconclusive or suspicious
    INVALID = 12  # the machine's state made times invalid that were to be judged


# Of several that apply, the first one counts. The others end a session whatever is judged.
ORDER: tuple[int, ...] = (
    ExitStatus.FAILED,
    ExitStatus.INVALID,
    ExitStatus.NOTHING_COMPARED,
    ExitStatus.UNDECIDED,
    ExitStatus.NOTHING_SELECTED,
    ExitStatus.FINE,
)
JUDGED: frozenset[int] = frozenset(ORDER) - {ExitStatus.NOTHING_SELECTED}  # answers of judging
OPEN = JUDGED - {ExitStatus.FAILED, ExitStatus.FINE}
MEANS: dict[int, str] = {
    ExitStatus.FAILED: "a benchmark failed, or got worse",
    ExitStatus.INTERRUPTED: "interrupted before all benchmarks had run",
    ExitStatus.ERROR: "an unexpected error, or a file that could not be written",
    ExitStatus.WRONG_INPUT: "wrong input; nothing was measured",
    ExitStatus.NOTHING_SELECTED: "no benchmark was selected",
    ExitStatus.NOTHING_COMPARED: "not everything could be compared",
    ExitStatus.UNDECIDED: "undecided (INCONCLUSIVE), or suspicious",
    ExitStatus.INVALID: "the machine was too busy or too unsteady for its times to be judged",
}


def first(*statuses: int) -> int:
    """Return which of these counts; the first one if it is none that judging can change."""
    if any(each not in ORDER for each in statuses):
        return statuses[0]
    return min(statuses, key=ORDER.index)


def listed() -> str:
    """Return what a session may exit with, for its help: a line for each status."""
    fine = {int(ExitStatus.FINE): "every benchmark passed, and with --gate nothing got worse"}
    return "\n".join(
        f"  {status:<2}  {'with --gate: ' * (status in OPEN)}{says}"
        for status, says in {**fine, **MEANS}.items()
    )
