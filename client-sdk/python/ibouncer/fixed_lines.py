"""Streams of market data whose lines are decided when they are made: quotes, a book, trades, bars.

Each has a MarketDataStream of its own (`stream`), begins with the first read, and is over when all
its lines have ended; then the last one's error is raised, if it ended by one.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ibouncer import errors
from ibouncer._pb.ibouncer.v1 import market_data_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer.bars import RealTimeBar
from ibouncer.batched import Batched
from ibouncer.depth import Book
from ibouncer.market_data import MarketDataStream
from ibouncer.marks import Info, Mark, MarkKind, Notice
from ibouncer.tick_columns import TickColumns
from ibouncer.ticks import Event
from ibouncer.trades import BidAsk, Midpoint, Trade

Item = TypeVar("Item", covariant=True)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One line."""

    contract: Contract
    subscribe: market_data_pb2.Subscribe
    wait_for_line: bool
    resumable: bool


class FixedLines(Batched[Item], Generic[Item]):
    """Events of a fixed set of lines, until all of them have ended."""

    def __init__(self, stream: MarketDataStream, wanted: Iterable[Wanted]) -> None:
        super().__init__()
        self.stream = stream
        self._wanted = list(wanted)
        self._end: errors.IBouncerError | None = None

    async def next_batch(self) -> list[Item] | None:
        return await self._next(self.stream.next_batch)

    async def _next(
        self, read: Callable[[], Coroutine[Any, Any, list[Any] | None]]
    ) -> list[Any] | None:
        while self._wanted:
            one = self._wanted.pop(0)
            await self.stream.start(one.contract, one.subscribe, one.wait_for_line, one.resumable)
        batch = await read() if self.stream.subscriptions else None
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
        await self.stream.close()


class Quotes(FixedLines[Event]):
    """Quotes of some contracts."""

    async def next_columns(self) -> list[TickColumns | Event] | None:
        """The next batch, with ticks that follow each other as columns and not as objects."""
        return await self._next(self.stream.next_columns)


class TickByTick(FixedLines[Trade | BidAsk | Midpoint | Mark | Notice | Info]):
    """Every trade or quote of one contract."""


class RealTimeBars(FixedLines[RealTimeBar | Mark | Notice | Info]):
    """A bar of one contract every 5 s."""


class Depth(FixedLines[Book]):
    """The book of one contract: the same object again after each batch of changes or marks.

    `book` is there before the first read, then empty and not live. `notices` has what Gateway
    remarked.
    """

    def __init__(self, stream: MarketDataStream, wanted: Wanted) -> None:
        super().__init__(stream, [wanted])
        self.book: Book = Book(wanted.contract)
        self.notices: list[Notice] = []

    async def next_batch(self) -> list[Book] | None:
        while True:
            events = await self._next(self.stream.next_batch)
            if events is None:
                return None
            mark, changed = self.book.mark, False
            for event in events:
                changed = self.book.apply(event) or changed
                if type(event) is Notice:
                    self.notices.append(event)
            if changed or self.book.mark is not mark:
                return [self.book]
