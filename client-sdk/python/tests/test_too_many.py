"""Streams that are one too many: the broker says so, and so does the stream that was opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from fake_lines import served
from fake_orders import FakeOrders

import ibouncer

REFUSED = {
    "ibouncer-code": "TOO_MANY",
    "ibouncer-source": "client",
    "ibouncer-retry": "after",
}
STREAMS: dict[str, Callable[[ibouncer.Session], Any]] = {
    "quotes": lambda session: session.quotes("AAPL"),
    "positions": lambda session: session.stream_positions(),
    "orders": lambda session: session.watch_orders(),
    "status": lambda session: session.watch_status(),
}


@pytest.mark.parametrize("what", STREAMS)
async def test_a_new_stream_that_is_one_too_many_raises_that(runtime: Path, what: str) -> None:
    async with served(runtime) as (broker, session):
        broker.abort = (grpc.StatusCode.RESOURCE_EXHAUSTED, "as many as one may", REFUSED)
        stream = STREAMS[what](session)
        with pytest.raises(ibouncer.ClientError, match="as many as one may") as raised:
            await anext(stream)
        assert (raised.value.code, raised.value.retry) == ("TOO_MANY", "after")
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_who_waits_for_an_order_is_told_that_its_watch_is_one_too_many(
    runtime: Path,
) -> None:
    async with served(runtime) as (broker, session):
        FakeOrders(broker)
        handle = await session.place_order("AAPL", ibouncer.limit_order("BUY", 1, 1.0))
        broker.abort = (grpc.StatusCode.RESOURCE_EXHAUSTED, "as many as one may", REFUSED)
        with pytest.raises(ibouncer.ClientError, match="as many as one may"):
            await handle.outcome(timeout=5)


async def test_a_stream_that_was_open_comes_back_once_there_is_room(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        quotes, watch = session.quotes("AAPL"), session.watch_status()
        assert (await anext(quotes)).kind is ibouncer.MarkKind.SUBSCRIBED
        await anext(watch)
        await anext(watch)
        stream = await broker.stream()
        broker.abort = (grpc.StatusCode.RESOURCE_EXHAUSTED, "as many as one may", REFUSED)
        stream.break_with(grpc.StatusCode.UNAVAILABLE, "gone")
        assert (await anext(quotes)).kind is ibouncer.MarkKind.STALE
        await broker.stop()
        await broker.start(unix=runtime / "ibouncer.sock")
        assert (await anext(watch))[0].local
        broker.abort = (grpc.StatusCode.RESOURCE_EXHAUSTED, "as many as one may", REFUSED)
        assert (await anext(watch))[0].ready
        broker.auto_ticks = True
        assert (await anext(quotes)).kind is ibouncer.MarkKind.RESUMED
