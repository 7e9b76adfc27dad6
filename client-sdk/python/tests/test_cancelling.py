"""Tasks that are cancelled while they read or call, alone or with all that runs under them.

`asyncio.run` ends with the latter: every task is cancelled, also those that the client made, and
it waits for all of them.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from fake_broker import FakeBroker
from fake_orders import FakeOrders
from test_blocking import fake_program

import ibouncer
from ibouncer.waiting import within

# Files of what runs under a client's task.
CLIENT = (str(Path(ibouncer.__file__).parent), str(Path(grpc.aio.__file__).with_name("_call.py")))

Work = Callable[[ibouncer.Session], Awaitable[Any]]


async def _read(stream: Any) -> None:
    async for _ in stream:
        pass


async def _outcome(session: ibouncer.Session, timeout: float | None = None) -> None:
    handle = await session.place_order("AAPL", ibouncer.limit_order("BUY", 1, 1.0))
    await handle.outcome(timeout=timeout)


# What a task waits in, and the method that the broker hears of it last.
WAITING: dict[str, tuple[Work, str]] = {
    "orders": (lambda session: _read(session.watch_orders()), "WatchOrders"),
    "executions": (lambda session: _read(session.watch_executions()), "WatchExecutions"),
    "status": (lambda session: _read(session.watch_status()), "WatchStatusRequest"),
    "events": (lambda session: _read(session.admin.events(follow=True)), "WatchEventsRequest"),
    "quotes": (lambda session: _read(session.quotes("AAPL")), "StreamMarketData"),
    "positions": (lambda session: _read(session.stream_positions()), "StreamPositions"),
    "twin": (lambda session: session.positions(timeout=60), "StreamPositions"),
    "outcome": (_outcome, "GetOrder"),
    "outcome in time": (lambda session: _outcome(session, 60), "GetOrder"),
    "call": (lambda session: session.family_codes(timeout=60), "GetFamilyCodes"),
}


def _is_of_client(task: asyncio.Task[Any]) -> bool:
    """The broker of a test runs in the same loop, made of other coroutines."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code.co_filename.startswith(CLIENT)


async def _ends_cancelled(task: asyncio.Task[Any]) -> bool:
    done, _ = await asyncio.wait([task], timeout=5)
    return bool(done) and task.cancelled()


@pytest.mark.parametrize("mine_first", [True, False])
@pytest.mark.parametrize("what", WAITING)
async def test_who_is_cancelled_with_all_its_work_ends(
    runtime: Path, what: str, mine_first: bool
) -> None:
    work, heard = WAITING[what]
    async with FakeBroker() as broker:
        FakeOrders(broker)
        broker.unanswered = "GetFamilyCodes"
        await broker.start(unix=runtime / "ibouncer.sock")

        async def strategy() -> None:
            async with ibouncer.connect() as session:
                await work(session)

        before = asyncio.all_tasks()
        task = asyncio.create_task(strategy())
        await broker.until(lambda: heard in [name for name, _, _ in broker.calls])
        mine = {one for one in asyncio.all_tasks() - before if _is_of_client(one)}
        assert mine, "it works in tasks of its own"
        for one in [task, *mine] if mine_first else [*mine, task]:
            one.cancel()
        assert await _ends_cancelled(task)


async def test_who_waits_for_a_broker_and_is_cancelled_with_all_its_work_ends(
    runtime: Path,
) -> None:
    for mine_first in (True, False):
        broker = FakeBroker()
        await broker.start(unix=runtime / "ibouncer.sock")
        away = asyncio.Event()

        async def strategy(away: asyncio.Event = away) -> None:
            async with ibouncer.connect() as session:
                async for status, _ in session.watch_status():
                    if status.local:
                        away.set()

        before = asyncio.all_tasks()
        task = asyncio.create_task(strategy())
        await broker.until(lambda broker=broker: broker.calls)
        await broker.stop()
        await asyncio.wait_for(away.wait(), 5)
        mine = asyncio.all_tasks() - before - {task}
        for one in [task, *mine] if mine_first else [*mine, task]:
            one.cancel()
        assert await _ends_cancelled(task)


async def test_a_read_that_alone_is_cancelled_ends_no_stream(runtime: Path) -> None:
    async with FakeBroker() as broker:
        await broker.start(unix=runtime / "ibouncer.sock")
        async with ibouncer.connect() as session:
            watch = session.watch_status()
            await anext(watch)
            await anext(watch)
            before = asyncio.all_tasks()
            reading = asyncio.create_task(_next_status(watch))
            # It begins, and waits.
            await asyncio.sleep(0)
            inner = asyncio.all_tasks() - before - {reading}
            assert inner
            for one in inner:
                one.cancel()
            # The call broke, and no one has cancelled the reader: it opens another.
            status = await asyncio.wait_for(reading, 5)
            assert status.local and "cancelled" in status.reason
            assert not (await asyncio.wait_for(_next_status(watch), 5)).local


async def test_closing_a_stream_cancels_nobody_who_subscribes(runtime: Path) -> None:
    async with FakeBroker() as broker:
        await broker.start(unix=runtime / "ibouncer.sock")
        async with ibouncer.connect() as session:
            # Wherever the first of them is with its call, which it opens for all.
            for steps in range(1, 30):
                stream = session.market_data()
                subscribing = [asyncio.create_task(stream.subscribe("AAPL")) for _ in range(3)]
                for _ in range(steps):
                    await asyncio.sleep(0)
                await stream.close()
                done, waiting = await asyncio.wait(subscribing, timeout=5)
                assert not waiting, f"after {steps} steps one waits for ever"
                assert [one for one in done if one.cancelled() or one.exception()] == []


async def test_a_result_is_no_answer_to_a_cancellation() -> None:
    async def work() -> int:
        waiting.cancel()
        return 1

    waiting = asyncio.create_task(within(5, work()))
    assert await _ends_cancelled(waiting)


async def test_work_that_is_late_is_cancelled_and_its_error_is_told() -> None:
    ended = asyncio.Event()

    async def late() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def wrong() -> None:
        raise ValueError("as the work says it")

    with pytest.raises(asyncio.TimeoutError):
        await within(0.01, late())
    assert ended.is_set()
    with pytest.raises(ValueError, match="as the work says it"):
        await within(5, wrong())


PROGRAM = """
import asyncio, sys
import ibouncer

async def strategy(begun):
    async with ibouncer.connect() as session:
        streams = {"status": session.watch_status, "quotes": lambda: session.quotes("AAPL")}
        async for _ in streams[sys.argv[1]]():
            begun.set()

async def main():
    begun = asyncio.Event()
    task = asyncio.create_task(strategy(begun))
    await begun.wait()
    if sys.argv[2] == "raises":
        raise ValueError("a fault of the program")

try:
    asyncio.run(main())
except ValueError as error:
    print(error)
print("over")
"""


@pytest.mark.parametrize("end", ["returns", "raises"])
@pytest.mark.parametrize("what", ["status", "quotes"])
def test_a_program_ends_while_a_task_reads(runtime: Path, what: str, end: str) -> None:
    with fake_program(runtime / "ibouncer.sock"):
        program = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM, what, end],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert program.returncode == 0, program.stderr
    assert program.stdout.endswith("over\n") and program.stderr == ""


async def _next_status(watch: Any) -> Any:
    return (await anext(watch))[0]
