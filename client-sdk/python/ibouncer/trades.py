"""Single trades and quotes: tick by tick as they happen, and from history. One class each.

Those of history are not of a stream: their `subscription` and `sequence` are 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from google.protobuf.message import Message

from ibouncer._pb.ibouncer.v1 import market_data_pb2
from ibouncer._pb.tws.v1 import tick_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer.figures import amount, from_seconds
from ibouncer.sealing import open_twin


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade. `kind` is "Last" or "AllLast"; `seconds` is Unix time, `time` the same in UTC."""

    subscription: int
    contract: Contract = field(repr=False, compare=False)
    sequence: int
    kind: str
    seconds: int
    price: float
    size: float
    exchange: str
    conditions: str
    past_limit: bool
    unreported: bool
    replayed: bool
    skipped: int

    @property
    def symbol(self) -> str:
        """The contract's symbol as it was asked for."""
        return self.contract.symbol

    @property
    def time(self) -> datetime:
        """When, to the second."""
        return from_seconds(self.seconds)

    def __str__(self) -> str:
        return f"{self.contract.symbol} trade {self.price:g} x {self.size:g}"


@dataclass(frozen=True, slots=True)
class BidAsk:
    """The best quotes of both sides."""

    subscription: int
    contract: Contract = field(repr=False, compare=False)
    sequence: int
    seconds: int
    bid: float
    ask: float
    bid_size: float
    ask_size: float
    bid_past_low: bool
    ask_past_high: bool
    replayed: bool
    skipped: int

    @property
    def symbol(self) -> str:
        """The contract's symbol as it was asked for."""
        return self.contract.symbol

    @property
    def time(self) -> datetime:
        """When, to the second."""
        return from_seconds(self.seconds)

    def __str__(self) -> str:
        sizes = f"{self.bid_size:g} x {self.ask_size:g}"
        return f"{self.contract.symbol} {self.bid:g} / {self.ask:g}, {sizes}"


@dataclass(frozen=True, slots=True)
class Midpoint:
    """The middle between both sides."""

    subscription: int
    contract: Contract = field(repr=False, compare=False)
    sequence: int
    seconds: int
    price: float
    replayed: bool
    skipped: int

    @property
    def symbol(self) -> str:
        """The contract's symbol as it was asked for."""
        return self.contract.symbol

    @property
    def time(self) -> datetime:
        """When, to the second."""
        return from_seconds(self.seconds)

    def __str__(self) -> str:
        return f"{self.contract.symbol} midpoint {self.price:g}"


TradeOrQuote = Trade | BidAsk | Midpoint

_OpenTrade, _OpenBidAsk, _OpenMidpoint = (open_twin(kind) for kind in (Trade, BidAsk, Midpoint))
_KINDS = {1: "Last", 2: "AllLast"}


def trade(
    tick: tick_pb2.HistoricalTickLast,
    contract: Contract,
    kind: str = "Last",
    at: tuple[int, int, bool, int] = (0, 0, False, 0),
) -> Trade:
    """`at` is subscription, sequence, replayed and skipped, in all three."""
    subscription, sequence, replayed, skipped = at
    attributes = tick.tick_attrib_last
    made = _OpenTrade(
        subscription,
        contract,
        sequence,
        kind,
        tick.time,
        tick.price,
        amount(tick.size),
        tick.exchange,
        tick.special_conditions,
        attributes.past_limit,
        attributes.unreported,
        replayed,
        skipped,
    )
    made.__class__ = Trade
    return made  # type: ignore[no-any-return]


def bid_ask(
    tick: tick_pb2.HistoricalTickBidAsk,
    contract: Contract,
    at: tuple[int, int, bool, int] = (0, 0, False, 0),
) -> BidAsk:
    subscription, sequence, replayed, skipped = at
    attributes = tick.tick_attrib_bid_ask
    made = _OpenBidAsk(
        subscription,
        contract,
        sequence,
        tick.time,
        tick.price_bid,
        tick.price_ask,
        amount(tick.size_bid),
        amount(tick.size_ask),
        attributes.bid_past_low,
        attributes.ask_past_high,
        replayed,
        skipped,
    )
    made.__class__ = BidAsk
    return made  # type: ignore[no-any-return]


def midpoint(
    tick: tick_pb2.HistoricalTick,
    contract: Contract,
    at: tuple[int, int, bool, int] = (0, 0, False, 0),
) -> Midpoint:
    subscription, sequence, replayed, skipped = at
    made = _OpenMidpoint(subscription, contract, sequence, tick.time, tick.price, replayed, skipped)
    made.__class__ = Midpoint
    return made  # type: ignore[no-any-return]


def from_event(
    event: market_data_pb2.MarketDataEvent, subscription: int, contract: Contract
) -> TradeOrQuote | None:
    """What a tick-by-tick message holds; None if this package does not know its kind."""
    at = subscription, event.sequence, event.replayed, event.skipped
    body = event.tick_by_tick
    member = body.WhichOneof("tick")
    if member == "historical_tick_last":
        return trade(body.historical_tick_last, contract, _KINDS.get(body.tick_type, "Last"), at)
    if member == "historical_tick_bid_ask":
        return bid_ask(body.historical_tick_bid_ask, contract, at)
    if member == "historical_tick_mid_point":
        return midpoint(body.historical_tick_mid_point, contract, at)
    return None


def from_pages(
    pages: Iterable[Message],
    contract: Contract,
    at: tuple[int, int, bool, int] = (0, 0, False, 0),
) -> Iterator[TradeOrQuote]:
    """Ticks of history, of whichever kind."""
    for page in pages:
        if isinstance(page, tick_pb2.HistoricalTicksLast):
            for last in page.historical_ticks_last:
                yield trade(last, contract, at=at)
        elif isinstance(page, tick_pb2.HistoricalTicksBidAsk):
            for quote in page.historical_ticks_bid_ask:
                yield bid_ask(quote, contract, at)
        elif isinstance(page, tick_pb2.HistoricalTicks):
            for middle in page.historical_ticks:
                yield midpoint(middle, contract, at)
