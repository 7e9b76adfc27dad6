"""How the wire's figures and times become numbers and datetimes, for everything that is not hot.

Gateway says "not known" in several ways: an absent field, an empty text, the largest double, the
largest integer. All of them are None here. Texts that are no figure are None too: what Gateway
sends never makes a call fail.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, timezone
from zoneinfo import ZoneInfo

# A moment, or a day.
When = datetime | date | None

_LARGEST_DOUBLE = 1.7976931348623157e308
_UNSET_TEXTS = {"", "2147483647", "9223372036854775807", "-9223372036854775808"}
# "20240131 09:30:00 US/Eastern", with one or two spaces, a dash that means UTC, or a Z behind it.
_TEXT_TIME = re.compile(r"(\d{8})(?:( {1,2}|-)(\d{2}:\d{2}:\d{2})(?: *(\S.*))?)?")


def figure(value: float) -> float | None:
    """A double, None if it is the largest one."""
    return None if value == _LARGEST_DOUBLE else value


def whole(value: int) -> int | None:
    """A whole number, None if it is the largest one."""
    return None if value == 2147483647 else value


def text_figure(text: str) -> float | None:
    """A decimal text, None if it says nothing."""
    if text in _UNSET_TEXTS:
        return None
    try:
        return figure(float(text))
    except ValueError:
        return None


def amount(text: str) -> float:
    """A quantity, where none means 0."""
    return text_figure(text) or 0.0


def from_seconds(seconds: float) -> datetime:
    """Unix time, in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc)


def time_of(text: str) -> When:
    """A time as Gateway writes it: a date for a day, without a zone if it names none.

    None for a text that is no time, or a zone that this machine does not know.
    """
    found = _TEXT_TIME.fullmatch(text)
    if found is None:
        # Eight digits are a day, any other number is Unix time.
        return from_seconds(int(text)) if text.isdecimal() else None
    day, between, clock, zone = found.groups()
    try:
        if clock is None:
            return datetime.strptime(day, "%Y%m%d").date()
        when = datetime.strptime(f"{day} {clock}", "%Y%m%d %H:%M:%S")
        if zone is None and between != "-":
            return when
        utc = zone in (None, "Z", "UTC", "GMT")
        return when.replace(tzinfo=timezone.utc if utc else ZoneInfo(str(zone)))
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return None


def moment_text(when: datetime | str) -> str:
    """A time as Gateway wants it, in UTC; a text goes as it is."""
    if isinstance(when, str):
        return when
    if not isinstance(when, datetime):
        raise TypeError(f"{when!r} is no time: use datetime(…, tzinfo=timezone.utc)")
    if when.tzinfo is None:
        raise ValueError(f"{when} names no time zone: use datetime(…, tzinfo=timezone.utc)")
    return when.astimezone(timezone.utc).strftime("%Y%m%d-%H:%M:%S")


def words(text: str) -> tuple[str, ...]:
    """A list that is joined by commas."""
    return tuple(word for word in text.split(",") if word)


def joined(items: str | Iterable[object]) -> str:
    """The other way round."""
    return items if isinstance(items, str) else ",".join(str(item) for item in items)
