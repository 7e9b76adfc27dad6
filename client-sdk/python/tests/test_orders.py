"""Orders: each call, watches over restarts, and what errors say. Handles: `test_order_handles`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from fake_orders import asked, served

import ibouncer
from ibouncer import OrderState
from ibouncer._pb.ibouncer.v1 import admin_pb2, error_pb2, order_pb2, session_pb2
from ibouncer._pb.tws.v1 import order_state_pb2
from ibouncer.errors import from_message

BUY = ibouncer.limit_order("BUY", 10, 100.0)


async def test_each_call_reaches_its_method(runtime: Path) -> None:
    async with served(runtime) as (broker, _, session):
        handle = await session.place_order(
            "AAPL",
            BUY,
            client_order_id="a",
            attached_orders=ibouncer.AttachedOrders(sl_order_type="PRESET"),
            stop_loss_client_order_id="a.sl",
        )
        placed = asked(broker, "PlaceOrder")[0].order
        assert (placed.client_order_id, placed.stop_loss_client_order_id) == ("a", "a.sl")
        assert placed.request.contract == ibouncer.stock("AAPL") and placed.request.order == BUY
        assert handle.order.state is OrderState.SENT and not handle.already_placed
        assert (await session.place_order("AAPL", BUY, client_order_id="a")).already_placed

        told = ibouncer.TwsOrder()
        told.CopyFrom(BUY)
        told.order_id, told.perm_id, told.parent_id, told.lmt_price = 7, 8, 9, 101.0
        changed = await handle.modify(told)
        assert changed is handle.order and str(changed.change.state) == "SENT"  # type: ignore[union-attr]
        sent = asked(broker, "ModifyOrder")[0].request
        assert sent.contract == ibouncer.stock("AAPL")
        assert sent.order == ibouncer.limit_order("BUY", 10, 101.0)

        theirs = await session.modify_order("a", "AAPL", told, owner="m", reason="too large")
        assert theirs.change and (theirs.change.by, theirs.change.reason) == ("risk", "too large")
        assert asked(broker, "ModifyOrder")[1].owner == "m"

        broker.answers["PreviewOrder"] = order_pb2.PreviewOrderResponse(
            preview=order_state_pb2.OpenOrder(
                order_state=ibouncer.TwsOrderState(init_margin_change=1.5, warning_text="w")
            )
        )
        preview = await session.preview_order("AAPL", BUY)
        assert (preview.init_margin_change, preview.commission) == (1.5, None)
        listed = await session.orders("all", ended=True)
        assert [order.client_order_id for order in listed] == ["a"]
        assert listed.through_sequence == 3
        assert (await session.order("a", owner="m")).order.lmt_price == 101.0
        assert (await session.order_handle("a")).already_placed
        assert (await handle.cancel()).state is OrderState.CANCELLED and handle.order.ended
        await session.cancel_order("a", owner="m", reason="risk")
        assert asked(broker, "CancelOrder")[1].reason == "risk"
        cancelled = await session.cancel_all_orders(owner="m", reason="risk")
        assert len(cancelled) == 1
        (spared,) = cancelled.spared
        assert spared.order.client_order_id == "b"
        assert spared.error.code == "ORDER_UNKNOWN"
        exercised = await session.exercise_options(
            ibouncer.option("AAPL", "20270115", 100, "C"),
            "lapse",
            2,
            manual_order_time="20270114 15:00:00",
            customer_account="c",
            professional_customer=True,
            client_order_id="x",
        )
        assert exercised.client_order_id == "x"
        lapse = asked(broker, "ExerciseOptions")[0].request
        assert (lapse.exercise_action, lapse.manual_order_time) == (2, "20270114 15:00:00")
        assert (lapse.customer_account, lapse.professional_customer) == ("c", True)

        broker.answers["WhoAmI"] = session_pb2.WhoAmIResponse(
            principal="momentum", may_trade=True, accounts=["DU0000001"], limits={"a": "1"}
        )
        me = await session.who_am_i()
        assert (me.principal, me.accounts, me.limits) == ("momentum", ("DU0000001",), {"a": "1"})


async def test_words_that_mean_nothing_are_refused_in_words(runtime: Path) -> None:
    async with served(runtime) as (broker, _, session):
        with pytest.raises(ibouncer.ClientError, match='"exercise", "lapse"') as raised:
            await session.exercise_options(ibouncer.Contract(), "sell", 1)  # type: ignore[arg-type]
        assert (raised.value.code, raised.value.delivery) == ("UNKNOWN_ACTION", "not-sent")
        with pytest.raises(ibouncer.ClientError, match='"never-arrived"') as raised:
            await session.admin.resolve_order("m", "a", "lost", "x")  # type: ignore[arg-type]
        assert raised.value.code == "UNKNOWN_RESOLUTION"
        assert not asked(broker, "ExerciseOptions") and not asked(broker, "ResolveOrder")


async def test_each_order_of_operators_reaches_its_method(runtime: Path) -> None:
    async with served(runtime) as (broker, _, session):
        broker.answers["HaltTrading"] = admin_pb2.HaltTradingResponse(cancels=3)
        broker.answers["AdoptTradingState"] = admin_pb2.AdoptTradingStateResponse(adopted=["b"])
        admin = session.admin
        assert (await admin.halt_trading("test", client="m", cancel_open=True)).cancels == 3
        await admin.resume_trading("test", client="m")
        assert await admin.adopt_trading_state("looked") == ["b"]
        for resolution in ("filled", "cancelled", "never-arrived"):
            await admin.resolve_order("m", "a", resolution, "seen")
        await admin.cancel_every_order("cancel every order of every program", "test")
        assert [one.resolution for one in asked(broker, "ResolveOrder")] == [1, 2, 3]
        assert asked(broker, "HaltTrading")[0].cancel_open
        assert asked(broker, "CancelEveryOrder")[0].confirmation.startswith("cancel every")


async def test_a_watch_goes_on_behind_what_was_sent(runtime: Path) -> None:
    async with served(runtime) as (broker, orders, session):
        await session.place_order("AAPL", BUY, client_order_id="w")
        watch = session.watch_orders()
        assert watch.through_sequence is None
        first = await anext(watch)
        assert str(first.kind) == "SNAPSHOT" and first.order.client_order_id == "w"
        assert watch.through_sequence == 1
        await broker.stop()
        orders.tell("w", "WORKING")
        orders.tell("w", "FILLED")
        reading = asyncio.ensure_future(anext(watch))
        await broker.start(unix=runtime / "ibouncer.sock")
        event = await reading
        assert (event.sequence, event.order.state) == (2, OrderState.WORKING)
        assert watch.through_sequence == 2
        assert (await anext(watch)).order.state is OrderState.FILLED
        assert asked(broker, "WatchOrders")[-1].after_sequence == 1
        # A program that was started anew.
        later = session.watch_orders(after=watch.through_sequence, scope="all")
        orders.tell("w", "FILLED", "UPDATE", filled="10")
        assert (await anext(later)).sequence == 4
        assert asked(broker, "WatchOrders")[-1].scope == order_pb2.ORDER_SCOPE_ALL


async def test_executions_are_watched_in_the_same_way(runtime: Path) -> None:
    async with served(runtime) as (broker, orders, session):
        watch = session.watch_executions(after=5)
        reading = asyncio.ensure_future(anext(watch))
        await broker.line_call()
        orders.fill(6, "a", "e.1", 1.25)
        event = await reading
        assert (event.client_order_id, event.execution.shares, event.execution.cost) == (
            "a",
            10,
            1.25,
        )
        await broker.stop()
        reading = asyncio.ensure_future(anext(watch))
        await broker.start(unix=runtime / "ibouncer.sock")
        await broker.line_call()
        orders.fill(9, "a", "e.2", None)
        assert (await reading).execution.commission is None
        assert [one.after_sequence for one in asked(broker, "WatchExecutions")] == [5, 6]
        assert watch.through_sequence == 9


REFUSED = {"ibouncer-code": "HALTED", "ibouncer-source": "broker", "ibouncer-retry": "after"}


async def test_an_error_says_whether_the_order_has_left(runtime: Path) -> None:
    async with served(runtime) as (broker, _, session):

        async def fails(call: Any, **trailers: str) -> ibouncer.IBouncerError:
            broker.abort = (grpc.StatusCode.UNAVAILABLE, "a sentence.", trailers)
            with pytest.raises(ibouncer.IBouncerError) as raised:
                await call
            return raised.value

        def place() -> Any:
            return session.place_order("AAPL", BUY, client_order_id="a")

        error = await fails(place(), **REFUSED, **{"ibouncer-delivery": "not-sent"})
        assert error.delivery == "not-sent" and error.message == "a sentence."
        assert error.client_order_id == "a" and len(asked(broker, "PlaceOrder")) == 1
        error = await fails(place(), **REFUSED, **{"ibouncer-delivery": "maybe-sent"})
        assert error.delivery == "maybe-sent"
        error = await fails(place(), **REFUSED)
        assert error.delivery == "maybe-sent"
        error = await fails(place())
        assert isinstance(error, ibouncer.BrokerUnavailable) and error.delivery == "maybe-sent"
        assert "make the same call again, with client_order_id 'a'" in str(error)
        for call in (
            session.place_orders([ibouncer.NewOrder("AAPL", BUY)]),
            session.modify_order("a", "AAPL", BUY),
            session.cancel_order("a"),
            session.cancel_all_orders(),
            session.exercise_options(ibouncer.Contract(), "exercise", 1),
            session.admin.halt_trading("x", cancel_open=True),
            session.admin.cancel_every_order("x", "y"),
        ):
            assert (await fails(call)).delivery == "maybe-sent"
        # Calls that send nothing.
        broker.abort = (grpc.StatusCode.NOT_FOUND, "no", {})
        with pytest.raises(ibouncer.ClientError) as raised:
            await session.order("a")
        assert raised.value.delivery is None
    with pytest.raises(ibouncer.ClientError) as raised:
        await place()
    assert raised.value.delivery == "not-sent"


async def test_a_generated_name_is_told_by_the_error(runtime: Path) -> None:
    async with served(runtime) as (broker, _, session):
        broker.abort = (grpc.StatusCode.UNAVAILABLE, "gone", {})
        with pytest.raises(ibouncer.BrokerUnavailable) as raised:
            await session.place_order("AAPL", BUY)
        first = asked(broker, "PlaceOrder")[0]
        assert raised.value.client_order_id == first.order.client_order_id != ""
        await session.place_order("AAPL", BUY, client_order_id=raised.value.client_order_id)
        assert asked(broker, "PlaceOrder")[1] == first


async def test_retries_place_the_same_order_while_the_broker_is_away(runtime: Path) -> None:
    async with served(runtime) as (broker, _, session):
        await broker.stop()
        placing = asyncio.ensure_future(session.place_order("AAPL", BUY, retries=20))
        assert not (await asyncio.wait([placing], timeout=0.3))[0]
        await broker.start(unix=runtime / "ibouncer.sock")
        assert (await placing).order.state is OrderState.SENT
        broker.abort = (grpc.StatusCode.UNAVAILABLE, "gone", {})
        await session.place_order("AAPL", BUY, retries=1)
        one, again = asked(broker, "PlaceOrder")[-2:]
        assert one == again
        # It is back, and its session is not; the first attempt may have been sent all the same.
        broker.abort = (grpc.StatusCode.UNAVAILABLE, "gone", {})
        placing = asyncio.ensure_future(session.place_order("AAPL", BUY, retries=2))
        await broker.until(lambda: broker.abort is None)
        comparing = {**REFUSED, "ibouncer-code": "TRADING_RECONCILING", "ibouncer-retry": "after"}
        broker.abort = (grpc.StatusCode.UNAVAILABLE, "comparing", comparing)
        assert (await placing).order.state is OrderState.SENT
        one, _, again = asked(broker, "PlaceOrder")[-3:]
        assert one == again
        # What the broker refuses is not repeated.
        broker.abort = (grpc.StatusCode.FAILED_PRECONDITION, "halted", REFUSED)
        with pytest.raises(ibouncer.BrokerError, match="halted"):
            await session.place_order("AAPL", BUY, retries=5)


async def test_a_refused_retry_does_not_unsend_the_first_attempt(runtime: Path) -> None:
    async with served(runtime) as (broker, _, session):
        broker.abort = (grpc.StatusCode.UNAVAILABLE, "gone", {})
        placing = asyncio.ensure_future(session.place_order("AAPL", BUY, retries=1))
        await broker.until(lambda: broker.calls and broker.abort is None)
        refused = {**REFUSED, "ibouncer-delivery": "not-sent"}
        broker.abort = (grpc.StatusCode.FAILED_PRECONDITION, "halted", refused)
        with pytest.raises(ibouncer.BrokerError, match="halted") as raised:
            await placing
        assert raised.value.delivery == "maybe-sent"


async def test_without_a_connection_nothing_was_sent(runtime: Path) -> None:
    async with served(runtime) as (broker, _, session):
        await session.place_order("AAPL", BUY)
        await broker.stop()
        # The first call can still go out on a connection whose end nobody has noticed yet.
        for _ in range(2):
            with pytest.raises(ibouncer.BrokerUnavailable) as raised:
                await session.place_order("AAPL", BUY)
        assert raised.value.delivery == "not-sent"
        assert "may have been sent" not in str(raised.value)


def test_the_error_of_a_stream_tells_its_delivery() -> None:
    told = error_pb2.Error(code="X", delivery=error_pb2.ERROR_DELIVERY_NOT_SENT)
    assert from_message(told).delivery == "not-sent"
    assert from_message(error_pb2.Error(code="X")).delivery is None


async def test_a_call_under_way_when_the_session_closes_says_whether_it_was_sent(
    runtime: Path,
) -> None:
    async with served(runtime) as (broker, _, session):
        broker.unanswered = "PlaceOrder"
        placing = asyncio.ensure_future(session.place_order("AAPL", BUY, client_order_id="a"))
        await broker.until(lambda: asked(broker, "PlaceOrder"))
        await session.close()
        with pytest.raises(ibouncer.ClientError, match="the session was closed") as raised:
            await placing
        assert (raised.value.code, raised.value.retry) == ("SESSION_CLOSED", "never")
        assert (raised.value.delivery, raised.value.client_order_id) == ("maybe-sent", "a")
        with pytest.raises(ibouncer.ClientError, match="the session was closed") as raised:
            await session.place_order("AAPL", BUY, retries=3)
        assert raised.value.delivery == "not-sent"


async def test_a_cancelled_caller_is_cancelled_and_so_is_its_call(runtime: Path) -> None:
    async with served(runtime) as (broker, _, session):
        broker.unanswered = "PlaceOrder"
        placing = asyncio.ensure_future(session.place_order("AAPL", BUY))
        await broker.until(lambda: asked(broker, "PlaceOrder"))
        placing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await placing
        await broker.until(lambda: broker.given_up == 1)
