"""Words that a program chooses among, as numbers of the schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from ibouncer import errors

Number = TypeVar("Number")


def number_of(
    word: str,
    numbers: Mapping[str, Number],
    what: str,
    *,
    code: str,
    delivery: errors.Delivery | None = None,
) -> Number:
    """The word's number. Raises ClientError with this code for a word that is none of them.

    `delivery` is that of the call which would have sent it.
    """
    number = numbers.get(word)
    if number is None:
        allowed = ", ".join(f'"{name}"' for name in numbers)
        raise errors.ClientError(
            f"{word!r} is no {what}; there are {allowed}", code=code, delivery=delivery
        )
    return number
