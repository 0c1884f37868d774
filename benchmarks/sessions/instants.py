"""When sessions were saved: one form of text for each instant, whatever zone a file has it in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

APART = timedelta(minutes=10)  # by which clocks of machines may differ


def now() -> datetime:
    """Return this instant."""
    return datetime.now(UTC)


def in_utc(text: str) -> str:
    """Return ISO 8601 in UTC: such texts have the order of their instants, and undated ones first.

    Without a zone it is UTC, as older releases of pytest-benchmark have it. Raises ValueError for
    what is no date.
    """
    if not text:
        return ""
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC).isoformat()
    except OverflowError as error:  # at one of both ends of the calendar
        raise ValueError(f"{text!r} is beyond the calendar") from error


def is_ahead(when: str) -> bool:
    """Whether this instant, in UTC, has yet to come, by more than clocks differ."""
    return bool(when) and datetime.fromisoformat(when) > now() + APART


def to_the_minute(when: str) -> str:
    """Return an instant in UTC as a person reads it."""
    return f"{when[:16].replace('T', ' ')} UTC" if when else "undated"
