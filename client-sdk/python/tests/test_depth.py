"""Books, single trades and real-time bars; waiting for a line; resuming where a stream broke."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from fake_broker import price
from fake_lines import served

import ibouncer
from ibouncer import Book, BookRow, Mark, MarkKind
from ibouncer._pb.ibouncer.v1 import market_data_pb2 as pb
from ibouncer._pb.ibouncer.v1 import stream_pb2
from ibouncer._pb.tws.v1 import depth_pb2, history_pb2, tick_pb2
from ibouncer.ticks import decode


def change(operation: int, side: int, position: int, value: float, maker: str = "") -> Any:
    data = depth_pb2.MarketDepthData(
        operation=operation, side=side, position=position, price=value, size="3"
    )
    if not maker:
        body = {"market_depth": depth_pb2.MarketDepth(market_depth_data=data)}
    else:
        data.market_maker, data.is_smart_depth = maker, True
        body = {"market_depth_l2": depth_pb2.MarketDepthL2(market_depth_data=data)}
    return pb.MarketDataEvent(subscription_id=1, sequence=1, **body)  # type: ignore[arg-type]


def mark(kind: str, **fields: Any) -> Any:
    sequence = fields.pop("sequence", 0)
    number = stream_pb2.MarkKind.Value(f"MARK_KIND_{kind}")
    return pb.MarketDataEvent(
        subscription_id=1, sequence=sequence, mark=stream_pb2.StreamMark(kind=number, **fields)
    )


@pytest.mark.parametrize("seed", range(20))
def test_a_book_is_what_a_naive_model_says(seed: int) -> None:
    chance = random.Random(seed)
    contract = ibouncer.stock("AAPL")
    book = Book(contract)
    naive: dict[int, list[tuple[float, str]]] = {0: [], 1: []}
    for _ in range(500):
        if chance.random() < 0.01:
            event = mark("RESET")
            naive = {0: [], 1: []}
        else:
            operation, side = chance.randrange(4), chance.randrange(2)
            position, value = chance.randrange(-1, 8), float(chance.randrange(100))
            maker = chance.choice(["", "ARCA"])
            event = change(operation, side, position, value, maker)
            rows = naive[side]
            if operation == 0 and 0 <= position <= len(rows):
                naive[side] = [*rows[:position], (value, maker), *rows[position:]]
            elif operation == 1 and 0 <= position <= len(rows):
                # One right behind the last row adds it, and replaces none.
                naive[side] = [*rows[:position], (value, maker), *rows[position + 1 :]]
            elif operation == 2 and 0 <= position < len(rows):
                naive[side] = rows[:position] + rows[position + 1 :]
        (decoded,) = decode([event], {1: contract})
        book.apply(decoded)
        for rows_of_book, side in ((book.asks, 0), (book.bids, 1)):
            assert [(row.price, row.market_maker) for row in rows_of_book] == naive[side]


def book_of(*events: Any) -> Book:
    contract = ibouncer.stock("AAPL")
    book = Book(contract)
    for event in decode(list(events), {1: contract}):
        book.apply(event)
    return book


def test_a_book_may_begin_with_updates() -> None:
    book = book_of(change(1, 1, 0, 10.0), change(1, 1, 1, 9.9, "ARCA"), change(1, 0, 0, 10.1))
    assert book.bids == [BookRow(10.0, 3), BookRow(9.9, 3, "ARCA")] and book.ask == BookRow(10.1, 3)


def test_rows_that_cannot_be_are_not_made() -> None:
    most = 10_000
    beyond = [change(1, 1, 1, 9.0), change(0, 1, 1, 9.0), change(2, 1, 0, 9.0)]
    strange = [change(1, 2, 0, 9.0), change(0, -1, 0, 9.0), change(3, 1, 0, 9.0)]
    below = [change(operation, 1, -1, 9.0) for operation in range(3)]
    book = book_of(*beyond, *strange, *below)
    assert (book.bids, book.asks) == ([], [])
    full = [change(1, 1, position, float(position)) for position in range(most)]
    book = book_of(*full, change(1, 1, most, 1.0), change(0, 1, most, 1.0))
    assert len(book.bids) == most and book.bids[-1].price == most - 1
    # One that is inserted pushes the last one out.
    book = book_of(*full, change(0, 1, 0, 0.5))
    assert len(book.bids) == most and (book.bids[0].price, book.bids[-1].price) == (0.5, most - 2)


async def test_depth_gives_a_book_that_is_kept(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        depth = session.depth("AAPL", rows=5, smart=True)
        assert not depth.book.live
        book = await anext(depth)
        assert book is depth.book and book.live and book.bid is None
        server = await broker.stream()
        asked = server.requests[0].subscribe.market_depth
        assert (asked.num_rows, asked.is_smart_depth) == (5, True)
        server.push(
            mark("RESET"),
            change(0, 1, 0, 10.0, "ARCA"),
            change(0, 0, 0, 10.1),
            change(1, 0, 0, 10.2),
        )
        assert await anext(depth) is book
        assert book.bid == BookRow(10.0, 3, "ARCA") and book.ask == BookRow(10.2, 3)
        assert str(book) == "AAPL 10 x 3 / 10.2 x 3 (1 and 1 rows)"
        await broker.stop()
        assert not (await anext(depth)).live and len(book.bids) == 1
        await broker.start(unix=runtime / "ibouncer.sock")
        reading = asyncio.ensure_future(anext(depth))
        (await broker.stream()).push(mark("RESET"), change(0, 1, 0, 9.0))
        await reading
        assert book.live and [row.price for row in book.bids] == [9.0] and book.asks == []
        assert book.mark is not None and book.mark.local
        await depth.aclose()


async def test_the_four_kinds_of_tick_by_tick(runtime: Path) -> None:
    ticks = {
        "Last": tick_pb2.TickByTickData(
            tick_type=1, historical_tick_last=tick_pb2.HistoricalTickLast(price=1, size="2")
        ),
        "AllLast": tick_pb2.TickByTickData(
            tick_type=2, historical_tick_last=tick_pb2.HistoricalTickLast(price=1, time=60)
        ),
        "BidAsk": tick_pb2.TickByTickData(
            tick_type=3,
            historical_tick_bid_ask=tick_pb2.HistoricalTickBidAsk(
                price_bid=1, size_bid="2", price_ask=3, size_ask="4"
            ),
        ),
        "MidPoint": tick_pb2.TickByTickData(
            tick_type=4, historical_tick_mid_point=tick_pb2.HistoricalTick(price=2)
        ),
    }
    past = tick_pb2.HistoricalTicksLast(
        historical_ticks_last=[tick_pb2.HistoricalTickLast(price=1) for _ in range(3)]
    )
    async with served(runtime) as (broker, session):
        seen: list[Any] = []
        for number, (kind, tick) in enumerate(ticks.items()):
            stream = session.tick_by_tick("AAPL", kind, number_of_ticks=3)  # type: ignore[arg-type]
            await anext(stream)
            server = await broker.stream(number)
            assert server.requests[0].subscribe.tick_by_tick.tick_type == kind
            server.push(pb.MarketDataEvent(subscription_id=1, sequence=9, tick_by_tick=tick))
            seen.append(await anext(stream))
            server.push(pb.MarketDataEvent(subscription_id=1, historical_ticks_last=past))
            old = [await anext(stream) for _ in range(3)]
            assert all(isinstance(one, ibouncer.Trade) and one.replayed for one in old)
        last, every, quote, middle = seen
        assert (last.kind, last.size, last.sequence, last.symbol) == ("Last", 2, 9, "AAPL")
        assert every.kind == "AllLast" and every.time.minute == 1
        assert str(quote) == "AAPL 1 / 3, 2 x 4" and isinstance(quote, ibouncer.BidAsk)
        assert isinstance(middle, ibouncer.Midpoint) and middle.price == 2


async def test_everything_goes_on_one_stream_too(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        stream = session.market_data()
        await stream.subscribe_real_time_bars("AAPL", "MIDPOINT", wait_for_line=True)
        await stream.subscribe_depth("MSFT")
        await stream.subscribe_tick_by_tick("TSLA", "BidAsk", resumable=True)
        await broker.until(lambda: broker.streams and len(broker.streams[0].requests) == 3)
        server = broker.streams[0]
        kinds = [one.subscribe.WhichOneof("what") for one in server.requests]
        assert kinds == ["real_time_bars", "market_depth", "tick_by_tick"]
        first, _, third = (one.subscribe for one in server.requests)
        assert first.wait_for_line and not first.resumable and third.resumable
        assert first.real_time_bars.what_to_show == "MIDPOINT"
        bar = history_pb2.RealTimeBarTick(time=1_700_000_000, close=2, volume="-1")
        queued = mark("QUEUED", place=4)
        server.push(queued, pb.MarketDataEvent(subscription_id=1, real_time_bar=bar))
        events = [event async for event in _first(stream, 5)]
        waits = [event for event in events if isinstance(event, Mark)][-1]
        assert waits.kind is MarkKind.QUEUED and waits.place == 4
        assert isinstance(events[-1], ibouncer.RealTimeBar) and events[-1].close == 2


async def _first(stream: Any, count: int) -> Any:
    async for event in stream:
        yield event
        count -= 1
        if not count:
            return


async def test_a_resumable_line_says_where_it_broke_and_what_was_missed(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        stream = session.market_data()
        await stream.subscribe("AAPL", resumable=True)
        await stream.subscribe("MSFT")
        await broker.until(lambda: broker.streams and len(broker.streams[0].requests) == 2)
        server = broker.streams[0]
        server.push(mark("GAP", line="line-9", gaps=1), price(1, 41, 4, 1.0))
        events = [event async for event in _first(stream, 4)]
        assert isinstance(events[2], Mark) and events[2].gaps == 1
        await broker.stop()
        await broker.start(unix=runtime / "ibouncer.sock")
        stale = [await anext(stream), await anext(stream)]
        assert all(isinstance(one, Mark) and one.local for one in stale)
        reading = asyncio.ensure_future(anext(stream))
        await broker.until(lambda: broker.streams and len(broker.streams[0].requests) == 2)
        server = broker.streams[0]
        first, second = (one.subscribe for one in server.requests)
        assert (first.resume.line, first.resume.sequence) == ("line-9", 41)
        assert not second.HasField("resume")
        server.push(mark("RESUMED", line="line-9", missed=3, sequence=44))
        resumed = await reading
        assert isinstance(resumed, Mark) and resumed.kind is MarkKind.RESUMED
        assert (resumed.missed, resumed.local, resumed.sequence) == (3, False, 44)
        # Again, before anything flowed.
        await broker.stop()
        await broker.start(unix=runtime / "ibouncer.sock")
        assert str(await anext(stream)).startswith("AAPL STALE")
        reading = asyncio.ensure_future(anext(stream))
        server = await broker.stream()
        assert server.requests[0].subscribe.resume.sequence == 44
        server.push(mark("RESUMED", line="line-9", missed=0, sequence=44), price(1, 45, 4, 1.0))
        assert str(await reading) == "AAPL RESUMED"
        assert str(await anext(stream)) == "AAPL last 1"


async def test_a_line_that_is_another_one_starts_anew(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        stream = session.market_data()
        await stream.subscribe("AAPL", resumable=True)
        (await broker.stream()).push(mark("RESUMED", line="line-9"), price(1, 41, 4, 1.0))
        [event async for event in _first(stream, 3)]
        await broker.stop()
        await broker.start(unix=runtime / "ibouncer.sock")
        stale = await anext(stream)
        assert isinstance(stale, Mark) and stale.kind is MarkKind.STALE
        # The next broker knows nothing of the line, and goes away before data flows.
        reading = asyncio.ensure_future(anext(stream))
        (await broker.stream()).push(mark("SUBSCRIBED", line="line-1"))
        await asyncio.wait([reading], timeout=0.05)
        reading.cancel()
        await broker.stop()
        await broker.start(unix=runtime / "ibouncer.sock")
        reading = asyncio.ensure_future(anext(stream))
        server = await broker.stream()
        asked = server.requests[0].subscribe.resume
        assert (asked.line, asked.sequence) == ("line-9", 41)
        server.push(mark("SUBSCRIBED", line="line-2"), price(1, 7, 4, 1.0))
        resumed = await reading
        assert isinstance(resumed, Mark) and resumed.local and resumed.line == "line-2"
        assert resumed.missed is None and "start anew, the last one before was 41" in str(resumed)
        await anext(stream)
        await broker.stop()
        await broker.start(unix=runtime / "ibouncer.sock")
        await anext(stream)
        reading = asyncio.ensure_future(anext(stream))
        asked = (await broker.stream()).requests[0].subscribe.resume
        assert (asked.line, asked.sequence) == ("line-2", 7)
        reading.cancel()


async def test_a_resumable_line_of_another_broker_is_resumed_once_data_flows(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        stream = session.market_data()
        await stream.subscribe("AAPL", resumable=True)
        (await broker.stream()).push(mark("RESUMED", line="line-9"), price(1, 41, 4, 1.0))
        [event async for event in _first(stream, 3)]
        for session_is_up, line in ((True, "line-1"), (False, "line-2")):
            await broker.stop()
            await broker.start(unix=runtime / "ibouncer.sock")
            assert str(await anext(stream)).startswith("AAPL STALE")
            reading = asyncio.ensure_future(anext(stream))
            server = await broker.stream()
            assert server.requests[0].subscribe.HasField("resume")
            server.push(mark("SUBSCRIBED", line=line))
            ended = "the line has ended meanwhile; what it had is not known"
            server.push(mark("RESUMED", line=line, because=ended))
            if not session_is_up:
                server.push(mark("STALE", line=line, because="GATEWAY_ABSENT"))
                server.push(mark("RESUMED", line=line, because="session is ready"))
            server.push(price(1, 7, 4, 2.0))
            resumed = await reading
            assert isinstance(resumed, Mark) and resumed.kind is MarkKind.RESUMED
            assert resumed.local and resumed.line == line
            word = "data flows again" if session_is_up else "session is ready"
            assert resumed.because.startswith(word)
            assert str(await anext(stream)) == "AAPL last 2"
