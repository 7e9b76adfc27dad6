"""Requests for lines of market data, as the broker wants them; the stream adds their ids."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from ibouncer._pb.ibouncer.v1 import market_data_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer._pb.tws.v1.depth_pb2 import MarketDepthRequest
from ibouncer._pb.tws.v1.history_pb2 import RealTimeBarsRequest
from ibouncer._pb.tws.v1.market_data_pb2 import MarketDataRequest
from ibouncer._pb.tws.v1.tick_pb2 import TickByTickRequest
from ibouncer.figures import joined
from ibouncer.ticks import Feed

TickByTickKind = Literal["Last", "AllLast", "BidAsk", "MidPoint"]


def quote(
    contract: Contract, generic_ticks: str | Iterable[int], feed: Feed | None
) -> market_data_pb2.Subscribe:
    """Quotes of a contract."""
    request = market_data_request(contract, joined(generic_ticks))
    return market_data_pb2.Subscribe(request=request, feed=wire_feed(feed))


def depth(contract: Contract, rows: int, smart: bool) -> market_data_pb2.Subscribe:
    """A book of so many rows on each side."""
    return market_data_pb2.Subscribe(
        market_depth=MarketDepthRequest(contract=contract, num_rows=rows, is_smart_depth=smart)
    )


def tick_by_tick(
    contract: Contract, kind: TickByTickKind, number_of_ticks: int, ignore_size: bool
) -> market_data_pb2.Subscribe:
    """Every trade or quote."""
    return market_data_pb2.Subscribe(
        tick_by_tick=TickByTickRequest(
            contract=contract,
            tick_type=kind,
            number_of_ticks=number_of_ticks,
            ignore_size=ignore_size,
        )
    )


def real_time_bars(
    contract: Contract, what_to_show: str, use_rth: bool, bar_size: int
) -> market_data_pb2.Subscribe:
    """A bar every 5 s."""
    return market_data_pb2.Subscribe(
        real_time_bars=RealTimeBarsRequest(
            contract=contract, bar_size=bar_size, what_to_show=what_to_show, use_rth=use_rth
        )
    )


def market_data_request(contract: Contract, generic_ticks: str) -> MarketDataRequest:
    """A request as for Gateway; empty text is left out."""
    return MarketDataRequest(contract=contract, generic_tick_list=generic_ticks or None)


def wire_feed(feed: Feed | None) -> market_data_pb2.MarketDataFeed.ValueType:
    """The broker's default, if none was named."""
    return market_data_pb2.MARKET_DATA_FEED_UNSPECIFIED if feed is None else feed.wire
