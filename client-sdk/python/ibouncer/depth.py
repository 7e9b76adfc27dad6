"""Market depth: its changes as they come, and the book that they make."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ibouncer._pb.ibouncer.v1 import market_data_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer._pb.tws.v1.depth_pb2 import MarketDepthData
from ibouncer.figures import amount
from ibouncer.marks import Mark, MarkKind
from ibouncer.sealing import open_twin

if TYPE_CHECKING:
    from ibouncer.ticks import Event

_OPERATIONS = {0: "insert", 1: "update", 2: "delete"}
_SIDES = {0: "ask", 1: "bid"}
# No side has more; a book of so many would be a mistake of somebody.
_MOST_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class DepthChange:
    """One change to one row: `operation` is "insert", "update" or "delete", `side` "bid" or "ask".

    `position` counts from 0 at the best price. `market_maker` is empty in a book without them
    (level 1); with `smart` it is the exchange.
    """

    subscription: int
    contract: Contract = field(repr=False, compare=False)
    sequence: int
    operation: str
    side: str
    position: int
    price: float
    size: float
    market_maker: str
    smart: bool
    replayed: bool
    skipped: int

    @property
    def symbol(self) -> str:
        """The contract's symbol as it was asked for."""
        return self.contract.symbol

    def __str__(self) -> str:
        row = f"{self.side} {self.position} {self.price:g} x {self.size:g}"
        return f"{self.contract.symbol} {self.operation} {row} {self.market_maker}".rstrip()


@dataclass(frozen=True, slots=True)
class BookRow:
    """One row of a book."""

    price: float
    size: float
    market_maker: str = ""


class Book:
    """Both sides of a book, the best price first, kept by `apply`.

    `live` is False before the first mark, while the line has no session, and after its end.
    `mark` is the newest one. A change that does not fit is left out: Gateway corrects itself with
    the next ones, and the broker keeps its book in the same way. An update right behind the last
    row adds one: Gateway begins some books so.
    """

    __slots__ = ("asks", "bids", "contract", "live", "mark", "sequence")

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.bids: list[BookRow] = []
        self.asks: list[BookRow] = []
        self.live = False
        self.mark: Mark | None = None
        self.sequence = 0

    def apply(self, event: Event) -> bool:
        """Takes an event of the book's subscription; True if rows may have changed."""
        if type(event) is DepthChange:
            return self._change(event)
        if type(event) is not Mark:
            return False
        self.mark = event
        if event.kind in (MarkKind.STALE, MarkKind.ENDED):
            self.live = False
        elif event.kind in (MarkKind.SUBSCRIBED, MarkKind.RESUMED):
            self.live = True
        elif event.kind is MarkKind.RESET:
            self.bids.clear()
            self.asks.clear()
            return True
        return False

    def _change(self, change: DepthChange) -> bool:
        self.sequence = change.sequence
        rows = {"bid": self.bids, "ask": self.asks}.get(change.side)
        at, operation = change.position, change.operation
        row = BookRow(change.price, change.size, change.market_maker)
        if rows is None or not 0 <= at < _MOST_ROWS:
            return False
        if operation == "update" and at < len(rows):
            rows[at] = row
        elif operation in ("insert", "update") and at <= len(rows):
            del rows[_MOST_ROWS - 1 :]
            rows.insert(at, row)
        elif operation == "delete" and at < len(rows):
            del rows[at]
        else:
            return False
        return True

    @property
    def bid(self) -> BookRow | None:
        """The best bid."""
        return self.bids[0] if self.bids else None

    @property
    def ask(self) -> BookRow | None:
        """The best ask."""
        return self.asks[0] if self.asks else None

    def __str__(self) -> str:
        best = " / ".join(
            "-" if row is None else f"{row.price:g} x {row.size:g}" for row in (self.bid, self.ask)
        )
        rows = f"{len(self.bids)} and {len(self.asks)} rows"
        return f"{self.contract.symbol} {best} ({rows}{'' if self.live else ', not live'})"


_OpenDepthChange = open_twin(DepthChange)


def from_event(
    event: market_data_pb2.MarketDataEvent,
    data: MarketDepthData,
    subscription: int,
    contract: Contract,
) -> DepthChange:
    """A change, of level 1 or 2."""
    made = _OpenDepthChange(
        subscription,
        contract,
        event.sequence,
        _OPERATIONS.get(data.operation, str(data.operation)),
        _SIDES.get(data.side, str(data.side)),
        data.position,
        data.price,
        amount(data.size),
        data.market_maker,
        data.is_smart_depth,
        event.replayed,
        event.skipped,
    )
    made.__class__ = DepthChange
    return made  # type: ignore[no-any-return]
