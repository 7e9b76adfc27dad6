"""Market-data streams: subscribing, reading in batches, and going on after the broker was away.

Nothing is buffered beyond the batch at hand. A program that reads slowly makes the broker
conflate, which it can see in `Tick.skipped`.

With `reconnect` a broken stream is opened again for ever, with pauses from 0.1 to 5 s, and every
live subscription is sent again: the reader sees a STALE mark and then a RESUMED one, both with
`local` set. Sequence numbers start anew. An error that will not go away by itself is raised.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

import grpc.aio

from ibouncer import errors
from ibouncer._pb.ibouncer.v1 import market_data_pb2
from ibouncer._pb.stubs import MarketDataServiceStub
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer._pb.tws.v1.market_data_pb2 import MarketDataRequest
from ibouncer.contracts import as_contract
from ibouncer.streams import Reader
from ibouncer.ticks import Event, Feed, Mark, MarkKind, decode

if TYPE_CHECKING:
    from typing_extensions import Self

    Call = grpc.aio.StreamStreamCall[
        market_data_pb2.StreamMarketDataRequest, market_data_pb2.StreamMarketDataResponse
    ]

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription of one stream; events carry its `id`."""

    id: int
    contract: Contract
    request: market_data_pb2.StreamMarketDataRequest


class MarketDataStream:
    """One stream for many contracts. `async for` gives events, `batches()` lists of them."""

    def __init__(
        self,
        stub: MarketDataServiceStub,
        metadata: Callable[[], tuple[tuple[str, str], ...]],
        *,
        reconnect: bool,
    ) -> None:
        self._stub = stub
        self._metadata = metadata
        self._reconnect = reconnect
        self._subscriptions: dict[int, Subscription] = {}
        # Contracts of everything that events may still come for, until its ENDED mark.
        self._contracts: dict[int, Contract] = {}
        # Ids that were confirmed once, and those whose reader knows that values are old.
        self._attached: set[int] = set()
        self._stale: set[int] = set()
        self._last_id = 0
        self._last_epoch = 0
        self._call: Call | None = None
        self._reader: Reader[market_data_pb2.StreamMarketDataResponse] | None = None
        self._writing = asyncio.Lock()
        self._writers: set[asyncio.Future[None]] = set()
        self._own_marks: list[Event] = []
        self._pause = FIRST_PAUSE
        self._pause_before_opening = False
        self._closing = asyncio.Event()

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
    ) -> Subscription:
        """Starts a subscription; a SUBSCRIBED or ENDED mark answers on the stream."""
        if self._closing.is_set():
            raise errors.ClientError("the stream is closed", code="STREAM_CLOSED")
        if not isinstance(generic_ticks, str):
            generic_ticks = ",".join(str(number) for number in generic_ticks)
        self._last_id += 1
        wanted = as_contract(contract)
        request = market_data_request(wanted, generic_ticks)
        subscription = Subscription(
            self._last_id,
            wanted,
            market_data_pb2.StreamMarketDataRequest(
                subscribe=market_data_pb2.Subscribe(
                    subscription_id=self._last_id, request=request, feed=wire_feed(feed)
                )
            ),
        )
        self._subscriptions[subscription.id] = subscription
        self._contracts[subscription.id] = wanted
        if self._call is not None:
            await self._write(self._call, subscription.request)
        elif not self._pause_before_opening:
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

    def batches(self) -> Batches:
        """All events that were waiting, a list at a time."""
        return Batches(self)

    def __aiter__(self) -> Events:
        return Events(self)

    async def next_batch(self) -> list[Event] | None:
        """The next batch, never empty; None once the stream is closed.

        May be cancelled, as by `asyncio.wait_for`, without loss.
        """
        while not self._closing.is_set():
            if self._own_marks:
                marks, self._own_marks = self._own_marks, []
                return marks
            try:
                if self._reader is None:
                    await self._reopen()
                    continue
                response = await self._reader.read()
            except errors.IBouncerError as error:
                self._on_broken(error)
                continue
            if response is None:
                return None
            self._pause = FIRST_PAUSE
            batch = self._on_batch(decode(response.events, self._contracts))
            if batch:
                return batch
        return None

    async def close(self) -> None:
        """Ends the stream and with it all its subscriptions."""
        self._closing.set()
        self._subscriptions.clear()
        if self._reader is not None:
            await self._reader.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def _on_batch(self, batch: list[Event]) -> list[Event]:
        for position, event in enumerate(batch):
            if type(event) is not Mark:
                continue
            self._last_epoch = event.epoch or self._last_epoch
            number = event.subscription
            if event.kind is MarkKind.ENDED:
                self._subscriptions.pop(number, None)
                self._contracts.pop(number, None)
                self._attached.discard(number)
                self._stale.discard(number)
            elif event.kind is MarkKind.STALE:
                self._stale.add(number)
            elif event.kind is MarkKind.RESUMED:
                self._stale.discard(number)
            elif event.kind is MarkKind.SUBSCRIBED:
                self._stale.discard(number)
                if number in self._attached:
                    because = "subscribed again after the stream had broken"
                    batch[position] = Mark(
                        number, event.contract, MarkKind.RESUMED, because, event.epoch, local=True
                    )
                self._attached.add(number)
        return batch

    def _on_broken(self, error: errors.IBouncerError) -> None:
        self._call = self._reader = None
        if not self._reconnect or error.retry == "never":
            self._closing.set()
            raise error
        self._pause_before_opening = True
        # What was being ended is ended now: there is nobody left to confirm it.
        self._contracts = {item.id: item.contract for item in self._subscriptions.values()}
        self._attached &= self._subscriptions.keys()
        for number in sorted(self._attached - self._stale):
            self._stale.add(number)
            self._own_marks.append(
                Mark(
                    number,
                    self._contracts[number],
                    MarkKind.STALE,
                    error.message,
                    self._last_epoch,
                    local=True,
                )
            )

    async def _reopen(self) -> None:
        if self._pause_before_opening:
            pause = self._pause * random.uniform(0.8, 1.2)
            try:
                await asyncio.wait_for(self._closing.wait(), pause)
                return
            except asyncio.TimeoutError:
                pass
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        await self._open()

    async def _open(self) -> None:
        self._pause_before_opening = False
        self._call = self._stub.StreamMarketData(metadata=self._metadata())
        self._reader = Reader(self._call)
        # One write behind the lock: what is asked or ended meanwhile comes after it.
        await self._write(self._call, *(item.request for item in self.subscriptions))

    async def _write(self, call: Call, *requests: market_data_pb2.StreamMarketDataRequest) -> None:
        # Shielded: grpc.aio cancels the call if a write is cancelled, and a list of requests
        # must not end half way.
        writing = asyncio.ensure_future(self._write_each(call, requests))
        self._writers.add(writing)
        writing.add_done_callback(self._writers.discard)
        await asyncio.shield(writing)

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


class Batches:
    """Iterator over the batches of a stream."""

    def __init__(self, stream: MarketDataStream) -> None:
        self._stream = stream

    def __aiter__(self) -> Batches:
        return self

    async def __anext__(self) -> list[Event]:
        batch = await self._stream.next_batch()
        if batch is None:
            raise StopAsyncIteration
        return batch


class Events:
    """Iterator over the events of a stream, one by one."""

    def __init__(self, stream: MarketDataStream) -> None:
        self.stream = stream
        self._batch: list[Event] = []
        self._position = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        position = self._position
        if position >= len(self._batch):
            batch = await self._fill()
            if batch is None:
                raise StopAsyncIteration
            self._batch, position = batch, 0
        self._position = position + 1
        return self._batch[position]

    async def _fill(self) -> list[Event] | None:
        return await self.stream.next_batch()


class Quotes(Events):
    """Events of a fixed set of contracts, until all of them have ended.

    Raises the last one's error if it ended by one. Leaving the loop early: `aclose()`, or let
    `async with` do it, or the session's end.
    """

    def __init__(
        self,
        stream: MarketDataStream,
        contracts: Iterable[Contract | str],
        *,
        generic_ticks: str | Iterable[int],
        feed: Feed | None,
    ) -> None:
        super().__init__(stream)
        self._wanted = list(contracts)
        self._generic_ticks = (
            generic_ticks if isinstance(generic_ticks, str) else list(generic_ticks)
        )
        self._feed = feed
        self._end: errors.IBouncerError | None = None

    async def _fill(self) -> list[Event] | None:
        while self._wanted:
            contract = self._wanted.pop(0)
            await self.stream.subscribe(
                contract, generic_ticks=self._generic_ticks, feed=self._feed
            )
        batch = await self.stream.next_batch() if self.stream.subscriptions else None
        if batch is None:
            await self.stream.close()
            end, self._end = self._end, None
            if end is not None:
                raise end
            return None
        for event in batch:
            if type(event) is Mark and event.kind is MarkKind.ENDED:
                self._end = event.error
        return batch

    async def aclose(self) -> None:
        """Ends the stream."""
        await self.stream.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def market_data_request(contract: Contract, generic_ticks: str) -> MarketDataRequest:
    """A request as for Gateway; empty text is left out."""
    return MarketDataRequest(contract=contract, generic_tick_list=generic_ticks or None)


def wire_feed(feed: Feed | None) -> market_data_pb2.MarketDataFeed.ValueType:
    """The broker's default, if none was named."""
    return market_data_pb2.MARKET_DATA_FEED_UNSPECIFIED if feed is None else feed.wire
