"""Where a subscription stands, batch by batch, without a broker."""

from __future__ import annotations

from typing import Any

import pytest

import ibouncer
from ibouncer import Mark, MarkKind, Tick
from ibouncer.continuity import Continuity

AAPL = ibouncer.stock("AAPL")


def mark(kind: MarkKind, line: str, sequence: int = 0, missed: int | None = None) -> Mark:
    return Mark(1, AAPL, kind, "", 3, line=line, sequence=sequence, missed=missed)


def tick(sequence: int) -> Tick:
    return Tick(1, AAPL, sequence, "last", 1.0, None, False, 0)


def broken() -> Continuity:
    """Of a stream whose broker went away behind event 41."""
    continuity = Continuity(lambda _: None)
    continuity.contracts[1] = AAPL
    continuity.pass_on([mark(MarkKind.SUBSCRIBED, "line-9"), tick(41)])
    continuity.on_broken("gone", {1: AAPL})
    return continuity


@pytest.mark.parametrize(
    ("first", "line"),
    [
        ([], "line-1"),
        ([mark(MarkKind.RESUMED, "line-1", 4)], "line-1"),
        ([mark(MarkKind.RESUMED, "line-9", 4, missed=0)], "line-9"),
    ],
)
def test_the_last_number_is_that_of_the_last_event_though_one_batch_was_all(
    first: list[Any], line: str
) -> None:
    continuity = broken()
    continuity.pass_on([mark(MarkKind.SUBSCRIBED, line)])
    told = continuity.pass_on([*first, tick(5), tick(6), tick(7)])
    assert [type(event) for event in told] == [Mark, Tick, Tick, Tick]
    continuity.on_broken("gone again", {1: AAPL})
    point = continuity.resume_point(1)
    assert point is not None and (point.line, point.sequence) == (line, 7)
    continuity.pass_on([mark(MarkKind.SUBSCRIBED, "line-2")])
    resumed = continuity.pass_on([tick(1)])[0]
    assert isinstance(resumed, Mark) and resumed.because.endswith("the last one before was 7")


def test_a_mark_before_data_does_not_turn_the_number_back() -> None:
    continuity = Continuity(lambda _: None)
    continuity.contracts[1] = AAPL
    continuity.pass_on([mark(MarkKind.SUBSCRIBED, "line-9", 40), tick(41), tick(42)])
    continuity.on_broken("gone", {1: AAPL})
    point = continuity.resume_point(1)
    assert point is not None and point.sequence == 42
