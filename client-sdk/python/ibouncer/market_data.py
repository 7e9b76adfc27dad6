"""Market-data streams: subscribing, reading in batches, and going on after the broker was away.

Nothing is buffered beyond the batch at hand. A program that reads slowly makes the broker
conflate, which it can see in `Tick.skipped`.

With `reconnect` a broken stream is opened again for ever, with pauses from 0.1 to 5 s, and every
live subscription is sent again under its id. The reader sees one STALE mark, and RESUMED once data
flows, both with `local` set; what the new broker says in between (SUBSCRIBED, STALE) is left out.
Sequence numbers start anew, as the RESUMED mark says. An error that will not go away by itself is
raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

import grpc.aio

from ibouncer import errors
from ibouncer._pb.ibouncer.v1 import market_data_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer._pb.tws.v1.market_data_pb2 import MarketDataRequest
from ibouncer.connection import Comeback, Connection
from ibouncer.contracts import as_contract
from ibouncer.streams import Reader
from ibouncer.ticks import Event, Feed, Info, Mark, MarkKind, OptionTick, TextTick, Tick, decode

if TYPE_CHECKING:
    from typing_extensions import Self

    Call = grpc.aio.StreamStreamCall[
        market_data_pb2.StreamMarketDataRequest, market_data_pb2.StreamMarketDataResponse
    ]


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription of one stream; events carry its `id`."""

    id: int
    contract: Contract
    request: market_data_pb2.StreamMarketDataRequest


class MarketDataStream:
    """One stream for many contracts. `async for` gives events, `batches()` lists of them."""

    def __init__(self, connection: Connection, *, reconnect: bool) -> None:
        self._comeback = Comeback(connection, reconnect=reconnect)
        self._subscriptions: dict[int, Subscription] = {}
        # Contracts of everything that events may still come for, until its ENDED mark.
        self._contracts: dict[int, Contract] = {}
        # Ids that were confirmed once, and those whose reader knows that values are old.
        self._attached: set[int] = set()
        self._stale: set[int] = set()
        # The last sequence number of each, and of those that wait for a new broker's data the
        # last one from the broker before.
        self._sequences: dict[int, int] = {}
        self._rejoining: dict[int, int] = {}
        self._last_id = 0
        self._last_epoch = 0
        self._call: Call | None = None
        self._reader: Reader[market_data_pb2.StreamMarketDataResponse] | None = None
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
    ) -> Subscription:
        """Starts a subscription; a SUBSCRIBED or ENDED mark answers on the stream."""
        if self._comeback.closing.is_set():
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

    def batches(self) -> Batches:
        """All events that were waiting, a list at a time."""
        return Batches(self)

    def __aiter__(self) -> Events:
        return Events(self)

    async def next_batch(self) -> list[Event] | None:
        """The next batch, never empty; None once the stream is closed.

        May be cancelled, as by `asyncio.wait_for`, without loss.
        """
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
            batch = self._on_batch(decode(response.events, self._contracts))
            if batch:
                return batch
        return None

    async def close(self) -> None:
        """Ends the stream and with it all its subscriptions."""
        self._comeback.closing.set()
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
        sequences = self._sequences
        plain = not self._rejoining
        for event in batch:
            if isinstance(event, Mark):
                plain = False
            else:
                sequences[event.subscription] = event.sequence
        return batch if plain else list(self._after_marks(batch))

    def _after_marks(self, batch: list[Event]) -> Iterator[Event]:
        # A line without a session behind it replays its last values before it says STALE.
        stale_here = {
            event.subscription
            for event in batch
            if type(event) is Mark and event.kind is MarkKind.STALE
        }
        for event in batch:
            if type(event) is Mark:
                mark = self._on_mark(event)
                if mark is not None:
                    yield mark
                continue
            number = event.subscription
            if number in self._rejoining and _is_data(event, replayed=number not in stale_here):
                yield self._resumed(
                    number, event.contract, "data flows again", epoch=self._last_epoch
                )
            yield event

    def _on_mark(self, mark: Mark) -> Mark | None:
        """What the reader gets in its place; None for what a broker repeats."""
        self._last_epoch = mark.epoch or self._last_epoch
        number = mark.subscription
        if mark.kind is MarkKind.ENDED:
            self._subscriptions.pop(number, None)
            self._contracts.pop(number, None)
            self._sequences.pop(number, None)
            self._rejoining.pop(number, None)
            self._attached.discard(number)
            self._stale.discard(number)
        elif number in self._rejoining:
            if mark.kind is MarkKind.RESUMED:
                return self._resumed(number, mark.contract, mark.because, epoch=mark.epoch)
            if mark.kind in (MarkKind.SUBSCRIBED, MarkKind.STALE):
                return None
        elif mark.kind is MarkKind.STALE:
            self._stale.add(number)
        elif mark.kind is MarkKind.RESUMED:
            self._stale.discard(number)
        elif mark.kind is MarkKind.SUBSCRIBED:
            self._attached.add(number)
            self._stale.discard(number)
        return mark

    def _resumed(self, number: int, contract: Contract, because: str, *, epoch: int) -> Mark:
        last = self._rejoining.pop(number)
        self._stale.discard(number)
        because += f"; sequence numbers start anew, the last one before was {last}"
        return Mark(number, contract, MarkKind.RESUMED, because, epoch, local=True)

    def _on_broken(self, error: errors.IBouncerError) -> None:
        self._call = self._reader = None
        self._comeback.on_broken(error)
        self._broken = True
        # What was being ended is ended now: there is nobody left to confirm it.
        self._contracts = {item.id: item.contract for item in self._subscriptions.values()}
        self._attached &= self._subscriptions.keys()
        self._rejoining = {
            number: self._rejoining.get(number, self._sequences.get(number, 0))
            for number in self._attached
        }
        self._sequences.clear()
        because = errors.away(error)
        for number in sorted(self._attached - self._stale):
            self._stale.add(number)
            self._own_marks.append(
                Mark(
                    number,
                    self._contracts[number],
                    MarkKind.STALE,
                    because,
                    self._last_epoch,
                    local=True,
                )
            )

    async def _open(self) -> None:
        self._broken = False
        opened = self._comeback.opened
        self._call = opened.market_data.StreamMarketData(metadata=opened.endpoint.metadata())
        self._reader = Reader(self._call)
        self._comeback.on_opened()
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


def _is_data(event: Event, *, replayed: bool) -> bool:
    """Whether a line that sent this is alive; a replayed value may not count."""
    if isinstance(event, (Tick, TextTick, OptionTick)):
        return replayed or not event.replayed
    return isinstance(event, Info) and event.kind == "tick_news"


def market_data_request(contract: Contract, generic_ticks: str) -> MarketDataRequest:
    """A request as for Gateway; empty text is left out."""
    return MarketDataRequest(contract=contract, generic_tick_list=generic_ticks or None)


def wire_feed(feed: Feed | None) -> market_data_pb2.MarketDataFeed.ValueType:
    """The broker's default, if none was named."""
    return market_data_pb2.MARKET_DATA_FEED_UNSPECIFIED if feed is None else feed.wire
