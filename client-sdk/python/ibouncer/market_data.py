"""Market-data streams: subscribing, reading in batches, and going on after the broker was away.

Nothing is buffered beyond the batch at hand. A program that reads slowly makes the broker
conflate, which it can see in `Tick.skipped`.

With `reconnect` a broken stream is opened again for ever, with pauses from 0.1 to 5 s, and every
live subscription is sent again under its id; what the reader is told of it: `continuity`. One that
is `resumable` says where it broke. An error that will not go away by itself is raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc.aio
from google.protobuf.message import DecodeError

from ibouncer import errors, subscribing
from ibouncer._pb.ibouncer.v1 import market_data_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer.batched import Batched
from ibouncer.bulk import decode_bytes, read_columns
from ibouncer.connection import Comeback, Connection
from ibouncer.continuity import Continuity
from ibouncer.contracts import as_contract
from ibouncer.streams import OneReader, Reader
from ibouncer.subscribing import TickByTickKind
from ibouncer.tick_columns import TickColumns, in_columns
from ibouncer.ticks import Event, Feed

if TYPE_CHECKING:
    Call = grpc.aio.StreamStreamCall[market_data_pb2.StreamMarketDataRequest, bytes]


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription of one stream; events carry its `id`."""

    id: int
    contract: Contract
    request: market_data_pb2.StreamMarketDataRequest


class MarketDataStream(Batched[Event]):
    """One stream for many contracts. `async for` gives events, `batches()` lists of them.

    In every way to subscribe: with `wait_for_line` the request waits if all lines are taken, told
    by QUEUED marks, and is not refused; with `resumable` the broker keeps the line for 30 s when
    this stream breaks, so that RESUMED can tell what was missed.
    """

    def __init__(self, connection: Connection, *, reconnect: bool) -> None:
        super().__init__()
        self._comeback = Comeback(connection, reconnect=reconnect)
        self._subscriptions: dict[int, Subscription] = {}
        self._continuity = Continuity(self._on_ended)
        self._last_id = 0
        self._call: Call | None = None
        self._reader: Reader[bytes] | None = None
        self._one_reader = OneReader()
        self._writing = asyncio.Lock()
        self._writers: set[asyncio.Future[None]] = set()
        self._own_marks: list[Event] = []
        self._broken = False

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Those that were asked for and have not ended."""
        return tuple(self._subscriptions.values())

    async def subscribe(
        self,
        contract: Contract | str,
        *,
        generic_ticks: str | Iterable[int] = "",
        feed: Feed | None = None,
        wait_for_line: bool = False,
        resumable: bool = False,
    ) -> Subscription:
        """Starts quotes; a SUBSCRIBED or ENDED mark answers on the stream."""
        wanted = as_contract(contract)
        subscribe = subscribing.quote(wanted, generic_ticks, feed)
        return await self.start(wanted, subscribe, wait_for_line, resumable)

    async def subscribe_depth(
        self,
        contract: Contract | str,
        *,
        rows: int = 10,
        smart: bool = False,
        wait_for_line: bool = False,
        resumable: bool = False,
    ) -> Subscription:
        """Starts a book: DepthChange events, for `Book.apply`; RESET marks come with them."""
        wanted = as_contract(contract)
        subscribe = subscribing.depth(wanted, rows, smart)
        return await self.start(wanted, subscribe, wait_for_line, resumable)

    async def subscribe_tick_by_tick(
        self,
        contract: Contract | str,
        kind: TickByTickKind = "Last",
        *,
        number_of_ticks: int = 0,
        ignore_size: bool = False,
        wait_for_line: bool = False,
        resumable: bool = False,
    ) -> Subscription:
        """Starts Trade, BidAsk or Midpoint events; `number_of_ticks` of the past come first."""
        wanted = as_contract(contract)
        subscribe = subscribing.tick_by_tick(wanted, kind, number_of_ticks, ignore_size)
        return await self.start(wanted, subscribe, wait_for_line, resumable)

    async def subscribe_real_time_bars(
        self,
        contract: Contract | str,
        what_to_show: str = "TRADES",
        *,
        use_rth: bool = False,
        bar_size: int = 5,
        wait_for_line: bool = False,
        resumable: bool = False,
    ) -> Subscription:
        """Starts RealTimeBar events, one every 5 s."""
        wanted = as_contract(contract)
        subscribe = subscribing.real_time_bars(wanted, what_to_show, use_rth, bar_size)
        return await self.start(wanted, subscribe, wait_for_line, resumable)

    async def start(
        self,
        contract: Contract,
        subscribe: market_data_pb2.Subscribe,
        wait_for_line: bool = False,
        resumable: bool = False,
    ) -> Subscription:
        """Starts what `subscribe` asks for; its id is set here."""
        if self._comeback.closing.is_set():
            raise errors.ClientError(
                "the stream is closed: ask the session for another one", code="STREAM_CLOSED"
            )
        self._last_id += 1
        subscribe.subscription_id = self._last_id
        subscribe.wait_for_line = wait_for_line
        subscribe.resumable = resumable
        request = market_data_pb2.StreamMarketDataRequest(subscribe=subscribe)
        subscription = Subscription(self._last_id, contract, request)
        self._subscriptions[subscription.id] = subscription
        self._continuity.contracts[subscription.id] = contract
        if self._call is not None:
            await self._write(self._call, request)
        elif not self._broken:
            await self._open()
        return subscription

    async def unsubscribe(self, subscription: Subscription | int) -> None:
        """Ends a subscription; an ENDED mark confirms it."""
        number = subscription if isinstance(subscription, int) else subscription.id
        if self._subscriptions.pop(number, None) is None or self._call is None:
            return
        request = market_data_pb2.StreamMarketDataRequest(
            unsubscribe=market_data_pb2.Unsubscribe(subscription_id=number)
        )
        await self._write(self._call, request)

    async def next_batch(self) -> list[Event] | None:
        """The next batch, never empty; None once the stream is closed.

        May be cancelled, as by `asyncio.wait_for`, without loss.
        """
        return await self._next(self._events_of)

    async def next_columns(self) -> list[TickColumns | Event] | None:
        """The same, with ticks that follow each other as columns and not as objects."""
        return await self._next(self._columns_of)

    async def _next(self, read: Callable[[bytes], list[Any]]) -> list[Any] | None:
        with self._one_reader:
            while not self._comeback.closing.is_set():
                if self._own_marks:
                    marks, self._own_marks = self._own_marks, []
                    return marks
                try:
                    if self._reader is None:
                        if not self._broken or await self._comeback.wait():
                            await self._open()
                        continue
                    response = await self._reader.read()
                except errors.IBouncerError as error:
                    self._on_broken(error)
                    continue
                if response is None:
                    return None
                try:
                    batch = read(response)
                except DecodeError as error:
                    await self.close()
                    raise errors.malformed("the batch of market data", error) from error
                if batch:
                    return batch
            return None

    def _events_of(self, response: bytes) -> list[Event]:
        continuity = self._continuity
        return continuity.pass_on(decode_bytes(response, continuity.contracts))

    def _columns_of(self, response: bytes) -> list[TickColumns | Event]:
        continuity = self._continuity
        columns = read_columns(response, continuity.contracts)
        if columns is not None and continuity.pass_ticks(columns.subscriptions, columns.sequences):
            return [columns]
        return in_columns(self._events_of(response))

    async def close(self) -> None:
        """Ends the stream and with it all its subscriptions."""
        self._comeback.closing.set()
        self._subscriptions.clear()
        if self._reader is not None:
            await self._reader.close()
        self._end_writing()

    async def aclose(self) -> None:
        """The same."""
        await self.close()

    def _on_ended(self, number: int) -> None:
        self._subscriptions.pop(number, None)

    def _on_broken(self, error: errors.IBouncerError) -> None:
        self._call = self._reader = None
        self._end_writing()
        if not self._continuity.attached and errors.is_one_too_many(error):
            self._comeback.closing.set()
            raise error
        self._comeback.on_broken(error)
        self._broken = True
        # What was being ended is ended now: there is nobody left to confirm it.
        kept = {item.id: item.contract for item in self._subscriptions.values()}
        self._own_marks += self._continuity.on_broken(errors.away(error), kept)

    async def _open(self) -> None:
        self._broken = False
        opened = self._comeback.opened
        self._call = opened.stream_market_data(metadata=opened.endpoint.metadata())
        self._reader = Reader(self._call)
        self._comeback.on_opened()
        # One write behind the lock: what is asked or ended meanwhile comes after it.
        await self._write(self._call, *(self._again(item) for item in self.subscriptions))

    def _again(self, subscription: Subscription) -> market_data_pb2.StreamMarketDataRequest:
        """The request, with the place where it broke if it can be resumed."""
        if not subscription.request.subscribe.resumable:
            return subscription.request
        point = self._continuity.resume_point(subscription.id)
        if point is None:
            return subscription.request
        request = market_data_pb2.StreamMarketDataRequest()
        request.CopyFrom(subscription.request)
        request.subscribe.resume.CopyFrom(point)
        return request

    async def _write(self, call: Call, *requests: market_data_pb2.StreamMarketDataRequest) -> None:
        # A task of its own: grpc.aio cancels the call if a write is cancelled, and a list of
        # requests must not end half way.
        writing = asyncio.ensure_future(self._write_each(call, requests))
        self._writers.add(writing)
        writing.add_done_callback(self._writers.discard)
        await asyncio.wait([writing])
        # A write ends with its call. That cancels nobody who waits here.
        if not writing.cancelled():
            writing.result()

    def _end_writing(self) -> None:
        # A write of a call that was cancelled before it was under way would wait for ever.
        for writing in tuple(self._writers):
            writing.cancel()

    async def _write_each(
        self, call: Call, requests: Iterable[market_data_pb2.StreamMarketDataRequest]
    ) -> None:
        async with self._writing:
            for request in requests:
                try:
                    await call.write(request)
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    # The reader meets the same end, and knows what to do about it.
                    return
