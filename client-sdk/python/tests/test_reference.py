"""Contracts, orders, news, scanner parameters, session: calls with one answer.

Those of history are in `test_history`.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fake_lines import served

import ibouncer
from ibouncer._pb.ibouncer.v1 import (
    account_pb2,
    contract_pb2,
    market_data_pb2,
    news_pb2,
    order_pb2,
    scanner_pb2,
    session_pb2,
)
from ibouncer._pb.tws.v1 import (
    account_pb2 as tws_account_pb2,
)
from ibouncer._pb.tws.v1 import (
    advisor_pb2,
    config_pb2,
    depth_pb2,
    execution_pb2,
    option_pb2,
    order_state_pb2,
    wsh_pb2,
)
from ibouncer._pb.tws.v1 import contract_pb2 as tws_contract_pb2
from ibouncer._pb.tws.v1 import market_data_pb2 as tws_market_data_pb2
from ibouncer._pb.tws.v1 import news_pb2 as tws_news_pb2
from ibouncer._pb.tws.v1 import order_pb2 as tws_order_pb2
from ibouncer._pb.tws.v1 import scanner_pb2 as tws_scanner_pb2
from ibouncer._pb.tws.v1 import session_pb2 as tws_session_pb2

AAPL = ibouncer.Contract(con_id=265598, symbol="AAPL", sec_type="STK", currency="USD")
UNSET = 1.7976931348623157e308


async def test_contract_details_come_with_bonds_and_notices(runtime: Path) -> None:
    details = tws_contract_pb2.ContractDetails(
        long_name="APPLE INC", min_tick="0.01", valid_exchanges="SMART,NYSE", market_rule_ids="26,"
    )
    async with served(runtime) as (broker, session):
        broker.answers["GetContractDetails"] = contract_pb2.GetContractDetailsResponse(
            contract_data=[tws_contract_pb2.ContractData(contract=AAPL, contract_details=details)],
            bond_contract_data=[tws_contract_pb2.ContractData(contract=AAPL)],
            notices=[tws_session_pb2.ErrorMessage(error_code=2150, error_msg="a warning")],
        )
        found = await session.contract_details("AAPL")
        stock, bond = found
        assert (stock.long_name, stock.min_tick, stock.bond) == ("APPLE INC", 0.01, False)
        assert stock.valid_exchanges == ("SMART", "NYSE") and stock.market_rule_ids == (26,)
        assert stock.message.long_name == "APPLE INC" and stock.contract.con_id == 265598
        assert bond.bond and bond.min_tick is None
        assert [notice.code for notice in found.notices] == [2150]
        assert broker.calls[-1][2].request.contract.exchange == "SMART"


async def test_facts_about_contracts(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        broker.answers["GetMatchingSymbols"] = contract_pb2.GetMatchingSymbolsResponse(
            symbol_samples=tws_contract_pb2.SymbolSamples(
                contract_descriptions=[
                    tws_contract_pb2.ContractDescription(
                        contract=AAPL, derivative_sec_types=["OPT", "WAR"]
                    )
                ]
            )
        )
        broker.answers["GetOptionParameters"] = contract_pb2.GetOptionParametersResponse(
            parameters=[
                option_pb2.SecDefOptParameter(
                    exchange="CBOE", expirations=["20270115"], strikes=[150, 155]
                )
            ]
        )
        broker.answers["GetMarketRule"] = contract_pb2.GetMarketRuleResponse(
            market_rule=tws_contract_pb2.MarketRule(
                price_increments=[
                    tws_contract_pb2.PriceIncrement(low_edge=0, increment=0.01),
                    tws_contract_pb2.PriceIncrement(low_edge=1, increment=0.05),
                ]
            )
        )
        broker.answers["GetSmartComponents"] = contract_pb2.GetSmartComponentsResponse(
            smart_components=tws_market_data_pb2.SmartComponents(
                smart_components=[
                    tws_market_data_pb2.SmartComponent(
                        bit_number=2, exchange="NYSE", exchange_letter="N"
                    )
                ]
            )
        )
        broker.answers["GetMarketDepthExchanges"] = contract_pb2.GetMarketDepthExchangesResponse(
            exchanges=depth_pb2.MarketDepthExchanges(
                depth_market_data_descriptions=[
                    depth_pb2.DepthMarketDataDescription(exchange="NYSE", agg_group=2147483647)
                ]
            )
        )
        (symbol,) = await session.matching_symbols("AAP")
        assert symbol.derivative_sec_types == ("OPT", "WAR")
        (chain,) = await session.option_parameters("AAPL", 265598)
        assert chain.strikes == (150, 155) and chain.expirations == ("20270115",)
        assert broker.calls[-1][2].request.underlying_sec_type == "STK"
        steps = await session.market_rule(26)
        assert [step.increment for step in steps] == [0.01, 0.05]
        assert await session.smart_components("9c0001") == [ibouncer.SmartComponent(2, "NYSE", "N")]
        (exchange,) = await session.depth_exchanges()
        assert exchange.exchange == "NYSE" and exchange.agg_group is None


async def test_snapshots_and_option_figures(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        with pytest.raises(ibouncer.ClientError, match="accept_fee=True"):
            await session.snapshot("AAPL", regulatory=True)
        await session.snapshot("AAPL", regulatory=True, accept_fee=True)
        asked = broker.calls[-1][2]
        assert asked.accept_fee and asked.request.regulatory_snapshot
        figures = option_pb2.TickOptionComputation(tick_type=53, implied_vol=0.31, opt_price=2.5)
        market = market_data_pb2
        broker.answers["CalculateImpliedVolatility"] = market.CalculateImpliedVolatilityResponse(
            option_computation=figures
        )
        broker.answers["CalculateOptionPrice"] = market.CalculateOptionPriceResponse(
            option_computation=figures
        )
        option = ibouncer.option("AAPL", "20270115", 150, "C")
        tick = await session.calculate_implied_volatility(option, 2.5, 149.0)
        assert (tick.implied_vol, tick.field) == (0.31, "cust_option_computation")
        assert (await session.calculate_option_price(option, 0.3, 149.0)).price == 2.5


async def test_open_orders_have_their_status_beside_them(runtime: Path) -> None:
    state = order_state_pb2
    async with served(runtime) as (broker, session):
        order = tws_order_pb2.Order(
            perm_id=77, client_id=5, action="BUY", total_quantity="100", lmt_price=UNSET
        )
        by_hand = tws_order_pb2.Order(client_id=0, action="SELL", total_quantity="1")
        broker.answers["ListOpenOrders"] = order_pb2.ListOpenOrdersResponse(
            open_orders=[
                state.OpenOrder(order_id=3, contract=AAPL, order=order),
                state.OpenOrder(
                    order_id=-2,
                    contract=AAPL,
                    order=by_hand,
                    order_state=state.OrderState(status="PreSubmitted"),
                ),
            ],
            order_statuses=[
                state.OrderStatus(
                    order_id=3,
                    perm_id=77,
                    status="Submitted",
                    filled="40",
                    remaining="60",
                    mkt_cap_price=9.5,
                )
            ],
        )
        first, second = await session.open_orders("session")
        assert broker.calls[-1][2].scope == order_pb2.ORDER_SCOPE_SESSION
        assert (first.status, first.filled, first.remaining) == ("Submitted", 40, 60)
        assert first.lmt_price is None and first.order.perm_id == 77
        assert (first.mkt_cap_price, second.mkt_cap_price) == (9.5, None)
        assert (second.status, second.filled) == ("PreSubmitted", None)
        broker.answers["ListCompletedOrders"] = order_pb2.ListCompletedOrdersResponse(
            completed_orders=[
                state.CompletedOrder(
                    contract=AAPL, order=order, order_state=state.OrderState(status="Filled")
                )
            ]
        )
        (done,) = await session.completed_orders(api_only=True)
        assert done.status == "Filled" and broker.calls[-1][2].request.api_only


async def test_open_orders_that_change_while_they_are_listed_are_one_row(runtime: Path) -> None:
    state = order_state_pb2

    def told(perm_id: int, order_id: int, status: str) -> order_state_pb2.OpenOrder:
        return state.OpenOrder(
            order_id=order_id,
            contract=AAPL,
            order=tws_order_pb2.Order(perm_id=perm_id, client_id=5),
            order_state=state.OrderState(status=status),
        )

    async with served(runtime) as (broker, session):

        async def listed(*orders: order_state_pb2.OpenOrder, **more: Any) -> list[tuple[int, str]]:
            broker.answers["ListOpenOrders"] = order_pb2.ListOpenOrdersResponse(
                open_orders=orders, **more
            )
            return [(one.order_id, one.status) for one in await session.open_orders()]

        assert await listed(
            told(55, 5, "PreSubmitted"),
            told(66, 6, "Inactive"),
            told(0, 7, "PendingSubmit"),
            told(0, 8, "PendingSubmit"),
            told(55, 5, "Submitted"),
            told(77, 7, "PreSubmitted"),
        ) == [(5, "Submitted"), (6, "Inactive"), (7, "PreSubmitted"), (8, "PendingSubmit")]
        assert await listed(told(0, 0, "Submitted"), told(0, 0, "Submitted")) == [
            (0, "Submitted"),
            (0, "Submitted"),
        ]
        ended = told(55, 5, "Submitted"), told(55, 5, "Filled"), told(66, 6, "Cancelled")
        assert await listed(*ended) == []
        filled = state.OrderStatus(order_id=5, perm_id=55, status="Filled")
        assert await listed(told(55, 5, "Submitted"), order_statuses=[filled]) == []
        early = state.OrderStatus(order_id=5, client_id=5, status="PreSubmitted")
        assert await listed(told(55, 5, ""), order_statuses=[early]) == [(5, "PreSubmitted")]


async def test_lists_and_watches_take_every_scope_and_name_them(runtime: Path) -> None:
    scopes: tuple[ibouncer.OrderScope, ...] = ("own", "session", "all")
    async with served(runtime) as (broker, session):
        for scope in scopes:
            wanted = order_pb2.OrderScope.Value(f"ORDER_SCOPE_{scope.upper()}")
            for ask in (session.open_orders, session.orders):
                await ask(scope)
                assert broker.calls[-1][2].scope == wanted
            await session.executions(scope=scope)
            assert broker.calls[-1][2].scope == wanted
        asked = len(broker.calls)
        unknown: Any = "mine"
        allowed = '\'mine\' is no scope of orders; there are "own", "session", "all"'
        for wait in (session.open_orders, session.orders):
            with pytest.raises(ibouncer.ClientError, match=allowed):
                await wait(unknown)
        with pytest.raises(ibouncer.ClientError, match=allowed):
            await session.executions(scope=unknown)
        for watch in (session.watch_orders, session.watch_executions):
            with pytest.raises(ibouncer.ClientError, match=allowed):
                watch(scope=unknown)
        assert len(broker.calls) == asked


async def test_executions_know_their_commissions(runtime: Path) -> None:
    fill = execution_pb2.Execution
    async with served(runtime) as (broker, session):
        broker.answers["ListExecutions"] = order_pb2.ListExecutionsResponse(
            executions=[
                execution_pb2.ExecutionDetails(
                    contract=AAPL,
                    execution=fill(exec_id="a.1", shares="5", time="20231114  09:30:00 UTC"),
                ),
                execution_pb2.ExecutionDetails(contract=AAPL, execution=fill(exec_id="b.1")),
            ],
            commissions=[
                execution_pb2.CommissionAndFeesReport(
                    exec_id="a.1", commission_and_fees=1.05, realized_pnl=UNSET
                )
            ],
        )
        first, second = await session.executions(symbol="AAPL", side="BUY", last_n_days=3)
        asked = broker.calls[-1][2].request.execution_filter
        assert (asked.symbol, asked.side, asked.last_n_days) == ("AAPL", "BUY", 3)
        assert not asked.HasField("client_id") and not asked.HasField("time")
        assert first.cost == 1.05 and second.cost is None
        assert first.commission is not None and first.commission.realized_pnl is None
        assert isinstance(first.time, datetime) and first.time.isoformat().endswith("+00:00")
        pytest.importorskip("pandas")
        frame = (await session.executions()).to_dataframe()
        assert list(frame["shares"]) == [5, 0] and "symbol" in frame.columns


async def test_news_and_the_calendar(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        broker.answers["GetNewsProviders"] = news_pb2.GetNewsProvidersResponse(
            providers=tws_news_pb2.NewsProviders(
                news_providers=[
                    tws_news_pb2.NewsProvider(provider_code="BRFG", provider_name="Briefing")
                ]
            )
        )
        broker.answers["GetNewsArticle"] = news_pb2.GetNewsArticleResponse(
            article=tws_news_pb2.NewsArticle(article_type=1, article_text="JVBERi0=")
        )
        broker.answers["GetHistoricalNews"] = news_pb2.GetHistoricalNewsResponse(
            headlines=[tws_news_pb2.HistoricalNews(article_id="BRFG$1", headline="Up")],
            end=tws_news_pb2.HistoricalNewsEnd(has_more=True),
        )
        broker.answers["GetWshMetaData"] = news_pb2.GetWshMetaDataResponse(
            meta_data=wsh_pb2.WshMetaData(data_json="{}")
        )
        broker.answers["GetWshEventData"] = news_pb2.GetWshEventDataResponse(
            event_data=wsh_pb2.WshEventData(data_json="[]")
        )
        assert await session.news_providers() == [ibouncer.NewsProvider("BRFG", "Briefing")]
        assert (await session.news_article("BRFG", "BRFG$1")).binary
        headlines = await session.historical_news(265598, ["BRFG", "DJNL"])
        assert headlines.has_more and headlines[0].article_id == "BRFG$1"
        assert broker.calls[-1][2].request.provider_codes == "BRFG+DJNL"
        assert await session.wsh_meta_data() == "{}"
        assert await session.wsh_event_data(265598) == "[]"


async def test_what_accounts_are_called_and_the_session_is_asked(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        broker.answers["GetFamilyCodes"] = account_pb2.GetFamilyCodesResponse(
            family_codes=tws_account_pb2.FamilyCodes(
                family_codes=[tws_account_pb2.FamilyCode(account_id="DU0000001", family_code="F")]
            )
        )
        broker.answers["GetUserInfo"] = account_pb2.GetUserInfoResponse(
            user_info=tws_session_pb2.UserInfo(white_branding_id="w")
        )
        broker.answers["GetSoftDollarTiers"] = account_pb2.GetSoftDollarTiersResponse(
            tiers=advisor_pb2.SoftDollarTiers(
                soft_dollar_tiers=[advisor_pb2.SoftDollarTier(name="n", value="v")]
            )
        )
        broker.answers["GetAdvisorConfiguration"] = account_pb2.GetAdvisorConfigurationResponse(
            configuration=advisor_pb2.ReceiveFA(xml="<xml/>")
        )
        broker.answers["GetScannerParameters"] = scanner_pb2.GetScannerParametersResponse(
            parameters=tws_scanner_pb2.ScannerParameters(xml="<scan/>")
        )
        broker.answers["GetCurrentTime"] = session_pb2.GetCurrentTimeResponse(
            current_time=tws_session_pb2.CurrentTimeInMillis(
                current_time_in_millis=1_700_000_000_500
            )
        )
        queue = session_pb2.GetQueueResponse(messages_per_second=45)
        request = queue.requests.add(client="a", lane="history", place=3, because="60 in 10 min")
        request.expected_wait.FromMilliseconds(1500)
        queue.requests.add(client="b", lane="data", place=4, because="no line is free")
        broker.answers["GetQueue"] = queue
        broker.answers["GetGatewayConfiguration"] = session_pb2.GetGatewayConfigurationResponse(
            configuration=config_pb2.ConfigResponse()
        )
        assert await session.family_codes() == [ibouncer.FamilyCode("DU0000001", "F")]
        assert await session.user_info() == "w"
        assert (await session.soft_dollar_tiers())[0].value == "v"
        assert await session.advisor_configuration("aliases") == "<xml/>"
        assert broker.calls[-1][2].request.fa_data_type == 3
        assert await session.scanner_parameters() == "<scan/>"
        assert (await session.current_time()).microsecond == 500_000
        waiting = await session.queue("a")
        assert waiting.messages_per_second == 45 and waiting[0].expected_wait == 1.5
        assert waiting[1].expected_wait is None
        assert isinstance(await session.gateway_configuration(), config_pb2.ConfigResponse)
