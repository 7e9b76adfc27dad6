"""Handles wait for the end of their orders, whatever happens to the broker meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from fake_orders import asked, served

import ibouncer

BUY = ibouncer.limit_order("BUY", 10, 100.0)


async def test_a_handle_waits_for_the_end_of_its_order(runtime: Path) -> None:
    async with served(runtime) as (_, orders, session):
        handles = await session.place_orders(
            ibouncer.bracket("AAPL", BUY, target_price=110, stop_price=90, name="b")
        )
        assert [one.client_order_id for one in handles] == ["b", "b.target", "b.stop"]
        waiting = [asyncio.ensure_future(one.outcome()) for one in handles]
        acknowledged = asyncio.ensure_future(handles[0].acknowledged())
        await orders.broker.until(lambda: len(asked(orders.broker, "GetOrder")) == 4)
        # However many wait, there is one stream.
        assert len(orders.watches()) == 1
        orders.tell("b", "WORKING", status="Submitted", filled="0", remaining="10")
        assert (await acknowledged).remaining == 10
        orders.tell("b", "FILLED", filled="10", remaining="0")
        orders.tell("b.target", "REJECTED", because="no margin")
        orders.tell("b.stop", "NOT_SENT")
        match await asyncio.gather(*waiting):
            case [ibouncer.Filled(entry), ibouncer.Rejected(target), ibouncer.NotSent(_)]:
                assert entry.filled == 10 and str(target).endswith("REJECTED: no margin")
            case other:
                raise AssertionError(other)
        # What is known needs no call.
        calls = len(orders.broker.calls)
        assert isinstance(await handles[0].resolved(), ibouncer.Filled)
        assert len(orders.broker.calls) == calls


async def test_what_happened_before_the_watch_is_not_missed(runtime: Path) -> None:
    async with served(runtime) as (_, orders, session):
        handle = await session.place_order("AAPL", BUY)
        orders.tell(handle.client_order_id, "CANCELLED")
        assert isinstance(await handle.outcome(timeout=5), ibouncer.Cancelled)


async def test_unknown_is_an_outcome_of_its_own_and_can_be_waited_out(runtime: Path) -> None:
    async with served(runtime) as (_, orders, session):
        handle = await session.place_order("AAPL", BUY, client_order_id="u")
        orders.tell("u", "UNKNOWN", because="the worker ended")
        match await handle.outcome():
            case ibouncer.Unknown(order):
                assert order.because == "the worker ended" and not order.ended
            case other:
                raise AssertionError(other)
        with pytest.raises(TimeoutError, match="UNKNOWN: the worker ended still"):
            await handle.resolved(timeout=0.05)
        resolved = asyncio.ensure_future(handle.resolved())
        orders.tell("u", "FILLED")
        assert isinstance(await resolved, ibouncer.Filled)


async def test_who_asks_again_hears_what_became_of_it(runtime: Path) -> None:
    async with served(runtime) as (broker, orders, session):
        handle = await session.place_order("AAPL", BUY, client_order_id="u")
        orders.tell("u", "UNKNOWN")
        assert isinstance(await handle.outcome(), ibouncer.Unknown)
        orders.tell("u", "WORKING")
        with pytest.raises(TimeoutError, match="WORKING still"):
            await handle.outcome(timeout=0.05)
        orders.tell("u", "REJECTED")
        assert isinstance(await handle.resolved(), ibouncer.Rejected)
        orders.tell("u", "FILLED")
        assert isinstance(await handle.outcome(), ibouncer.Filled)
        # Without a broker it is what was seen last.
        await broker.stop()
        assert isinstance(await handle.outcome(), ibouncer.Filled)


async def test_a_handle_waits_on_while_the_broker_is_away(runtime: Path) -> None:
    async with served(runtime) as (broker, orders, session):
        handle = await session.place_order("AAPL", BUY, client_order_id="r")
        waiting = asyncio.ensure_future(handle.outcome())
        await broker.until(lambda: len(asked(broker, "GetOrder")) == 1)
        await broker.stop()
        orders.tell("r", "FILLED")
        await asyncio.sleep(0)
        await broker.start(unix=runtime / "ibouncer.sock")
        assert isinstance(await waiting, ibouncer.Filled)


async def test_closing_the_session_ends_the_waiting(runtime: Path) -> None:
    async with served(runtime) as (broker, _, session):
        handle = await session.place_order("AAPL", BUY)
        waiting = asyncio.ensure_future(handle.outcome())
        await broker.until(lambda: len(asked(broker, "GetOrder")) == 1)
        await session.close()
        with pytest.raises(ibouncer.ClientError, match="the session was closed"):
            await waiting


async def test_without_reconnect_a_handle_says_that_the_broker_left(runtime: Path) -> None:
    async with served(runtime, reconnect=False) as (broker, _, session):
        handle = await session.place_order("AAPL", BUY)
        waiting = asyncio.ensure_future(handle.outcome())
        await broker.until(lambda: len(asked(broker, "GetOrder")) == 1)
        await broker.stop()
        with pytest.raises(ibouncer.BrokerUnavailable):
            await waiting
