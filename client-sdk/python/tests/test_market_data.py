"""Streams: ticks, marks, ends, slow readers, and a broker that goes away."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from fake_broker import FakeBroker, notice, price

import ibouncer
from ibouncer import Mark, MarkKind, Notice, TextTick, Tick
from ibouncer._pb.ibouncer.v1 import error_pb2, stream_pb2
from ibouncer._pb.ibouncer.v1 import market_data_pb2 as pb
from ibouncer._pb.tws.v1 import market_data_pb2, option_pb2
from ibouncer.ticks import decode, field_name


@asynccontextmanager
async def served(
    runtime: Path, *, auto_ticks: bool = True
) -> AsyncIterator[tuple[FakeBroker, ibouncer.Session]]:
    async with FakeBroker(auto_ticks=auto_ticks) as broker:
        await broker.start(unix=runtime / "ibouncer.sock")
        async with ibouncer.connect() as session:
            yield broker, session


async def test_quotes_give_typed_ticks_of_every_symbol(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        seen: dict[str, list[ibouncer.Event]] = {"AAPL": [], "EUR": []}
        contracts = ("AAPL", ibouncer.forex("EURUSD"))
        async with session.quotes(*contracts, generic_ticks=[233, 236]) as quotes:
            async for event in quotes:
                seen[event.symbol].append(event)
                if all(len(events) >= 5 for events in seen.values()):
                    break
        request = (broker.streams[0].requests)[0].subscribe
        assert request.request.generic_tick_list == "233,236"
        assert request.feed == pb.MARKET_DATA_FEED_UNSPECIFIED
        first, bid, size, text, last = seen["AAPL"]
        assert isinstance(first, Mark) and first.kind is MarkKind.SUBSCRIBED and first.epoch == 3
        assert isinstance(bid, Tick)
        assert (bid.field, bid.value, bid.size) == ("bid", 189.5, 200.0)
        assert (bid.sequence, bid.replayed, bid.skipped, bid.subscription) == (1, True, 0, 1)
        assert isinstance(size, Tick) and (size.field, size.value) == ("bid_size", 200.0)
        assert isinstance(text, TextTick) and text.field == "last_timestamp"
        assert str(last) == "AAPL last 189.51 x 100"
        with pytest.raises(dataclasses.FrozenInstanceError):
            bid.value = 1.0  # type: ignore[misc]
        assert bid == dataclasses.replace(bid) and hash(bid) == hash(dataclasses.replace(bid))


async def test_marks_and_notices_come_in_order(runtime: Path) -> None:
    async with served(runtime, auto_ticks=False) as (broker, session):
        stream = session.market_data()
        subscription = await stream.subscribe("AAPL", feed=ibouncer.Feed.DELAYED)
        server = await broker.stream()
        server.push_mark(stream_pb2.MARK_KIND_STALE, "worker ended")
        server.push(notice(subscription.id, 2108))
        server.push_mark(stream_pb2.MARK_KIND_RESUMED, "session is ready")
        await stream.unsubscribe(subscription)
        kinds = []
        async for event in stream:
            if isinstance(event, Mark):
                kinds.append(str(event.kind))
                assert not event.local and event.error is None
            elif isinstance(event, Notice):
                assert event.code == 2108 and event.at is not None
                kinds.append("notice")
            if kinds[-1] == "ENDED":
                break
        assert kinds == ["SUBSCRIBED", "STALE", "notice", "RESUMED", "ENDED"]
        assert stream.subscriptions == ()
        assert server.requests[0].subscribe.feed == pb.MARKET_DATA_FEED_DELAYED


async def test_a_refused_request_leaves_the_live_subscription_alone(runtime: Path) -> None:
    async with served(runtime, auto_ticks=False) as (broker, session):
        quotes = session.quotes("AAPL")
        refusal = error_pb2.Error(
            code="SUBSCRIPTION_ID",
            message="id 1 is in use",
            source=error_pb2.ERROR_SOURCE_CLIENT,
            retry=error_pb2.ERROR_RETRY_NEVER,
        )
        seen = []
        async for event in quotes:
            seen.append(event)
            if len(seen) == 1:
                server = await broker.stream()
                server.push_mark(stream_pb2.MARK_KIND_REFUSED, "id 1 is in use", refusal)
                server.push(price(1, 1, 4, 2.0))
            elif len(seen) == 3:
                break
        _, refused, tick = seen
        assert isinstance(refused, Mark) and refused.kind is MarkKind.REFUSED
        assert isinstance(refused.error, ibouncer.ClientError)
        assert isinstance(tick, Tick) and tick.value == 2.0
        assert [item.id for item in quotes.stream.subscriptions] == [1]
        # It is still one that comes back when the stream breaks.
        await broker.stop()
        await broker.start(unix=runtime / "ibouncer.sock")
        stale = await anext(quotes)
        reading = asyncio.ensure_future(anext(quotes))
        (await broker.stream()).push(price(1, 1, 4, 3.0))
        resumed = await reading
        assert isinstance(stale, Mark) and stale.kind is MarkKind.STALE
        assert isinstance(resumed, Mark) and resumed.kind is MarkKind.RESUMED
        await quotes.aclose()


async def test_quotes_end_when_all_have_ended_and_raise_the_error(runtime: Path) -> None:
    async with served(runtime) as (_, session):
        seen = []
        with pytest.raises(ibouncer.GatewayError) as raised:
            async for event in session.quotes("NOPE"):
                seen.append(event)
        assert [type(event) for event in seen] == [Notice, Mark]
        assert raised.value.gateway_code == 200 and raised.value.retry == "never"
        assert isinstance(seen[1], Mark) and seen[1].error is raised.value


async def test_an_unknown_symbol_leaves_the_others_alone(runtime: Path) -> None:
    async with served(runtime) as (_, session):
        ended = False
        async for event in session.quotes("NOPE", "AAPL"):
            ended = ended or (isinstance(event, Mark) and event.kind == "ENDED")
            if isinstance(event, Tick) and event.symbol == "AAPL":
                break
        assert ended


async def test_an_impatient_reader_loses_nothing(runtime: Path) -> None:
    async with served(runtime, auto_ticks=False) as (broker, session):
        stream = session.market_data()
        batches = stream.batches()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(batches), 0.02)
        await stream.subscribe("AAPL")
        assert [str(event) for event in await anext(batches)] == ["AAPL SUBSCRIBED"]
        for sequence in range(1, 4):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(batches), 0.02)
            (await broker.stream()).push(price(1, sequence, 4, 1.0))
            (event,) = await anext(batches)
            assert isinstance(event, Tick) and event.sequence == sequence


async def test_a_slow_reader_leaves_the_backlog_with_the_broker(runtime: Path) -> None:
    async with served(runtime, auto_ticks=False) as (broker, session):
        broker.flood = 400  # batches of 1000 ticks, about 27 KB each
        stream = session.market_data()
        await stream.subscribe("AAPL")
        before = -1
        while broker.flooded != before or before == 0:
            before = broker.flooded
            await asyncio.sleep(0.2)
        # The windows of HTTP/2 and gRPC's one message ahead, not the 10 MB that were waiting.
        assert 1_000 <= broker.flooded <= 60_000
        ticks = 0
        async for batch in stream.batches():
            ticks += sum(isinstance(event, Tick) for event in batch)
            if ticks == 400_000:
                break


async def test_without_reconnect_a_broker_that_leaves_is_an_error(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        stream = session.market_data(reconnect=False)
        await stream.subscribe("AAPL")
        await broker.stream()
        await broker.stop()
        with pytest.raises(ibouncer.BrokerUnavailable):
            async for _ in stream:
                pass
        with pytest.raises(ibouncer.ClientError, match="closed"):
            await stream.subscribe("MSFT")
        assert [event async for event in stream] == []


async def test_a_stream_that_the_broker_ends_quietly_is_broken_too(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        stream = session.market_data(reconnect=False)
        await stream.subscribe("AAPL")
        (await broker.stream()).outbox.put_nowait(None)
        with pytest.raises(ibouncer.BrokerUnavailable, match="ended the stream"):
            async for _ in stream:
                pass


async def test_an_error_that_stays_is_raised_in_spite_of_reconnect(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        stream = session.market_data(reconnect=True)
        await stream.subscribe("AAPL")
        trailers = {
            "ibouncer-code": "TOO_MANY_LINES",
            "ibouncer-source": "client",
            "ibouncer-retry": "never",
        }
        server = await broker.stream()
        server.break_with(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many", **trailers)
        with pytest.raises(ibouncer.ClientError, match="TOO_MANY_LINES"):
            async for _ in stream:
                pass


async def test_an_answer_that_cannot_be_read_ends_the_stream_with_an_error(runtime: Path) -> None:
    async with served(runtime, auto_ticks=False) as (broker, session):
        stream = session.market_data(reconnect=True)
        await stream.subscribe("AAPL")
        server = await broker.stream()
        assert [str(event) for event in await anext(stream.batches())] == ["AAPL SUBSCRIBED"]
        server.push_bytes(b"\x0a\x05\x08\x01")
        with pytest.raises(ibouncer.BrokerError, match="MALFORMED_RESPONSE") as raised:
            await anext(stream)
        assert raised.value.retry == "never"
        assert [event async for event in stream] == []


async def test_closing_while_someone_reads_ends_the_reading(runtime: Path) -> None:
    async with served(runtime, auto_ticks=False) as (broker, session):
        for reconnect in (False, True):
            stream = session.market_data(reconnect=reconnect)
            await stream.subscribe("AAPL")
            reading = asyncio.create_task(collect(stream))
            await broker.stream()
            await stream.close()
            assert await reading in (["AAPL SUBSCRIBED"], [])
            broker.streams.clear()


async def test_closing_the_session_ends_its_streams(runtime: Path) -> None:
    async with served(runtime, auto_ticks=False) as (broker, session):
        reading = asyncio.create_task(collect(session.quotes("AAPL")))
        await broker.stream()
        await session.close()
        await reading


async def collect(events: AsyncIterator[ibouncer.Event] | ibouncer.MarketDataStream) -> list[str]:
    return [str(event) async for event in events]


def test_every_body_of_the_schema_is_decoded() -> None:
    contracts = {7: ibouncer.stock("AAPL")}
    option = option_pb2.TickOptionComputation(
        tick_type=13, implied_vol=0.25, delta=-2, opt_price=3.5
    )
    bodies = pb.MarketDataEvent.DESCRIPTOR.oneofs_by_name["body"].fields
    for descriptor in bodies:
        event = pb.MarketDataEvent(subscription_id=7, sequence=9)
        getattr(event, descriptor.name).SetInParent()
        (decoded,) = decode([event], contracts)
        assert decoded.subscription == 7 and decoded.symbol == "AAPL"
    (decoded,) = decode(
        [pb.MarketDataEvent(subscription_id=7, tick_option_computation=option)], contracts
    )
    assert isinstance(decoded, ibouncer.OptionTick) and decoded.field == "model_option"
    assert (decoded.implied_vol, decoded.delta, decoded.price) == (0.25, None, 3.5)
    assert decoded.gamma is None
    newer = pb.MarketDataEvent(subscription_id=7)
    (decoded,) = decode([newer], contracts)
    assert isinstance(decoded, ibouncer.Info) and decoded.kind == "unknown"
    assert decode([pb.MarketDataEvent(subscription_id=8)], contracts) == []


def test_tick_types_have_the_names_of_ib() -> None:
    known = {
        0: "bid_size",
        4: "last",
        9: "close",
        14: "open",
        37: "mark_price",
        45: "last_timestamp",
    }
    known |= {49: "halted", 59: "ib_dividends", 66: "delayed_bid", 76: "delayed_open"}
    known |= {
        83: "delayed_model_option",
        88: "delayed_last_timestamp",
        101: "estimated_ipo_midpoint",
    }
    known |= {104: "delayed_yield_ask", 105: "tick_105", -1: "tick_-1"}
    assert {number: field_name(number) for number in known} == known
    tick = market_data_pb2.TickPrice(tick_type=500, price=1.0)
    (decoded,) = decode(
        [pb.MarketDataEvent(subscription_id=1, tick_price=tick)], {1: ibouncer.stock("A")}
    )
    assert isinstance(decoded, Tick) and decoded.field == "tick_500" and decoded.size is None


async def test_a_second_reader_is_refused_and_the_first_one_goes_on(runtime: Path) -> None:
    async with served(runtime, auto_ticks=False) as (broker, session):
        stream = session.market_data()
        await stream.subscribe("AAPL")
        assert await stream.next_batch()
        first = asyncio.ensure_future(stream.next_batch())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task reads this stream"):
            await stream.next_batch()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        # Whoever comes behind it gets what it was waiting for.
        again = asyncio.ensure_future(stream.next_batch())
        broker.streams[0].push(price(1, 9, 1, 190.0))
        assert [event.sequence for event in (await again or [])] == [9]


async def test_what_is_no_contract_is_refused(runtime: Path) -> None:
    async with served(runtime) as (_, session):
        with pytest.raises(ibouncer.ClientError, match="None is no contract and no symbol"):
            session.quotes(None)  # type: ignore[arg-type]
        with pytest.raises(ibouncer.ClientError, match='"groups", "aliases"'):
            await session.advisor_configuration("profiles")  # type: ignore[arg-type]
