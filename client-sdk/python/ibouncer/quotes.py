"""Calls of market data: streams of quotes, books, trades and bars, snapshots, option figures."""

from __future__ import annotations

from collections.abc import Iterable

from ibouncer import subscribing
from ibouncer._pb.ibouncer.v1 import market_data_pb2
from ibouncer._pb.tws.v1 import option_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer.calls import GATEWAY_TIMEOUT, Calls
from ibouncer.contracts import as_contract
from ibouncer.errors import ClientError
from ibouncer.fixed_lines import Depth, Quotes, RealTimeBars, TickByTick, Wanted
from ibouncer.market_data import MarketDataStream
from ibouncer.subscribing import TickByTickKind
from ibouncer.ticks import Feed, OptionTick, Snapshot, decode, option_tick

# Gateway collects for up to 11 s, and the request may have to wait for its turn.
SNAPSHOT_TIMEOUT = 30.0


class MarketDataCalls(Calls):
    """What happens now. A string instead of a contract means a US stock.

    In all streams: with `wait_for_line` a request waits if all lines are taken (QUEUED marks);
    with `resumable` the RESUMED mark after the broker was away can say what was `missed`; without
    `reconnect` they raise when the broker goes away.
    """

    def market_data(self, *, reconnect: bool | None = None) -> MarketDataStream:
        """A stream of its own, for lines that come and go."""
        return self._market_data(reconnect)

    def quotes(
        self,
        *contracts: Contract | str,
        generic_ticks: str | Iterable[int] = "",
        feed: Feed | None = None,
        wait_for_line: bool = False,
        resumable: bool = False,
        reconnect: bool | None = None,
    ) -> Quotes:
        """Quotes of some contracts (TWS: reqMktData)."""
        if not isinstance(generic_ticks, str):
            generic_ticks = list(generic_ticks)
        wanted = [
            Wanted(
                contract,
                subscribing.quote(contract, generic_ticks, feed),
                wait_for_line,
                resumable,
            )
            for contract in map(as_contract, contracts)
        ]
        return Quotes(self._market_data(reconnect), wanted)

    def depth(
        self,
        contract: Contract | str,
        *,
        rows: int = 10,
        smart: bool = False,
        wait_for_line: bool = False,
        resumable: bool = False,
        reconnect: bool | None = None,
    ) -> Depth:
        """The book of a contract, kept up to date (TWS: reqMktDepth).

        With `smart` the exchanges' books are merged.
        """
        wanted = as_contract(contract)
        subscribe = subscribing.depth(wanted, rows, smart)
        line = Wanted(wanted, subscribe, wait_for_line, resumable)
        return Depth(self._market_data(reconnect), line)

    def tick_by_tick(
        self,
        contract: Contract | str,
        kind: TickByTickKind = "Last",
        *,
        number_of_ticks: int = 0,
        ignore_size: bool = False,
        wait_for_line: bool = False,
        resumable: bool = False,
        reconnect: bool | None = None,
    ) -> TickByTick:
        """Every trade or quote (TWS: reqTickByTickData); `number_of_ticks` of the past first."""
        wanted = as_contract(contract)
        subscribe = subscribing.tick_by_tick(wanted, kind, number_of_ticks, ignore_size)
        line = Wanted(wanted, subscribe, wait_for_line, resumable)
        return TickByTick(self._market_data(reconnect), [line])

    def real_time_bars(
        self,
        contract: Contract | str,
        what_to_show: str = "TRADES",
        *,
        use_rth: bool = False,
        bar_size: int = 5,
        wait_for_line: bool = False,
        resumable: bool = False,
        reconnect: bool | None = None,
    ) -> RealTimeBars:
        """A bar every 5 s (TWS: reqRealTimeBars)."""
        wanted = as_contract(contract)
        subscribe = subscribing.real_time_bars(wanted, what_to_show, use_rth, bar_size)
        line = Wanted(wanted, subscribe, wait_for_line, resumable)
        return RealTimeBars(self._market_data(reconnect), [line])

    async def snapshot(
        self,
        contract: Contract | str,
        *,
        feed: Feed | None = None,
        regulatory: bool = False,
        accept_fee: bool = False,
        timeout: float = SNAPSHOT_TIMEOUT,
    ) -> Snapshot:
        """One snapshot; Gateway collects for up to 11 s, and has no generic ticks in it.

        A `regulatory` one costs 0.01 USD each time: it wants `accept_fee` too.
        """
        if regulatory and not accept_fee:
            raise ClientError(
                "IB takes a fee for each regulatory snapshot: say accept_fee=True to pay it",
                code="FEE_NOT_ACCEPTED",
            )
        wanted = as_contract(contract)
        wire = subscribing.market_data_request(wanted, "")
        if regulatory:
            wire.regulatory_snapshot = True
        request = market_data_pb2.GetSnapshotRequest(
            request=wire, feed=subscribing.wire_feed(feed), accept_fee=accept_fee
        )
        # Not with `read`: a repeated one might cost twice.
        response = await self._ask(
            lambda opened: opened.market_data.GetSnapshot, request, timeout=timeout
        )
        events = list(response.events)
        contracts = {event.subscription_id: wanted for event in events}
        return Snapshot(wanted, tuple(decode(events, contracts)))

    async def calculate_implied_volatility(
        self,
        contract: Contract,
        option_price: float,
        under_price: float,
        *,
        timeout: float = GATEWAY_TIMEOUT,
    ) -> OptionTick:
        """Implied volatility of an option at a price (TWS: calculateImpliedVolatility)."""
        request = market_data_pb2.CalculateImpliedVolatilityRequest(
            request=option_pb2.CalculateImpliedVolatilityRequest(
                contract=contract, option_price=option_price, under_price=under_price
            )
        )
        response = await self._ask(
            lambda opened: opened.market_data.CalculateImpliedVolatility,
            request,
            timeout=timeout,
            read=True,
        )
        return option_tick(response.option_computation, contract)

    async def calculate_option_price(
        self,
        contract: Contract,
        volatility: float,
        under_price: float,
        *,
        timeout: float = GATEWAY_TIMEOUT,
    ) -> OptionTick:
        """Price of an option at a volatility (TWS: calculateOptionPrice)."""
        request = market_data_pb2.CalculateOptionPriceRequest(
            request=option_pb2.CalculateOptionPriceRequest(
                contract=contract, volatility=volatility, under_price=under_price
            )
        )
        response = await self._ask(
            lambda opened: opened.market_data.CalculateOptionPrice,
            request,
            timeout=timeout,
            read=True,
        )
        return option_tick(response.option_computation, contract)
