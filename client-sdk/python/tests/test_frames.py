"""Data frames of answers: an empty one has the columns of a full one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_lines import served

import ibouncer
from ibouncer._pb.ibouncer.v1 import history_pb2
from ibouncer._pb.tws.v1 import (
    account_pb2,
    position_pb2,
    scanner_pb2,
)
from ibouncer._pb.tws.v1 import (
    history_pb2 as tws_history_pb2,
)

BARS = ["open", "high", "low", "close", "volume", "wap", "count"]
CONTRACT = [
    "con_id",
    "symbol",
    "sec_type",
    "expiry",
    "strike",
    "right",
    "exchange",
    "currency",
    "local_symbol",
]
IMAGES: dict[str, list[dict[str, Any]]] = {
    "StreamPositions": [{"position_end": position_pb2.PositionEnd()}],
    "StreamPositionsMulti": [{"position_multi_end": position_pb2.PositionMultiEnd()}],
    "StreamAccountSummary": [{"account_summary_end": account_pb2.AccountSummaryEnd()}],
    "StreamAccountUpdates": [{"account_data_end": account_pb2.AccountDataEnd()}],
    "StreamScanner": [{"data": scanner_pb2.ScannerData()}],
}


async def test_empty_answers_have_their_columns(runtime: Path) -> None:
    pandas = pytest.importorskip("pandas")
    async with served(runtime) as (broker, session):
        broker.images.update(IMAGES)
        bars = (await session.historical_bars("AAPL")).to_dataframe()
        assert list(bars.columns) == BARS and bars.index.name == "time"
        assert bars["close"].pct_change().empty
        broker.answers["GetHistoricalBars"] = history_pb2.GetHistoricalBarsResponse(
            bars=tws_history_pb2.HistoricalData(
                historical_data_bars=[tws_history_pb2.HistoricalDataBar(date="1700000000")]
            )
        )
        full = (await session.historical_bars("AAPL")).to_dataframe()
        assert list(full.columns) == BARS and full.index.dtype.tz == bars.index.dtype.tz
        assert len(pandas.concat([bars, full]).loc["2023-11-14":]) == 1

        executions = (await session.executions(symbol="NOSUCH")).to_dataframe()
        assert {"symbol", "shares", "price"} <= set(executions.columns)
        assert executions.index.name == "time"
        positions = (await session.positions()).to_dataframe()
        assert list(positions.columns) == [
            *CONTRACT,
            "account",
            "position",
            "avg_cost",
            "model_code",
        ]
        updates = await session.account_updates("DU0000001")
        assert "market_price" in updates.portfolio.to_dataframe().columns
        assert "value" in updates.values.to_dataframe().columns
        for kind, columns in (
            ("TRADES", {"price", "size"}),
            ("BID_ASK", {"bid", "ask"}),
            ("MIDPOINT", {"price"}),
        ):
            ticks = await session.historical_ticks("AAPL", end="now", what_to_show=kind)  # type: ignore[arg-type]
            assert columns <= set(ticks.to_dataframe().columns)


async def test_every_empty_list_knows_what_its_rows_would_be(runtime: Path) -> None:
    pytest.importorskip("pandas")
    async with served(runtime) as (broker, session):
        broker.images.update(IMAGES)
        lists: list[ibouncer.Rows[Any]] = [
            await session.positions_multi(),
            await session.account_summary(),
            await session.family_codes(),
            await session.soft_dollar_tiers(),
            await session.open_orders(),
            await session.completed_orders(),
            await session.orders(),
            await session.contract_details("AAPL"),
            await session.matching_symbols("AAP"),
            await session.option_parameters("AAPL", 265598),
            await session.market_rule(26),
            await session.smart_components("9c0001"),
            await session.depth_exchanges(),
            await session.histogram("AAPL"),
            await session.historical_schedule("AAPL"),
            await session.news_providers(),
            await session.historical_news(265598, "BRFG"),
            await session.scan("TOP_PERC_GAIN"),
            await session.queue(),
        ]
        for rows in lists:
            assert rows == []
            # An index of times has no column of its own.
            assert len(rows.to_dataframe().columns) > 1, type(rows)


async def test_accounts_are_a_list_as_all_others(runtime: Path) -> None:
    async with served(runtime) as (_, session):
        accounts = await session.accounts()
        assert accounts == [ibouncer.Account("DU0000001", True)] and accounts.notices == ()
        pytest.importorskip("pandas")
        assert list(accounts.to_dataframe().columns) == ["account", "paper"]
        assert list(ibouncer.Rows([], of=ibouncer.Account).to_dataframe()) == ["account", "paper"]
