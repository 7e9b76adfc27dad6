"""Contracts, history, orders, news, scanner parameters, session: calls with one answer."""

from __future__ import annotations

import builtins
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from fake_lines import served

import ibouncer
from ibouncer._pb.ibouncer.v1 import (
    account_pb2,
    contract_pb2,
    history_pb2,
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
    tick_pb2,
    wsh_pb2,
)
from ibouncer._pb.tws.v1 import contract_pb2 as tws_contract_pb2
from ibouncer._pb.tws.v1 import history_pb2 as tws_history_pb2
from ibouncer._pb.tws.v1 import market_data_pb2 as tws_market_data_pb2
from ibouncer._pb.tws.v1 import news_pb2 as tws_news_pb2
from ibouncer._pb.tws.v1 import order_pb2 as tws_order_pb2
from ibouncer._pb.tws.v1 import scanner_pb2 as tws_scanner_pb2
from ibouncer._pb.tws.v1 import session_pb2 as tws_session_pb2
from ibouncer.figures import moment_text, text_figure, time_of

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


def bars_answer(*dates: str) -> Any:
    return history_pb2.GetHistoricalBarsResponse(
        bars=tws_history_pb2.HistoricalData(
            historical_data_bars=[
                tws_history_pb2.HistoricalDataBar(
                    date=one, open=1, high=3, low=0.5, close=2, volume="100", wap="", bar_count=7
                )
                for one in dates
            ]
        ),
        end=tws_history_pb2.HistoricalDataEnd(start_date_str="a", end_date_str="b"),
    )


async def test_bars_have_times_and_become_a_data_frame(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        broker.answers["GetHistoricalBars"] = bars_answer("1700000000", "1700000060")
        end = datetime(2023, 11, 14, 22, 15, tzinfo=timezone.utc)
        bars = await session.historical_bars("AAPL", "120 S", "1 min", end=end)
        assert bars[0].time == datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc)
        assert bars[0].date == "1700000000"
        assert (bars[0].volume, bars[0].wap, bars.start, bars.end) == (100.0, None, "a", "b")
        request = broker.calls[-1][2].request
        assert request.end_date_time == "20231114-22:15:00" and request.format_date == 2
        assert not request.keep_up_to_date
        broker.answers["GetHistoricalBars"] = bars_answer("20231114", "20231115")
        days = await session.historical_bars(AAPL, "2 D", "1 day", chart_options={"a": "b"})
        assert [bar.time for bar in days] == [date(2023, 11, 14), date(2023, 11, 15)]
        with pytest.raises(ValueError, match="no time zone"):
            await session.historical_bars("AAPL", end=datetime(2023, 11, 14))

        pandas = pytest.importorskip("pandas")
        frame = bars.to_dataframe()
        assert list(frame.columns) == ["open", "high", "low", "close", "volume", "wap", "count"]
        assert frame.index[1] == pandas.Timestamp("2023-11-14 22:14:20Z")
        assert frame["close"].sum() == 4
        assert days.to_dataframe().index[0] == pandas.Timestamp("2023-11-14")
        assert ibouncer.Rows([]).to_dataframe().empty


async def test_without_pandas_a_data_frame_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match="pip install pandas"):
        ibouncer.Rows().to_dataframe()


async def test_ticks_of_history_are_those_of_the_stream(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        last = tick_pb2.HistoricalTickLast(
            time=1_700_000_000, price=189.5, size="12.5", exchange="NYSE"
        )
        broker.answers["GetHistoricalTicks"] = history_pb2.GetHistoricalTicksResponse(
            last=[
                tick_pb2.HistoricalTicksLast(historical_ticks_last=[last]),
                tick_pb2.HistoricalTicksLast(historical_ticks_last=[last], is_done=True),
            ]
        )
        ticks = await session.historical_ticks("AAPL", end="20231114-22:15:00")
        assert len(ticks) == 2
        trade = ticks[0]
        assert isinstance(trade, ibouncer.Trade) and trade.size == 12.5
        assert trade.time.year == 2023 and trade.symbol == "AAPL"
        with pytest.raises(ibouncer.ClientError, match="either start or end"):
            await session.historical_ticks("AAPL")
        pytest.importorskip("pandas")
        frame = ticks.to_dataframe()
        assert frame.index.name == "time" and "sequence" not in frame.columns
        assert list(frame["symbol"]) == ["AAPL", "AAPL"]


async def test_the_rest_of_history(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        broker.answers["GetHeadTimestamp"] = history_pb2.GetHeadTimestampResponse(
            head_timestamp=tws_history_pb2.HeadTimestamp(head_timestamp="345479400")
        )
        broker.answers["GetHistogram"] = history_pb2.GetHistogramResponse(
            histogram=tws_history_pb2.HistogramData(
                histogram_data_entries=[tws_history_pb2.HistogramDataEntry(price=1, size="5")]
            )
        )
        broker.answers["GetHistoricalSchedule"] = history_pb2.GetHistoricalScheduleResponse(
            schedule=tws_history_pb2.HistoricalSchedule(
                time_zone="US/Eastern",
                historical_sessions=[
                    tws_history_pb2.HistoricalSession(
                        start_date_time="20231114-09:30:00",
                        end_date_time="20231114-16:00:00",
                        ref_date="20231114",
                    )
                ],
            )
        )
        head = await session.head_timestamp("AAPL")
        assert head == datetime(1980, 12, 12, 14, 30, tzinfo=timezone.utc)
        assert await session.histogram("AAPL") == [ibouncer.HistogramEntry(1, 5)]
        schedule = await session.historical_schedule("AAPL")
        assert schedule.time_zone == "US/Eastern" and schedule[0].ref_date == "20231114"


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
                    order_id=3, perm_id=77, status="Submitted", filled="40", remaining="60"
                )
            ],
        )
        first, second = await session.open_orders("session")
        assert broker.calls[-1][2].scope == order_pb2.ORDER_SCOPE_SESSION
        assert (first.status, first.filled, first.remaining) == ("Submitted", 40, 60)
        assert first.lmt_price is None and first.order.perm_id == 77
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
        assert isinstance(await session.gateway_configuration(), config_pb2.ConfigResponse)


def test_times_as_gateway_writes_them() -> None:
    utc = datetime(2024, 1, 31, 9, 30, tzinfo=timezone.utc)
    assert time_of("20240131-09:30:00") == time_of("20240131 09:30:00 UTC") == utc
    assert time_of("20240131-09:30:00 Z") == time_of("1706693400") == utc
    eastern = time_of("20240131 04:30:00 US/Eastern")
    assert eastern is None or eastern == utc  # None where no time zones are installed
    assert time_of("20240131 09:30:00") == datetime(2024, 1, 31, 9, 30)
    assert time_of("20240131") == date(2024, 1, 31)
    for no_time in ("", "soon", "20241331", "20240131 09:30:00 No/Where"):
        assert time_of(no_time) is None
    assert moment_text(utc) == "20240131-09:30:00" and moment_text("x") == "x"
    assert text_figure("2147483647") is text_figure("") is text_figure("n/a") is None
