"""The session without asyncio, against a broker in a process of its own or on another thread."""

from __future__ import annotations

import ast
import asyncio
import inspect
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_broker import FakeBroker
from fake_orders import FakeOrders

import ibouncer
from ibouncer._pb.tws.v1 import position_pb2

FAKE_BROKER = Path(__file__).with_name("fake_broker.py")
AAPL = ibouncer.Contract(con_id=265598, symbol="AAPL")


class Served:
    """A fake broker on a thread; `do` runs something in its loop."""

    def __init__(self, runtime: Path) -> None:
        self.path = runtime / "ibouncer.sock"
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.broker = self.do(self._make())

    async def _make(self) -> FakeBroker:
        broker = FakeBroker()
        await broker.start(unix=self.path)
        return broker

    def do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def end(self) -> None:
        self.do(self.broker.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@contextmanager
def served(runtime: Path) -> Iterator[tuple[Served, Any]]:
    server = Served(runtime)
    try:
        with ibouncer.connect_blocking() as session:
            yield server, session
    finally:
        server.end()


def test_calls_answer_and_raise(runtime: Path) -> None:
    with served(runtime) as (server, session):
        assert session.status().ready and session.target.startswith("unix:")
        assert session.accounts()[0].account == "DU0000001"
        assert [client.id for client in session.admin.clients()] == ["client-7"]
        assert [event.number for event in session.admin.events(after=3)] == [4, 5]
        assert session.snapshot("AAPL")["bid"] == 189.5
        server.broker.images["StreamPositions"] = [
            {"position": position_pb2.Position(contract=AAPL, position="3")},
            {"position_end": position_pb2.PositionEnd()},
        ]
        assert [item.position for item in session.positions()] == [3]
        with pytest.raises(ibouncer.BrokerError, match="not complete after"):
            session.pnl("DU0000001", timeout=0.05)
        with pytest.raises(AttributeError):
            session.no_such_call  # noqa: B018
        with pytest.raises(AttributeError):
            session._streams  # noqa: B018


def test_orders_are_waited_for(runtime: Path) -> None:
    buy = ibouncer.limit_order("BUY", 10, 100)
    with served(runtime) as (server, session):
        orders = FakeOrders(server.broker)

        def later(*told: str) -> None:
            server.loop.call_soon_threadsafe(server.loop.call_later, 0.05, orders.tell, *told)

        handle = session.place_order("AAPL", buy, client_order_id="a")
        assert str(handle.order.state) == "SENT" and handle.client_order_id == "a"
        with pytest.raises(TimeoutError):
            handle.outcome(timeout=0.01)
        later("a", "UNKNOWN")
        assert isinstance(handle.outcome(timeout=5), ibouncer.Unknown)
        later("a", "FILLED")
        assert isinstance(handle.resolved(), ibouncer.Filled)
        group = session.place_orders(ibouncer.bracket("AAPL", buy, target_price=2, stop_price=1))
        assert group[1].cancel().ended and group[1].order.ended
        with session.watch_orders(after=0) as watch:
            assert [next(watch).order.client_order_id for _ in range(3)] == ["a"] * 3
            assert watch.through_sequence == 3


def test_ticks_come_by_columns(runtime: Path) -> None:
    with served(runtime) as (_, session), session.quotes("AAPL") as quotes:
        seen: list[Any] = []
        while len(seen) < 2:
            seen += quotes.next_columns()
        assert isinstance(seen[0], ibouncer.Mark) and isinstance(seen[1], ibouncer.TickColumns)
        assert seen[1].values[0] == 189.5 and str(next(iter(seen[1]))) == "AAPL bid 189.5 x 200"


def test_streams_are_iterators_and_come_back(runtime: Path) -> None:
    with served(runtime) as (server, session):
        kinds: list[str] = []
        with session.quotes("AAPL") as quotes:
            for event in quotes:
                kinds.append(event.kind.value if isinstance(event, ibouncer.Mark) else "data")
                if kinds == ["SUBSCRIBED", "data"]:
                    server.do(server.broker.stop())
                elif kinds[-1] == "STALE":
                    server.do(server.broker.start(unix=server.path))
                elif kinds[-2:] == ["RESUMED", "data"]:
                    break
        assert [kind for kind in kinds if kind != "data"] == ["SUBSCRIBED", "STALE", "RESUMED"]
        # At most what was read already; then it is over.
        assert len(list(quotes)) < 5
        stream = session.market_data()
        first = stream.subscribe("AAPL")
        batch = next(stream.batches())
        assert [event.subscription for event in batch] == [first.id] * len(batch)
        while stream.next_batch(timeout=0.1):
            pass
        assert stream.next_batch(timeout=0.01) == [] and len(stream.subscriptions) == 1
        depth = session.depth("MSFT")
        assert next(depth) is depth.book and depth.book.live
        status, _ = next(session.watch_status())
        assert status.ready


def test_closing_ends_what_another_thread_waits_for(runtime: Path) -> None:
    with served(runtime) as (_, session):
        quotes = session.quotes("AAPL")
        heard = threading.Event()

        def read() -> None:
            for _ in quotes:
                heard.set()

        reading = threading.Thread(target=read)
        reading.start()
        assert heard.wait(5)
        session.close()
        reading.join(5)
        assert not reading.is_alive()
        session.close()
        with pytest.raises(ibouncer.ClientError, match="the session is closed") as raised:
            session.status()
        assert raised.value.delivery == "not-sent"
        with pytest.raises(ibouncer.ClientError, match="the session is closed"):
            next(session.quotes("AAPL"))


def test_without_a_broker_it_says_so_and_leaves_no_thread(runtime: Path) -> None:
    before = threading.active_count()
    with (
        pytest.raises(ibouncer.BrokerNotFound),
        ibouncer.connect_blocking(timeout=0.2),
    ):
        pass
    assert threading.active_count() == before


# Whoever runs the tests in a shell's background has Ctrl-C ignored, and children inherit that.
PROGRAM = """
import signal, sys, ibouncer
signal.signal(signal.SIGINT, signal.default_int_handler)
session = ibouncer.connect_blocking()
session.open()
quotes = session.quotes("AAPL")
try:
    for event in quotes:
        print(event, flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    print(session.status().state, flush=True)
    print(len(quotes.next_batch(timeout=5)) > 0, flush=True)
    {end}
"""


@pytest.mark.parametrize("end", ["session.close()", "pass"])
def test_ctrl_c_interrupts_a_reader_and_harms_nothing(runtime: Path, end: str) -> None:
    with fake_program(runtime / "ibouncer.sock"):
        reader = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM.format(end=end)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert reader.stdout is not None
        lines = iter(reader.stdout.readline, "")
        _until(lines, lambda line: "last" in line)
        reader.send_signal(signal.SIGINT)
        _until(lines, lambda line: line == "interrupted\n")
        rest, errors = reader.communicate(timeout=15)
        assert rest.splitlines() == ["READY", "True"]
        assert (reader.returncode, errors) == (0, "")


def _until(lines: Iterator[str], wanted: Callable[[str], bool]) -> None:
    for line in lines:
        if wanted(line):
            return
    raise AssertionError("the program ended before it said that")


@contextmanager
def fake_program(path: Path) -> Iterator[None]:
    program = subprocess.Popen(
        [sys.executable, str(FAKE_BROKER), "--unix", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert program.stdout is not None
    program.stdout.readline()
    try:
        yield
    finally:
        program.communicate(timeout=15)


def test_the_types_know_every_call_of_the_session() -> None:
    stub = Path(inspect.getfile(ibouncer)).with_name("blocking.pyi")
    classes = {
        node.name: {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
        for node in ast.parse(stub.read_text()).body
        if isinstance(node, ast.ClassDef)
    }
    calls = {name for name in dir(ibouncer.Session) if not name.startswith("_")}
    assert calls <= classes["Session"]
