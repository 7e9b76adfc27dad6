"""Calls about contracts: what can be traded, where, and under which rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ibouncer._pb.ibouncer.v1 import contract_pb2
from ibouncer._pb.tws.v1 import contract_pb2 as tws_contract_pb2
from ibouncer._pb.tws.v1 import depth_pb2, market_data_pb2, option_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer.calls import GATEWAY_TIMEOUT, Calls
from ibouncer.contracts import as_contract
from ibouncer.figures import text_figure, whole, words
from ibouncer.marks import notices_from, without_contract
from ibouncer.rows import FRAMELESS, Rows


@dataclass(frozen=True, slots=True)
class ContractDetails:
    """A contract, and what is known about it. `message` has all fields, by IB's names."""

    contract: Contract
    message: tws_contract_pb2.ContractDetails = field(repr=False, compare=False, metadata=FRAMELESS)
    bond: bool
    long_name: str
    market_name: str
    min_tick: float | None
    price_magnifier: int
    order_types: tuple[str, ...]
    valid_exchanges: tuple[str, ...]
    market_rule_ids: tuple[int, ...]
    under_con_id: int
    contract_month: str
    industry: str
    category: str
    subcategory: str
    stock_type: str
    time_zone_id: str
    trading_hours: str
    liquid_hours: str
    min_size: float | None
    size_increment: float | None
    sec_ids: Mapping[str, str]

    @classmethod
    def from_message(cls, data: tws_contract_pb2.ContractData, *, bond: bool) -> ContractDetails:
        """One contract of an answer."""
        details = data.contract_details
        return cls(
            contract=data.contract,
            message=details,
            bond=bond,
            long_name=details.long_name,
            market_name=details.market_name,
            min_tick=text_figure(details.min_tick),
            price_magnifier=details.price_magnifier,
            order_types=words(details.order_types),
            valid_exchanges=words(details.valid_exchanges),
            market_rule_ids=tuple(
                int(rule) for rule in words(details.market_rule_ids) if rule.isdecimal()
            ),
            under_con_id=details.under_con_id,
            contract_month=details.contract_month,
            industry=details.industry,
            category=details.category,
            subcategory=details.subcategory,
            stock_type=details.stock_type,
            time_zone_id=details.time_zone_id,
            trading_hours=details.trading_hours,
            liquid_hours=details.liquid_hours,
            min_size=text_figure(details.min_size),
            size_increment=text_figure(details.size_increment),
            sec_ids=dict(details.sec_id_list),
        )


@dataclass(frozen=True, slots=True)
class ContractDescription:
    """A contract whose symbol or name matches, and kinds of derivatives that exist on it."""

    contract: Contract
    derivative_sec_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OptionParameters:
    """Expirations and strikes of one exchange and trading class. Not every pair of them exists."""

    exchange: str
    under_con_id: int
    trading_class: str
    multiplier: str
    expirations: tuple[str, ...]
    strikes: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PriceIncrement:
    """From this price on prices move in these steps."""

    low_edge: float
    increment: float


@dataclass(frozen=True, slots=True)
class SmartComponent:
    """The exchange behind a bit and a letter of SMART quotes."""

    bit_number: int
    exchange: str
    letter: str


@dataclass(frozen=True, slots=True)
class DepthExchange:
    """An exchange that offers books; those of one `agg_group` are merged by SMART."""

    exchange: str
    sec_type: str
    listing_exchange: str
    service_data_type: str
    agg_group: int | None


class ContractCalls(Calls):
    """Facts about contracts."""

    async def contract_details(
        self, contract: Contract | str, *, timeout: float = GATEWAY_TIMEOUT
    ) -> Rows[ContractDetails]:
        """All contracts that match, bonds too (TWS: reqContractDetails).

        Raises GatewayError, with `gateway_code` 200, if none does.
        """
        wanted = as_contract(contract)
        request = contract_pb2.GetContractDetailsRequest(
            request=tws_contract_pb2.ContractDataRequest(contract=wanted)
        )
        response = await self._ask(
            lambda opened: opened.contract.GetContractDetails,
            request,
            timeout=timeout,
            read=True,
        )
        found = [ContractDetails.from_message(one, bond=False) for one in response.contract_data]
        found += [
            ContractDetails.from_message(one, bond=True) for one in response.bond_contract_data
        ]
        return Rows(found, notices_from(response.notices, wanted), of=ContractDetails)

    async def matching_symbols(
        self, pattern: str, *, timeout: float = GATEWAY_TIMEOUT
    ) -> Rows[ContractDescription]:
        """Contracts whose symbol or name begins like this (TWS: reqMatchingSymbols)."""
        request = contract_pb2.GetMatchingSymbolsRequest(
            request=tws_contract_pb2.MatchingSymbolsRequest(pattern=pattern)
        )
        response = await self._ask(
            lambda opened: opened.contract.GetMatchingSymbols,
            request,
            timeout=timeout,
            read=True,
        )
        return Rows(
            (
                ContractDescription(one.contract, tuple(one.derivative_sec_types))
                for one in response.symbol_samples.contract_descriptions
            ),
            notices_from(response.notices, without_contract(pattern)),
            of=ContractDescription,
        )

    async def option_parameters(
        self,
        underlying_symbol: str,
        underlying_con_id: int,
        *,
        underlying_sec_type: str = "STK",
        exchange: str = "",
        timeout: float = GATEWAY_TIMEOUT,
    ) -> Rows[OptionParameters]:
        """Expirations and strikes of an underlying (TWS: reqSecDefOptParams).

        `exchange` is for options on futures; for all others it stays empty.
        """
        request = contract_pb2.GetOptionParametersRequest(
            request=option_pb2.SecDefOptParamsRequest(
                underlying_symbol=underlying_symbol,
                fut_fop_exchange=exchange,
                underlying_sec_type=underlying_sec_type,
                underlying_con_id=underlying_con_id,
            )
        )
        response = await self._ask(
            lambda opened: opened.contract.GetOptionParameters,
            request,
            timeout=timeout,
            read=True,
        )
        return Rows(
            (
                OptionParameters(
                    one.exchange,
                    one.underlying_con_id,
                    one.trading_class,
                    one.multiplier,
                    tuple(one.expirations),
                    tuple(one.strikes),
                )
                for one in response.parameters
            ),
            notices_from(response.notices, without_contract(underlying_symbol)),
            of=OptionParameters,
        )

    async def market_rule(
        self, market_rule_id: int, *, timeout: float = GATEWAY_TIMEOUT
    ) -> Rows[PriceIncrement]:
        """Price increments of a market rule (TWS: reqMarketRule)."""
        request = contract_pb2.GetMarketRuleRequest(
            request=tws_contract_pb2.MarketRuleRequest(market_rule_id=market_rule_id)
        )
        response = await self._ask(
            lambda opened: opened.contract.GetMarketRule, request, timeout=timeout, read=True
        )
        return Rows(
            (
                PriceIncrement(one.low_edge, one.increment)
                for one in response.market_rule.price_increments
            ),
            notices_from(response.notices, without_contract(f"market rule {market_rule_id}")),
            of=PriceIncrement,
        )

    async def smart_components(
        self, bbo_exchange: str, *, timeout: float = GATEWAY_TIMEOUT
    ) -> Rows[SmartComponent]:
        """Exchanges behind the letters of a SMART quote (TWS: reqSmartComponents).

        `bbo_exchange` is the one that "tick_req_params" of a quote names.
        """
        request = contract_pb2.GetSmartComponentsRequest(
            request=market_data_pb2.SmartComponentsRequest(bbo_exchange=bbo_exchange)
        )
        response = await self._ask(
            lambda opened: opened.contract.GetSmartComponents,
            request,
            timeout=timeout,
            read=True,
        )
        return Rows(
            (
                SmartComponent(one.bit_number, one.exchange, one.exchange_letter)
                for one in response.smart_components.smart_components
            ),
            notices_from(response.notices, without_contract(bbo_exchange)),
            of=SmartComponent,
        )

    async def depth_exchanges(self, *, timeout: float = GATEWAY_TIMEOUT) -> Rows[DepthExchange]:
        """Exchanges that offer books (TWS: reqMktDepthExchanges)."""
        response = await self._ask(
            lambda opened: opened.contract.GetMarketDepthExchanges,
            contract_pb2.GetMarketDepthExchangesRequest(),
            timeout=timeout,
            read=True,
        )

        def described(one: depth_pb2.DepthMarketDataDescription) -> DepthExchange:
            return DepthExchange(
                one.exchange,
                one.sec_type,
                one.listing_exch,
                one.service_data_type,
                whole(one.agg_group) if one.HasField("agg_group") else None,
            )

        return Rows(
            map(described, response.exchanges.depth_market_data_descriptions),
            notices_from(response.notices, without_contract("depth exchanges")),
            of=DepthExchange,
        )
