"""Single calls: status, accounts, snapshot, admin; and errors as exceptions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path

import grpc
import pytest
from fake_broker import EPOCH, FakeBroker
from google.protobuf.timestamp_pb2 import Timestamp

import ibouncer
from ibouncer import SessionState
from ibouncer._pb.ibouncer.v1 import error_pb2, session_pb2
from ibouncer.errors import from_message


@asynccontextmanager
async def served(
    runtime: Path, *, reconnect: bool = True
) -> AsyncIterator[tuple[FakeBroker, ibouncer.Session]]:
    async with FakeBroker() as broker:
        await broker.start(unix=runtime / "ibouncer.sock")
        async with ibouncer.connect(reconnect=reconnect) as session:
            yield broker, session


async def test_wait_ready_returns_the_status_or_raises_it(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        assert (await session.wait_ready(timeout=1.5)).state is SessionState.READY
        assert broker.calls[-1][2].timeout.ToMilliseconds() == 1500
        broker.state = session_pb2.SESSION_STATE_WEDGED
        with pytest.raises(ibouncer.NotReady, match="WEDGED") as raised:
            await session.wait_ready(timeout=0)
        assert raised.value.status.state == "WEDGED"
        assert raised.value.retry == "after"


async def test_every_state_of_the_schema_has_a_name(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        for number in session_pb2.SessionState.values():
            broker.state = number
            name = session_pb2.SessionState.Name(number).removeprefix("SESSION_STATE_")
            assert str((await session.status()).state) == name
        broker.state = 99
        assert (await session.status()).state is SessionState.UNSPECIFIED


async def test_watch_status_survives_an_impatient_reader(runtime: Path) -> None:
    async with served(runtime) as (_, session):
        watch = session.watch_status()
        status, transitions = await anext(watch)
        assert status.ready and transitions == []
        _, transitions = await anext(watch)
        assert [str(item) for item in transitions] == ["READY -> BACKOFF: worker ended"]
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(watch), 0.05)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(watch), 0.05)
        await watch.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(watch)


async def test_a_snapshot_is_read_by_field(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        snapshot = await session.snapshot("AAPL", feed=ibouncer.Feed.DELAYED)
        assert snapshot["bid"] == 189.5 and snapshot.get("last") is None
        assert [notice.code for notice in snapshot.notices] == [10167]
        with pytest.raises(KeyError):
            snapshot["last"]
        request = broker.calls[-1][2]
        assert request.feed == 3 and request.request.contract.exchange == "SMART"
        assert not request.request.HasField("snapshot")


async def test_admin_lists_and_orders(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        assert [client.id for client in await session.admin.clients()] == ["client-7"]
        assert [line.state for line in await session.admin.lines()] == ["live"]
        assert await session.admin.restart_worker("test", drop_live_session=True) == EPOCH
        assert broker.calls[-1][2].drop_live_session
        await session.admin.retry("test")
        await session.admin.hold("test", drop_live_session=True)
        held = broker.calls[-1][2]
        assert held.reason == "test" and held.drop_live_session
        await session.admin.release("done")
        assert broker.calls[-1][2].reason == "done"
        over = await session.admin.hand_over("/opt/new/ibouncer")
        assert (over.build, over.epoch) == ("0.1.0 fake", EPOCH)
        assert broker.calls[-1][2].binary == "/opt/new/ibouncer"
        found = await session.admin.connections()
        assert [(one.state, one.role) for one in found.connections] == [("ESTABLISHED", "worker")]


async def test_events_end_by_themselves_unless_they_are_followed(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        assert [event.number async for event in session.admin.events(after=2)] == [3, 4, 5]
        events = session.admin.events(follow=True, after=4)
        assert (await anext(events)).number == 5
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(events), 0.05)
        # It goes on behind what was read, and repeats nothing.
        await broker.stop()
        broker.events = 6
        await broker.start(unix=runtime / "ibouncer.sock")
        assert (await anext(events)).number == 6
        await events.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(events)


async def test_the_hold_is_part_of_the_status(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        assert (await session.status()).hold is None
        broker.hold = "maintenance"
        assert (await session.status()).hold == "maintenance"


async def test_the_farms_are_part_of_the_status(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        assert (await session.status()).farms == ()
        since = datetime.fromtimestamp(1_700_000_000, timezone.utc)
        stamp = Timestamp(seconds=1_700_000_000)
        broker.farms = [
            session_pb2.Farm(name="usfarm", kind="market", state="broken", since=stamp),
            session_pb2.Farm(name="ushmds", kind="historical", state="inactive"),
        ]
        status = await session.status()
        assert status.farms == (
            ibouncer.Farm("usfarm", "market", "broken", since),
            ibouncer.Farm("ushmds", "historical", "inactive", None),
        )
        assert str(status.farms[0]) == "usfarm (market) broken"


async def test_trailers_decide_class_and_fields_of_an_error(runtime: Path) -> None:
    expected = {
        "client": (ibouncer.ClientError, "never"),
        "broker": (ibouncer.BrokerError, "after"),
        "worker": (ibouncer.WorkerEnded, "now"),
        "upstream": (ibouncer.GatewayError, "never"),
    }
    async with served(runtime) as (broker, session):
        for source, (kind, retry) in expected.items():
            trailers = {
                "ibouncer-code": "SOME_CODE",
                "ibouncer-source": source,
                "ibouncer-retry": retry,
            }
            if source == "upstream":
                trailers["ibouncer-gateway-code"] = "354"
            broker.abort = (grpc.StatusCode.UNAVAILABLE, "a sentence", trailers)
            with pytest.raises(ibouncer.IBouncerError) as raised:
                await session.accounts()
            error = raised.value
            assert type(error) is kind
            assert (error.code, error.retry, error.source) == ("SOME_CODE", retry, source)
            assert error.message == "a sentence"
            assert error.gateway_code == (354 if source == "upstream" else None)


async def test_without_trailers_the_status_decides(runtime: Path) -> None:
    expected = {
        grpc.StatusCode.INVALID_ARGUMENT: (ibouncer.ClientError, "never"),
        grpc.StatusCode.UNIMPLEMENTED: (ibouncer.BrokerError, "never"),
        grpc.StatusCode.RESOURCE_EXHAUSTED: (ibouncer.BrokerError, "after"),
        grpc.StatusCode.UNAVAILABLE: (ibouncer.BrokerUnavailable, "after"),
    }
    async with served(runtime, reconnect=False) as (broker, session):
        for status, (kind, retry) in expected.items():
            broker.abort = (status, "a sentence", {})
            with pytest.raises(kind) as raised:
                await session.status()
            assert raised.value.retry == retry and "a sentence" in str(raised.value)


async def test_a_broker_that_left_is_unavailable_and_found_again(runtime: Path) -> None:
    async with served(runtime, reconnect=False) as (broker, session):
        await broker.stop()
        with pytest.raises(ibouncer.BrokerUnavailable):
            await session.status()
        await broker.start(unix=runtime / "ibouncer.sock")
        deadline = asyncio.get_running_loop().time() + 10
        while True:
            try:
                assert (await session.status()).ready
                break
            except ibouncer.BrokerUnavailable:
                assert asyncio.get_running_loop().time() < deadline
                await asyncio.sleep(0.02)


def test_an_error_message_becomes_the_exception_of_its_source() -> None:
    message = error_pb2.Error(
        code="GATEWAY_ERROR",
        message="Requested market data is not subscribed",
        source=error_pb2.ERROR_SOURCE_UPSTREAM,
        retry=error_pb2.ERROR_RETRY_NEVER,
        gateway_code=354,
    )
    error = from_message(message)
    assert isinstance(error, ibouncer.GatewayError)
    assert str(error) == "Requested market data is not subscribed [GATEWAY_ERROR 354]"
    assert type(from_message(error_pb2.Error(code="X"))) is ibouncer.BrokerError
