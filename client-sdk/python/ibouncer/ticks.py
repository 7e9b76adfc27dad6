"""What comes out of a market-data stream: ticks here, and how all of it is made.

`decode` goes event by event; batches of a stream come through `bulk`, which knows a faster way.
Prices are as Gateway sends them: -1 means that there is no quote.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ibouncer import bars, depth, trades
from ibouncer._pb.ibouncer.v1 import market_data_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer._pb.tws.v1.option_pb2 import TickOptionComputation
from ibouncer.marks import Info, Mark, Notice, mark_from, notice_from
from ibouncer.sealing import bare_twin

# IB's tick types by number.
TICK_FIELDS: tuple[str, ...] = (
    *("bid_size", "bid", "ask", "ask_size", "last", "last_size", "high", "low", "volume", "close"),
    *("bid_option", "ask_option", "last_option", "model_option", "open"),
    *("low_13_week", "high_13_week", "low_26_week", "high_26_week", "low_52_week", "high_52_week"),
    *("avg_volume", "open_interest", "option_historical_vol", "option_implied_vol"),
    *("option_bid_exch", "option_ask_exch", "option_call_open_interest"),
    *("option_put_open_interest", "option_call_volume", "option_put_volume"),
    *("index_future_premium", "bid_exch", "ask_exch", "auction_volume", "auction_price"),
    *("auction_imbalance", "mark_price", "bid_efp", "ask_efp", "last_efp", "open_efp"),
    *("high_efp", "low_efp", "close_efp", "last_timestamp", "shortable", "fundamental_ratios"),
    *("rt_volume", "halted", "bid_yield", "ask_yield", "last_yield", "cust_option_computation"),
    *("trade_count", "trade_rate", "volume_rate", "last_rth_trade", "rt_historical_vol"),
    *("ib_dividends", "bond_factor_multiplier", "regulatory_imbalance", "news_tick"),
    *("short_term_volume_3_min", "short_term_volume_5_min", "short_term_volume_10_min"),
    *("delayed_bid", "delayed_ask", "delayed_last", "delayed_bid_size", "delayed_ask_size"),
    *("delayed_last_size", "delayed_high", "delayed_low", "delayed_volume", "delayed_close"),
    *("delayed_open", "rt_trd_volume", "creditman_mark_price", "creditman_slow_mark_price"),
    *("delayed_bid_option", "delayed_ask_option", "delayed_last_option", "delayed_model_option"),
    *("last_exch", "last_reg_time", "futures_open_interest", "avg_opt_volume"),
    *("delayed_last_timestamp", "shortable_shares", "delayed_halted", "reuters_2_mutual_funds"),
    *("etf_nav_close", "etf_nav_prior_close", "etf_nav_bid", "etf_nav_ask", "etf_nav_last"),
    *("etf_frozen_nav_last", "etf_nav_high", "etf_nav_low", "social_market_analytics"),
    *("estimated_ipo_midpoint", "final_ipo_last", "delayed_yield_bid", "delayed_yield_ask"),
)
_FIELDS_KNOWN = len(TICK_FIELDS)


class Feed(enum.IntEnum):
    """Which data Gateway is asked for; IB's market data types."""

    LIVE = 1
    FROZEN = 2
    DELAYED = 3
    DELAYED_FROZEN = 4

    @property
    def wire(self) -> market_data_pb2.MarketDataFeed.ValueType:
        """The same number, as the schema's type."""
        return market_data_pb2.MarketDataFeed.ValueType(self.value)


@dataclass(frozen=True, slots=True)
class Tick:
    """A number: a price with the size that belongs to it, a size, or a generic value.

    `sequence` counts the events of the shared line; `skipped` older ticks of this field were left
    out because this program read too slowly; a `replayed` one is from before the subscription.
    """

    subscription: int
    contract: Contract = field(repr=False, compare=False)
    sequence: int
    field: str
    value: float
    size: float | None
    replayed: bool
    skipped: int

    @property
    def symbol(self) -> str:
        """The contract's symbol as it was asked for."""
        return self.contract.symbol

    def __str__(self) -> str:
        size = "" if self.size is None else f" x {self.size:g}"
        return f"{self.contract.symbol} {self.field} {self.value:g}{size}"


@dataclass(frozen=True, slots=True)
class TextTick:
    """A tick whose value is text, such as "last_timestamp"."""

    subscription: int
    contract: Contract = field(repr=False, compare=False)
    sequence: int
    field: str
    value: str
    replayed: bool
    skipped: int

    @property
    def symbol(self) -> str:
        """The contract's symbol as it was asked for."""
        return self.contract.symbol

    def __str__(self) -> str:
        return f"{self.contract.symbol} {self.field} {self.value}"


@dataclass(frozen=True, slots=True)
class OptionTick:
    """Option figures at one quote; None is not computed."""

    subscription: int
    contract: Contract = field(repr=False, compare=False)
    sequence: int
    field: str
    implied_vol: float | None
    delta: float | None
    gamma: float | None
    vega: float | None
    theta: float | None
    price: float | None
    pv_dividend: float | None
    underlying: float | None
    replayed: bool
    skipped: int

    @property
    def symbol(self) -> str:
        """The contract's symbol as it was asked for."""
        return self.contract.symbol


Event = (
    Tick
    | TextTick
    | OptionTick
    | depth.DepthChange
    | trades.Trade
    | trades.BidAsk
    | trades.Midpoint
    | bars.RealTimeBar
    | Mark
    | Notice
    | Info
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The last value of each tick type; `snapshot["bid"]` is the price."""

    contract: Contract
    events: tuple[Event, ...]

    def __getitem__(self, name: str) -> float:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def get(self, name: str) -> float | None:
        """A field's value, or None if Gateway sent none."""
        found = None
        for event in self.events:
            if isinstance(event, Tick) and event.field == name:
                found = event.value
        return found

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """Numbers only, in order of arrival."""
        return tuple(event for event in self.events if isinstance(event, Tick))

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What Gateway remarked."""
        return tuple(event for event in self.events if isinstance(event, Notice))

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)


# A tick that is being made.
BareTick = bare_twin(Tick)
_PAGES = {"historical_ticks", "historical_ticks_bid_ask", "historical_ticks_last"}


def decode(
    events: Iterable[market_data_pb2.MarketDataEvent], contracts: Mapping[int, Contract]
) -> list[Event]:
    """Events of one batch as typed objects; those of unknown subscriptions are left out."""
    decoded: list[Event] = []
    append = decoded.append
    fields, known, bare_tick, tick_class = TICK_FIELDS, _FIELDS_KNOWN, BareTick, Tick
    for event in events:
        subscription = event.subscription_id
        contract = contracts.get(subscription)
        if contract is None:
            continue
        body = event.WhichOneof("body")
        size: float | None
        if body == "tick_price":
            price = event.tick_price
            kind = price.tick_type
            value = price.price
            text = price.size
            size = float(text) if text else None
        elif body == "tick_size":
            sized = event.tick_size
            kind = sized.tick_type
            value = float(sized.size or 0)
            size = None
        elif body == "tick_generic":
            generic = event.tick_generic
            kind = generic.tick_type
            value = generic.value
            size = None
        else:
            decoded += _decode_other(event, body, subscription, contract)
            continue
        tick = bare_tick()
        tick.subscription = subscription
        tick.contract = contract
        tick.sequence = event.sequence
        tick.field = fields[kind] if 0 <= kind < known else f"tick_{kind}"
        tick.value = value
        tick.size = size
        tick.replayed = event.replayed
        tick.skipped = event.skipped
        tick.__class__ = tick_class
        append(tick)
    return decoded


def _decode_other(
    event: market_data_pb2.MarketDataEvent,
    body: str | None,
    subscription: int,
    contract: Contract,
) -> Iterable[Event]:
    """Nearly always one event; a page of history holds many."""
    if body == "tick_by_tick":
        single = trades.from_event(event, subscription, contract)
        if single is not None:
            return (single,)
    elif body == "market_depth_l2":
        data = event.market_depth_l2.market_depth_data
        return (depth.from_event(event, data, subscription, contract),)
    elif body == "market_depth":
        data = event.market_depth.market_depth_data
        return (depth.from_event(event, data, subscription, contract),)
    elif body == "tick_string":
        return (
            TextTick(
                subscription,
                contract,
                event.sequence,
                field_name(event.tick_string.tick_type),
                event.tick_string.value,
                event.replayed,
                event.skipped,
            ),
        )
    elif body == "tick_option_computation":
        at = subscription, event.sequence, event.replayed, event.skipped
        return (option_tick(event.tick_option_computation, contract, at),)
    elif body == "real_time_bar":
        return (bars.from_event(event, subscription, contract),)
    elif body == "mark":
        sequence, skipped = event.sequence, event.skipped
        return (mark_from(event.mark, subscription, contract, sequence=sequence, skipped=skipped),)
    elif body == "error":
        return (notice_from(event.error, subscription, contract, event.sequence),)
    elif body in _PAGES:
        # The page of history that was asked for with number_of_ticks.
        at = subscription, event.sequence, True, event.skipped
        page = tuple(trades.from_pages((getattr(event, body),), contract, at))
        if page:
            return page
    # A body that is newer than this package has no name here; the event itself keeps its bytes.
    message = event if body is None else getattr(event, body)
    return (Info(subscription, contract, event.sequence, body or "unknown", message),)


def option_tick(
    body: TickOptionComputation,
    contract: Contract,
    at: tuple[int, int, bool, int] = (0, 0, False, 0),
) -> OptionTick:
    """Option figures; `at` is subscription, sequence, replayed and skipped."""
    subscription, sequence, replayed, skipped = at

    def known(name: str, value: float, absent: float) -> float | None:
        return value if body.HasField(name) and value != absent else None  # type: ignore[arg-type]

    return OptionTick(
        subscription=subscription,
        contract=contract,
        sequence=sequence,
        field=field_name(body.tick_type),
        implied_vol=known("implied_vol", body.implied_vol, -1),
        delta=known("delta", body.delta, -2),
        gamma=known("gamma", body.gamma, -2),
        vega=known("vega", body.vega, -2),
        theta=known("theta", body.theta, -2),
        price=known("opt_price", body.opt_price, -1),
        pv_dividend=known("pv_dividend", body.pv_dividend, -1),
        underlying=known("und_price", body.und_price, -1),
        replayed=replayed,
        skipped=skipped,
    )


def field_name(tick_type: int) -> str:
    """The name of a tick type; "tick_NUMBER" if this package does not know it."""
    return TICK_FIELDS[tick_type] if 0 <= tick_type < _FIELDS_KNOWN else f"tick_{tick_type}"
