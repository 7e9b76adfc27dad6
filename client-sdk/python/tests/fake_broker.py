"""A small broker made of grpc.aio, for tests of clients: it answers, ticks, and goes away.

Never a model of the real one's decisions. Run as a program it serves until stdin closes, so that
clients in other languages can be tried: `python fake_broker.py --unix PATH --tcp --token T`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from fake_lines import LineCall, add_missing

from ibouncer._pb.ibouncer.v1 import (
    account_pb2,
    admin_pb2,
    error_pb2,
    market_data_pb2,
    session_pb2,
    stream_pb2,
)
from ibouncer._pb.tws.v1 import market_data_pb2 as tws_pb2
from ibouncer._pb.tws.v1 import session_pb2 as tws_session_pb2

EPOCH = 3
UNKNOWN_SYMBOL = "NOPE"


@dataclass
class Stream:
    """One client's market-data stream; `push` sends a batch of events."""

    context: Any
    metadata: dict[str, str]
    contracts: dict[int, Any] = field(default_factory=dict)
    requests: list[Any] = field(default_factory=list)
    outbox: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)

    def push(self, *events: Any) -> None:
        self.outbox.put_nowait(market_data_pb2.StreamMarketDataResponse(events=events))

    def push_mark(self, kind: int, because: str = "", error: Any = None) -> None:
        for number in self.contracts:
            self.push(mark(number, kind, because, error))

    def push_bytes(self, data: bytes) -> None:
        """An answer that need be no message."""
        self.outbox.put_nowait(data)

    def break_with(self, code: grpc.StatusCode, message: str, **trailers: str) -> None:
        self.outbox.put_nowait((code, message, trailers))


class FakeBroker:
    """`auto_ticks`: what a new subscription gets at once. `abort`: fails the next unary call."""

    def __init__(self, *, token: str | None = None, auto_ticks: bool = True) -> None:
        self.token = token
        self.auto_ticks = auto_ticks
        self.state = session_pb2.SESSION_STATE_READY
        self.streams: list[Stream] = []
        self.calls: list[tuple[str, dict[str, str], Any]] = []
        self.abort: tuple[grpc.StatusCode, str, dict[str, str]] | None = None
        self.flood: int = 0
        self.flooded: int = 0
        self.events = 5
        # A method in `fake_lines` that is never answered, and how many callers gave up.
        self.unanswered: str | None = None
        self.given_up = 0
        self.hold: str | None = None
        self.farms: list[session_pb2.Farm] = []
        self.changed = asyncio.Event()
        # Of the methods in `fake_lines`, by their names.
        self.answers: dict[str, Any] = {}
        self.images: dict[str, list[dict[str, Any]]] = {}
        self.line_calls: list[LineCall] = []
        self._server: grpc.aio.Server | None = None

    async def start(self, *, unix: Path | None = None, tcp: str | None = None) -> int:
        """Listens; returns the TCP port, or 0."""
        self._server = grpc.aio.server()
        services = self._services()
        add_missing(self, services)
        for service, methods in services.items():
            handler = grpc.method_handlers_generic_handler(f"ibouncer.v1.{service}", methods)
            self._server.add_generic_rpc_handlers((handler,))
        if unix is not None:
            self._server.add_insecure_port(f"unix:{unix}")
        port = self._server.add_insecure_port(tcp) if tcp is not None else 0
        await self._server.start()
        return port

    async def __aenter__(self) -> FakeBroker:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Goes away at once; calls in flight break."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None
        self.streams.clear()
        self.line_calls.clear()

    async def stream(self, number: int = 0) -> Stream:
        """The stream of that number, once it has a subscription."""
        await self.until(lambda: len(self.streams) > number and self.streams[number].contracts)
        return self.streams[number]

    async def line_call(self, number: int = 0) -> LineCall:
        """The stream of one subscription of that number."""
        await self.until(lambda: len(self.line_calls) > number)
        return self.line_calls[number]

    async def until(self, condition: Callable[[], Any], timeout: float = 5.0) -> None:
        async def wait() -> None:
            while not condition():
                self.changed.clear()
                await self.changed.wait()

        await asyncio.wait_for(wait(), timeout)

    def _services(self) -> dict[str, dict[str, grpc.RpcMethodHandler]]:
        def unary(answer: Callable[[Any], Any], request: Any) -> grpc.RpcMethodHandler:
            async def call(message: Any, context: Any) -> Any:
                await self._enter(type(message).__name__, message, context)
                return answer(message)

            return grpc.unary_unary_rpc_method_handler(
                call, request.FromString, lambda response: response.SerializeToString()
            )

        session, market = session_pb2, market_data_pb2
        return {
            "SessionService": {
                "GetStatus": unary(
                    lambda _: session.GetStatusResponse(status=self.status()),
                    session.GetStatusRequest,
                ),
                "WaitReady": unary(
                    lambda _: session.WaitReadyResponse(
                        ready=self.state == session.SESSION_STATE_READY, status=self.status()
                    ),
                    session.WaitReadyRequest,
                ),
                "WatchStatus": grpc.unary_stream_rpc_method_handler(
                    self._watch,
                    session.WatchStatusRequest.FromString,
                    session.WatchStatusResponse.SerializeToString,
                ),
            },
            "AccountService": {
                "ListAccounts": unary(
                    lambda _: account_pb2.ListAccountsResponse(
                        accounts=[account_pb2.Account(account="DU0000001", paper=True)]
                    ),
                    account_pb2.ListAccountsRequest,
                ),
            },
            "MarketDataService": {
                "StreamMarketData": grpc.stream_stream_rpc_method_handler(
                    self._stream,
                    market.StreamMarketDataRequest.FromString,
                    lambda sent: sent if isinstance(sent, bytes) else sent.SerializeToString(),
                ),
                "GetSnapshot": unary(
                    lambda _: market.GetSnapshotResponse(
                        events=[price(0, 1, 1, 189.5), price(0, 2, 2, 189.52), notice(0, 10167)]
                    ),
                    market.GetSnapshotRequest,
                ),
            },
            "AdminService": {
                "ListClients": unary(
                    lambda _: admin_pb2.ListClientsResponse(
                        clients=[admin_pb2.ClientInfo(id="client-7", name="a", delivered=5)]
                    ),
                    admin_pb2.ListClientsRequest,
                ),
                "ListLines": unary(
                    lambda _: admin_pb2.ListLinesResponse(
                        lines=[admin_pb2.LineInfo(id="line-3", symbol="AAPL", state="live")]
                    ),
                    admin_pb2.ListLinesRequest,
                ),
                "RestartWorker": unary(
                    lambda _: admin_pb2.RestartWorkerResponse(epoch=EPOCH),
                    admin_pb2.RestartWorkerRequest,
                ),
                "Retry": unary(lambda _: admin_pb2.RetryResponse(), admin_pb2.RetryRequest),
                "HoldSession": unary(
                    lambda _: admin_pb2.HoldSessionResponse(), admin_pb2.HoldSessionRequest
                ),
                "ReleaseSession": unary(
                    lambda _: admin_pb2.ReleaseSessionResponse(), admin_pb2.ReleaseSessionRequest
                ),
                "HandOver": unary(
                    lambda _: admin_pb2.HandOverResponse(build="0.1.0 fake", epoch=EPOCH),
                    admin_pb2.HandOverRequest,
                ),
                "ListConnections": unary(
                    lambda _: admin_pb2.ListConnectionsResponse(
                        path="local",
                        connections=[admin_pb2.Connection(state="ESTABLISHED", role="worker")],
                    ),
                    admin_pb2.ListConnectionsRequest,
                ),
                "WatchEvents": grpc.unary_stream_rpc_method_handler(
                    self._watch_events,
                    admin_pb2.WatchEventsRequest.FromString,
                    admin_pb2.WatchEventsResponse.SerializeToString,
                ),
            },
        }

    def status(self) -> Any:
        message = session_pb2.Status(
            instance="default",
            state=self.state,
            reason="as the test wants it",
            epoch=EPOCH,
            mode="paper",
            accounts=["DU***001"],
            hold=self.hold,
            farms=self.farms,
        )
        message.since.FromSeconds(1_700_000_000)
        return message

    async def _enter(self, name: str, message: Any, context: Any) -> dict[str, str]:
        metadata = {key: value for key, value in context.invocation_metadata()}
        self.calls.append((name, metadata, message))
        self.changed.set()
        over_tcp = not context.peer().startswith("unix:")
        if over_tcp and self.token and metadata.get("authorization") != f"Bearer {self.token}":
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "wrong or missing token")
        if self.abort is not None:
            (code, text, trailers), self.abort = self.abort, None
            await context.abort(code, text, tuple(trailers.items()))
        return metadata

    async def _watch(self, message: Any, context: Any) -> AsyncIterator[Any]:
        await self._enter("WatchStatusRequest", message, context)
        yield session_pb2.WatchStatusResponse(status=self.status())
        transition = session_pb2.Transition(
            to=session_pb2.SESSION_STATE_BACKOFF, because="worker ended", epoch=EPOCH
        )
        setattr(transition, "from", session_pb2.SESSION_STATE_READY)
        yield session_pb2.WatchStatusResponse(status=self.status(), transitions=[transition])
        await asyncio.Event().wait()

    async def _watch_events(self, message: Any, context: Any) -> AsyncIterator[Any]:
        await self._enter("WatchEventsRequest", message, context)
        numbers = range(message.after + 1, self.events + 1)
        events = [admin_pb2.Event(number=number, kind="broker") for number in numbers]
        yield admin_pb2.WatchEventsResponse(events=events)
        if message.follow:
            await asyncio.Event().wait()

    async def _stream(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        metadata = await self._enter("StreamMarketData", None, context)
        stream = Stream(context, metadata)
        self.streams.append(stream)
        reading = asyncio.create_task(self._read(stream, requests))
        try:
            while True:
                item = await stream.outbox.get()
                if item is None:
                    return
                if isinstance(item, tuple):
                    code, text, trailers = item
                    await context.abort(code, text, tuple(trailers.items()))
                yield item
                self.flooded += len(item.events) if self.flood else 0
        finally:
            reading.cancel()

    async def _read(self, stream: Stream, requests: AsyncIterator[Any]) -> None:
        async for request in requests:
            stream.requests.append(request)
            if request.HasField("unsubscribe"):
                number = request.unsubscribe.subscription_id
                stream.contracts.pop(number, None)
                stream.push(mark(number, stream_pb2.MARK_KIND_ENDED, "unsubscribed"))
            else:
                self._subscribed(stream, request.subscribe)
            self.changed.set()

    def _subscribed(self, stream: Stream, subscribe: Any) -> None:
        number = subscribe.subscription_id
        contract = getattr(subscribe, subscribe.WhichOneof("what")).contract
        if contract.symbol == UNKNOWN_SYMBOL:
            error = error_pb2.Error(
                code="GATEWAY_ERROR",
                message="No security definition has been found for the request",
                source=error_pb2.ERROR_SOURCE_UPSTREAM,
                retry=error_pb2.ERROR_RETRY_NEVER,
                gateway_code=200,
            )
            stream.push(notice(number, 200))
            stream.push(mark(number, stream_pb2.MARK_KIND_ENDED, "gateway error", error))
            return
        stream.contracts[number] = contract
        stream.push(mark(number, stream_pb2.MARK_KIND_SUBSCRIBED))
        if self.auto_ticks:
            stream.push(price(number, 1, 1, 189.5, "200", True), size(number, 2, 0, "200"))
            stream.push(text(number, 3, 45, "1700000000"), price(number, 4, 4, 189.51, "100"))
        for batch in range(self.flood):
            first = batch * 1000
            stream.push(*(price(number, first + i, 1, 189.5 + i, "100") for i in range(1000)))


def price(
    number: int, sequence: int, kind: int, value: float, amount: str = "", replayed: bool = False
) -> Any:
    return market_data_pb2.MarketDataEvent(
        subscription_id=number,
        sequence=sequence,
        replayed=replayed,
        tick_price=tws_pb2.TickPrice(tick_type=kind, price=value, size=amount),
    )


def size(number: int, sequence: int, kind: int, amount: str) -> Any:
    tick = tws_pb2.TickSize(tick_type=kind, size=amount)
    return market_data_pb2.MarketDataEvent(
        subscription_id=number, sequence=sequence, tick_size=tick
    )


def text(number: int, sequence: int, kind: int, value: str) -> Any:
    tick = tws_pb2.TickString(tick_type=kind, value=value)
    return market_data_pb2.MarketDataEvent(
        subscription_id=number, sequence=sequence, tick_string=tick
    )


def notice(number: int, code: int) -> Any:
    error = tws_session_pb2.ErrorMessage(
        error_code=code, error_msg="as Gateway says it", error_time=1_700_000_000_000
    )
    return market_data_pb2.MarketDataEvent(subscription_id=number, sequence=1, error=error)


def mark(number: int, kind: Any, because: str = "", error: Any = None) -> Any:
    return market_data_pb2.MarketDataEvent(
        subscription_id=number,
        mark=stream_pb2.StreamMark(kind=kind, because=because, epoch=EPOCH, error=error),
    )


async def _serve() -> None:
    parser = argparse.ArgumentParser(description="A broker that knows nothing.")
    parser.add_argument("--unix", type=Path)
    parser.add_argument("--tcp", action="store_true")
    parser.add_argument("--token")
    parser.add_argument("--rate", type=float, default=20.0, help="ticks a second and line")
    parser.add_argument("--stale-every", type=float, default=0.0, metavar="SECONDS")
    arguments = parser.parse_args()
    broker = FakeBroker(token=arguments.token)
    tcp = "127.0.0.1:0" if arguments.tcp else None
    port = await broker.start(unix=arguments.unix, tcp=tcp)
    print(json.dumps({"unix": str(arguments.unix), "tcp": f"127.0.0.1:{port}"}), flush=True)
    ticking = asyncio.create_task(_tick(broker, arguments.rate, arguments.stale_every))
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    ticking.cancel()
    await broker.stop()


async def _tick(broker: FakeBroker, rate: float, stale_every: float) -> None:
    sequence = 10
    stale_at = stale_every
    while True:
        await asyncio.sleep(1 / rate)
        sequence += 1
        for stream in broker.streams:
            for number in list(stream.contracts):
                stream.push(price(number, sequence, 4, 180 + sequence % 100 / 10, "100"))
            if stale_every and (sequence - 10) / rate >= stale_at:
                stream.push_mark(stream_pb2.MARK_KIND_STALE, "worker ended")
                stream.push_mark(stream_pb2.MARK_KIND_RESUMED, "session is ready")
        if stale_every and (sequence - 10) / rate >= stale_at:
            stale_at += stale_every


if __name__ == "__main__":
    asyncio.run(_serve())
