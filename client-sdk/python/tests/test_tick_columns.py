"""Ticks by columns: the same facts as the objects, in the same order, on every kind of stream."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from fake_broker import FakeBroker, price, size, text
from test_bulk import CONTRACTS, any_event, one_by_one, wire

import ibouncer
from ibouncer import Mark, MarkKind, TextTick, Tick, TickColumns, bulk
from ibouncer.tick_columns import in_columns


def flat(batch: list[TickColumns | ibouncer.Event]) -> list[ibouncer.Event]:
    events: list[ibouncer.Event] = []
    for item in batch:
        events += item if isinstance(item, TickColumns) else [item]
    return events


def test_columns_hold_what_the_objects_do() -> None:
    data = wire(
        *(price(1, number, 4, 189.5, "100", number == 1) for number in range(1, 9)),
        *(size(2, number, 500, "7") for number in range(1, 9)),
        price(3, 1, -1, 0.5),
    )
    columns = bulk.read_columns(data, CONTRACTS)
    assert columns is not None and len(columns) == 17
    assert list(columns) == one_by_one(data)
    assert columns.fields[0] == "last" and columns.fields[8:] == ["tick_500"] * 8 + ["tick_-1"]
    assert columns.tick_types[8] == 500 and columns.sizes[8:] == [None] * 9
    assert columns.replayed == [True] + [False] * 16


def test_columns_are_not_made_of_anything_else() -> None:
    ticks = [price(1, number, 4, 1.0) for number in range(1, 9)]
    assert bulk.read_columns(wire(*ticks, text(1, 9, 45, "1")), CONTRACTS) is None
    assert bulk.read_columns(wire(*ticks, price(77, 9, 4, 1.0)), CONTRACTS) is None
    assert bulk.read_columns(wire(), CONTRACTS) is None


def test_any_events_in_columns_are_the_same_events() -> None:
    for seed in range(100):
        chance = random.Random(seed)
        events = one_by_one(wire(*(any_event(chance) for _ in range(chance.randrange(30)))))
        grouped = in_columns(events)
        assert [repr(event) for event in flat(grouped)] == [repr(event) for event in events]
        assert not any(type(item) is Tick for item in grouped)


async def test_a_stream_gives_columns_and_says_everything_else(runtime: Path) -> None:
    async with FakeBroker() as broker:
        await broker.start(unix=runtime / "ibouncer.sock")
        async with ibouncer.connect() as session, session.quotes("AAPL") as quotes:
            seen: list[TickColumns | ibouncer.Event] = []
            while len(flat(seen)) < 5:
                seen += await quotes.next_columns() or []
            assert [type(event) for event in flat(seen)] == [Mark, Tick, Tick, TextTick, Tick]
            server = await broker.stream()
            server.push(*(price(1, number, 4, float(number), "5") for number in range(5, 15)))
            (columns,) = await quotes.next_columns() or []
            assert isinstance(columns, TickColumns) and columns.values == list(range(5, 15))
            # What was read by columns counts when the stream breaks.
            await broker.stop()
            await broker.start(unix=runtime / "ibouncer.sock")
            (stale,) = await quotes.next_columns() or []
            assert isinstance(stale, Mark) and stale.kind is MarkKind.STALE
            reading = asyncio.ensure_future(quotes.next_columns())
            (await broker.stream()).push(*(price(1, number, 4, 3.0) for number in range(1, 9)))
            resumed, *ticks = flat(await reading or [])
            assert isinstance(resumed, Mark) and "last one before was 14" in resumed.because
            assert ticks
        assert await quotes.next_columns() is None
