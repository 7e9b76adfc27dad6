"""A broker that goes away: what streams and calls see of it, and how they come back."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from fake_broker import FakeBroker, price

import ibouncer
from ibouncer import Mark, MarkKind, SessionState, Tick
from ibouncer._pb.ibouncer.v1 import market_data_pb2 as pb
from ibouncer._pb.ibouncer.v1 import session_pb2, stream_pb2

FAKE_BROKER = Path(__file__).with_name("fake_broker.py")
STOPPING = {
    "ibouncer-code": "STOPPING",
    "ibouncer-source": "broker",
    "ibouncer-retry": "after",
}


@asynccontextmanager
async def served(
    runtime: Path, *, auto_ticks: bool = True
) -> AsyncIterator[tuple[FakeBroker, ibouncer.Session]]:
    async with FakeBroker(auto_ticks=auto_ticks) as broker:
        await broker.start(unix=runtime / "ibouncer.sock")
        async with ibouncer.connect() as session:
            yield broker, session


async def restart(broker: FakeBroker, runtime: Path) -> None:
    await broker.stop()
    await broker.start(unix=runtime / "ibouncer.sock")


async def test_quotes_come_back_after_the_broker_was_away(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        quotes = session.quotes("AAPL", "MSFT")
        marks: list[Mark] = []
        ticks_after = 0
        async for event in quotes:
            if isinstance(event, Mark):
                marks.append(event)
                kinds = [mark.kind.value for mark in marks]
                if kinds == ["SUBSCRIBED"] * 2:
                    await broker.stop()
                elif kinds[2:] == ["STALE"] * 2:
                    for mark in marks[2:]:
                        assert mark.local and mark.because.startswith("the broker is away: ")
                    await broker.start(unix=runtime / "ibouncer.sock")
            elif len(marks) == 6:
                ticks_after += 1
                if ticks_after == 3:
                    break
        assert [mark.kind.value for mark in marks[4:]] == ["RESUMED"] * 2
        assert all(mark.local and mark.epoch == 3 for mark in marks[4:])
        assert {mark.subscription for mark in marks[4:]} == {1, 2}
        await quotes.aclose()


async def test_the_resumed_mark_says_that_sequence_numbers_start_anew(runtime: Path) -> None:
    async with served(runtime, auto_ticks=False) as (broker, session):
        stream = session.market_data()
        await stream.subscribe("AAPL")
        (await broker.stream()).push(price(1, 4711, 4, 1.0))
        events = aiter(stream)
        seen = [await anext(events), await anext(events)]
        # Away twice, and in between nothing flowed: the last number is that of the first broker.
        await restart(broker, runtime)
        seen.append(await anext(events))
        reading = asyncio.ensure_future(anext(events))
        await broker.stream()
        await restart(broker, runtime)
        await broker.stream()
        assert not reading.done()
        (await broker.stream()).push(price(1, 1, 4, 2.0))
        seen += [await reading, await anext(events)]
        kinds = [str(event).split()[1] for event in seen]
        assert kinds == ["SUBSCRIBED", "last", "STALE:", "RESUMED:", "last"]
        resumed = seen[3]
        assert isinstance(resumed, Mark)
        assert resumed.because == (
            "data flows again; sequence numbers start anew, the last one before was 4711"
        )


async def test_a_new_broker_whose_session_is_not_up_yet_says_nothing_twice(runtime: Path) -> None:
    async with served(runtime, auto_ticks=False) as (broker, session):
        stream = session.market_data()
        await stream.subscribe("AAPL")
        events = aiter(stream)
        assert str(await anext(events)) == "AAPL SUBSCRIBED"
        await restart(broker, runtime)
        assert str(await anext(events)).startswith("AAPL STALE: the broker is away")
        reading = asyncio.ensure_future(anext(events))
        server = await broker.stream()
        # As the broker does it: last values first, in the same batch as the mark.
        mark = stream_pb2.StreamMark(kind=stream_pb2.MARK_KIND_STALE, because="CONNECTING", epoch=4)
        server.push(
            price(1, 1, 4, 1.0, replayed=True), pb.MarketDataEvent(subscription_id=1, mark=mark)
        )
        replayed = await reading
        assert isinstance(replayed, Tick) and replayed.replayed
        server.push_mark(stream_pb2.MARK_KIND_RESUMED, "session is ready")
        server.push(price(1, 2, 4, 2.0))
        resumed = await anext(events)
        assert isinstance(resumed, Mark) and resumed.kind is MarkKind.RESUMED
        assert resumed.because.startswith("session is ready; sequence numbers start anew")
        assert str(await anext(events)) == "AAPL last 2"
        # From here on it is as with any broker.
        server.push_mark(stream_pb2.MARK_KIND_STALE, "worker ended")
        assert str(await anext(events)) == "AAPL STALE: worker ended"


async def test_values_that_a_live_line_replays_come_after_resumed(runtime: Path) -> None:
    async with served(runtime, auto_ticks=False) as (broker, session):
        stream = session.market_data()
        await stream.subscribe("AAPL")
        events = aiter(stream)
        await anext(events)
        await restart(broker, runtime)
        await anext(events)
        reading = asyncio.ensure_future(anext(events))
        (await broker.stream()).push(price(1, 7, 4, 1.0, replayed=True))
        assert str(await reading).startswith("AAPL RESUMED")
        assert str(await anext(events)) == "AAPL last 1"


async def test_what_was_asked_while_the_broker_was_away_is_sent_later(runtime: Path) -> None:
    async with served(runtime, auto_ticks=False) as (broker, session):
        stream = session.market_data()
        first = await stream.subscribe("AAPL")
        assert str((await stream.next_batch() or [])[0]) == "AAPL SUBSCRIBED"
        await broker.stop()
        assert (await stream.next_batch() or [])[0].subscription == first.id  # STALE
        await stream.unsubscribe(first)
        second = await stream.subscribe("MSFT")
        await broker.start(unix=runtime / "ibouncer.sock")
        (event,) = await stream.next_batch() or []
        assert isinstance(event, Mark) and event.kind is MarkKind.SUBSCRIBED
        assert event.subscription == second.id and not event.local
        assert list((await broker.stream()).contracts) == [second.id]


async def marks_until_resumed(stream: ibouncer.MarketDataStream) -> list[Mark]:
    seen: list[Mark] = []
    async for event in stream:
        if isinstance(event, Mark):
            seen.append(event)
            if event.kind is MarkKind.RESUMED:
                break
    return seen


async def test_a_subscription_that_is_stale_already_is_not_marked_twice(runtime: Path) -> None:
    async with served(runtime, auto_ticks=False) as (broker, session):
        stream = session.market_data()
        await stream.subscribe("AAPL")
        (await broker.stream()).push_mark(stream_pb2.MARK_KIND_STALE, "broker ends")
        events = aiter(stream)
        marks = [await anext(events), await anext(events)]
        await restart(broker, runtime)
        reading = asyncio.ensure_future(anext(events))
        (await broker.stream()).push(price(1, 1, 4, 2.0))
        marks.append(await reading)
        assert [str(mark).split()[1] for mark in marks] == ["SUBSCRIBED", "STALE:", "RESUMED:"]


async def test_a_broker_that_says_it_stops_is_away(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        stream = session.market_data()
        await stream.subscribe("AAPL")
        server = await broker.stream()
        broker.streams.clear()
        server.break_with(grpc.StatusCode.UNAVAILABLE, "the broker is shutting down", **STOPPING)
        seen = await marks_until_resumed(stream)
        assert str(seen[1]) == "AAPL STALE: the broker is away: the broker is shutting down"
        # The transport was well, so it is still the same one.
        assert len({call[1]["x-client-name"] for call in broker.calls}) == 1
        broker.abort = (grpc.StatusCode.UNAVAILABLE, "the broker is shutting down", STOPPING)
        with pytest.raises(ibouncer.BrokerUnavailable) as raised:
            await session.admin.retry()
        assert raised.value.code == "STOPPING"


async def test_a_client_whose_rights_were_changed_asks_anew(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        stream = session.market_data()
        await stream.subscribe("AAPL")
        server = await broker.stream()
        broker.streams.clear()
        said = "the rights of clients.see were changed by a reload; ask anew"
        changed = {**STOPPING, "ibouncer-code": "RIGHTS_CHANGED", "ibouncer-retry": "now"}
        server.break_with(grpc.StatusCode.UNAVAILABLE, said, **changed)
        assert str((await marks_until_resumed(stream))[1]) == f"AAPL STALE: {said}"
        broker.abort = (grpc.StatusCode.UNAVAILABLE, said, changed)
        with pytest.raises(ibouncer.BrokerError) as raised:
            await session.admin.retry()
        assert (raised.value.code, raised.value.retry) == ("RIGHTS_CHANGED", "now")
        assert not isinstance(raised.value, ibouncer.BrokerUnavailable)


async def test_an_impatient_reader_comes_back_too(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        stream = session.market_data()
        await stream.subscribe("AAPL")
        batches = stream.batches()
        await anext(batches)
        await restart(broker, runtime)
        deadline = asyncio.get_running_loop().time() + 10
        kinds: list[str] = []
        while "RESUMED" not in kinds:
            assert asyncio.get_running_loop().time() < deadline
            try:
                batch = await asyncio.wait_for(anext(batches), 0.01)
            except asyncio.TimeoutError:
                continue
            kinds += [event.kind.value for event in batch if isinstance(event, Mark)]
        assert kinds[-2:] == ["STALE", "RESUMED"]


async def test_closing_ends_the_wait_for_a_broker(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        quotes, watch = session.quotes("AAPL"), session.watch_status()
        await anext(quotes)
        await anext(watch)
        await broker.stop()
        async for event in quotes:
            if isinstance(event, Mark) and event.kind is MarkKind.STALE:
                break
        async for status, _ in watch:
            if status.local:
                break
        waiting = [asyncio.ensure_future(anext(quotes)), asyncio.ensure_future(anext(watch))]
        done, _ = await asyncio.wait(waiting, timeout=0.2)
        assert not done
        await asyncio.wait_for(session.close(), 1)
        for one in waiting:
            with pytest.raises(StopAsyncIteration):
                await one


async def test_watch_status_survives_the_broker(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        watch = session.watch_status()
        await anext(watch)
        await anext(watch)
        await broker.stop()
        away, transitions = await anext(watch)
        assert away.local and away.state is SessionState.UNSPECIFIED and transitions == []
        assert away.reason.startswith("the broker is away: ") and away.since is not None
        reading = asyncio.ensure_future(anext(watch))
        broker.state = session_pb2.SESSION_STATE_CONNECTING
        await broker.start(unix=runtime / "ibouncer.sock")
        status, _ = await reading
        assert status.state is SessionState.CONNECTING and not status.local


async def test_without_reconnect_everything_ends_with_the_broker(runtime: Path) -> None:
    async with FakeBroker() as broker:
        await broker.start(unix=runtime / "ibouncer.sock")
        async with ibouncer.connect(reconnect=False) as session:
            watch = session.watch_status()
            stream = session.market_data()
            quotes = session.quotes("AAPL")
            await stream.subscribe("AAPL")
            await anext(watch)
            await anext(watch)
            await anext(quotes)
            await broker.until(lambda: len(broker.streams) == 2)
            await broker.stop()
            for events in (watch, aiter(stream), quotes):
                with pytest.raises(ibouncer.BrokerUnavailable):
                    async for _ in events:
                        pass
            # One stream can say otherwise.
            await broker.start(unix=runtime / "ibouncer.sock")
            other = session.quotes("AAPL", reconnect=True)
            await anext(other)
            await broker.stop()
            async for event in other:
                if isinstance(event, Mark) and event.kind is MarkKind.STALE:
                    break


async def test_calls_that_read_are_sent_once_more_and_others_are_not(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        for read in (
            session.status,
            session.wait_ready,
            session.accounts,
            session.admin.clients,
            session.admin.lines,
            session.admin.connections,
        ):
            before = len(broker.calls)
            broker.abort = (grpc.StatusCode.UNAVAILABLE, "gone", {})
            await read()
            assert len(broker.calls) == before + 2
        for order in (
            session.admin.retry("x"),
            session.admin.restart_worker("x"),
            session.admin.hold("x"),
            session.admin.release("x"),
            session.admin.hand_over(),
            session.snapshot("AAPL"),
        ):
            before = len(broker.calls)
            broker.abort = (grpc.StatusCode.UNAVAILABLE, "gone", {})
            with pytest.raises(ibouncer.BrokerUnavailable):
                await order
            assert len(broker.calls) == before + 1


async def test_a_call_does_not_wait_for_a_broker_that_is_away(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        await broker.stop()
        with pytest.raises(ibouncer.BrokerUnavailable):
            await asyncio.wait_for(session.status(), 2)
        with pytest.raises(ibouncer.BrokerUnavailable):
            await asyncio.wait_for(session.wait_ready(timeout=0.4), 2)
        waiting = asyncio.ensure_future(session.wait_ready(timeout=10))
        assert not (await asyncio.wait([waiting], timeout=0.3))[0]
        await broker.start(unix=runtime / "ibouncer.sock")
        assert (await waiting).ready
        await broker.stop()
        await broker.start(unix=runtime / "ibouncer.sock")
        assert (await session.status()).ready


async def test_a_broker_that_moved_and_has_a_new_token_is_found(runtime: Path) -> None:
    endpoints, token = runtime / "endpoints.json", runtime / "token"
    first = FakeBroker(token="one")
    token.write_text("one")
    port = await first.start(tcp="127.0.0.1:0")
    endpoints.write_text(json.dumps({"tcp": f"127.0.0.1:{port}"}))
    async with ibouncer.connect() as session, FakeBroker(token="two") as second:
        watch = session.watch_status()
        quotes = session.quotes("AAPL")
        assert str(await anext(quotes)) == "AAPL SUBSCRIBED"
        await first.stop()
        token.write_text("two")
        port = await second.start(tcp="127.0.0.1:0")
        endpoints.write_text(json.dumps({"tcp": f"127.0.0.1:{port}"}))
        async for event in quotes:
            if isinstance(event, Mark) and event.kind is MarkKind.RESUMED:
                break
        assert session.target == f"127.0.0.1:{port}"
        # A stream that noticed later takes the same channel.
        async for status, _ in watch:
            if status.local:
                break
        status, _ = await anext(watch)
        assert status.ready
        assert (await session.status()).ready


async def test_a_broker_that_is_killed_is_followed_by_the_next_one(runtime: Path) -> None:
    path = runtime / "ibouncer.sock"
    killed = await program(path)
    async with ibouncer.connect() as session:
        seen = {symbol: [""] for symbol in ("AAPL", "MSFT", "TSLA")}
        async for event in session.quotes(*seen):
            kind = event.kind.value if isinstance(event, Mark) else "data"
            story = seen[event.symbol]
            if story[-1] != kind:
                story.append(kind)
            if killed.returncode is None and all(one[-1] == "data" for one in seen.values()):
                killed.send_signal(signal.SIGKILL)
                await killed.wait()
                following = await program(path)
            if all(one[-1] == "data" and "RESUMED" in one for one in seen.values()):
                break
    following.stdin.close()  # type: ignore[union-attr]
    await following.wait()
    story = ["", "SUBSCRIBED", "data", "STALE", "RESUMED", "data"]
    assert seen == dict.fromkeys(seen, story)


async def program(path: Path) -> asyncio.subprocess.Process:
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        str(FAKE_BROKER),
        "--unix",
        str(path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert started.stdout is not None
    await started.stdout.readline()
    return started
