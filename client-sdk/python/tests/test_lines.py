"""Streams of one subscription: positions, accounts, profit and loss, bulletins, scanners, bars."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from fake_lines import served

import ibouncer
from ibouncer import ImageEnd, Mark, MarkKind, Notice, Position
from ibouncer._pb.ibouncer.v1 import error_pb2
from ibouncer._pb.tws.v1 import (
    account_pb2,
    history_pb2,
    news_pb2,
    pnl_pb2,
    position_pb2,
    scanner_pb2,
    session_pb2,
)

ACCOUNT = "DU0000001"
AAPL = ibouncer.Contract(con_id=265598, symbol="AAPL")
MSFT = ibouncer.Contract(con_id=272093, symbol="MSFT")
NVDA = ibouncer.Contract(con_id=4815747, symbol="NVDA")
MSFT = ibouncer.Contract(con_id=272093, symbol="MSFT")
POSITIONS_END: dict[str, Any] = {"position_end": position_pb2.PositionEnd()}


def held(contract: Any, amount: str) -> dict[str, Any]:
    position = position_pb2.Position(
        account=ACCOUNT, contract=contract, position=amount, avg_cost=150.0
    )
    return {"position": position}


async def test_positions_are_read_to_their_end(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        warning = session_pb2.ErrorMessage(error_code=2100, error_msg="a warning")
        broker.images["StreamPositions"] = [
            held(AAPL, "100"),
            {"error": warning},
            held(MSFT, "-5.5"),
            held(AAPL, "0"),
            POSITIONS_END,
            held(AAPL, "7"),
        ]
        positions = await session.positions()
        assert positions == [Position(ACCOUNT, MSFT, -5.5, 150.0)]
        assert [notice.code for notice in positions.notices] == [2100]
        pytest.importorskip("pandas")
        frame = positions.to_dataframe()
        assert frame.loc[0, "symbol"] == "MSFT" and frame.loc[0, "position"] == -5.5


async def test_what_a_line_without_a_session_remembers_is_no_answer(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        asking = asyncio.ensure_future(session.positions())
        call = await broker.line_call()
        call.push(
            call.event(replayed=True, **held(AAPL, "1")),
            call.event(replayed=True, **POSITIONS_END),
            call.mark("STALE", because="CONNECTING"),
        )
        assert not (await asyncio.wait([asking], timeout=0.1))[0]
        call.push(call.mark("RESUMED"), call.event(**held(AAPL, "2")))
        call.say(**POSITIONS_END)
        assert [item.position for item in await asking] == [2]


async def test_what_another_broker_remembers_without_a_session_is_no_answer(
    runtime: Path,
) -> None:
    async with served(runtime) as (broker, session):
        asking = asyncio.ensure_future(session.positions())
        await broker.line_call()
        await asyncio.wait([asking], timeout=0.1)
        await broker.stop()
        await broker.start(unix=runtime / "ibouncer.sock")
        call = await broker.line_call()
        # The reader knows already that values are old, and gets no second STALE.
        call.push(
            call.event(replayed=True, **held(AAPL, "1")),
            call.event(replayed=True, **POSITIONS_END),
            call.mark("STALE", because="CONNECTING"),
        )
        assert not (await asyncio.wait([asking], timeout=0.1))[0]
        call.push(call.mark("RESUMED"), call.event(**held(AAPL, "2")))
        call.say(**POSITIONS_END)
        assert [item.position for item in await asking] == [2]


async def test_a_state_of_which_a_part_is_missing_is_no_answer(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        asking = asyncio.ensure_future(session.positions())
        call = await broker.line_call()
        call.push(
            call.mark("GAP", because="message 261 could not be read"),
            call.event(replayed=True, **held(AAPL, "1")),
            call.event(replayed=True, **POSITIONS_END),
        )
        with pytest.raises(ibouncer.BrokerError, match="a part is missing: message 261") as e:
            await asking
        assert e.value.code == "INCOMPLETE"


async def test_an_answer_that_is_not_complete_in_time_says_what_was_heard(runtime: Path) -> None:
    async with served(runtime) as (_, session):
        with pytest.raises(ibouncer.BrokerError, match=r"positions: not complete after 0.1 s") as e:
            await session.positions(timeout=0.1)
        assert "positions SUBSCRIBED" in str(e.value) and e.value.retry == "after"


async def test_a_stream_goes_on_after_the_broker_was_away(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        broker.images["StreamPositions"] = [held(AAPL, "100"), POSITIONS_END]
        stream = session.stream_positions()
        seen: list[Any] = [await anext(stream) for _ in range(3)]
        assert [str(seen[0]), seen[2]] == ["positions SUBSCRIBED", ImageEnd()]
        await broker.stop()
        stale = await anext(stream)
        assert isinstance(stale, Mark) and stale.kind is MarkKind.STALE and stale.local
        await broker.start(unix=runtime / "ibouncer.sock")
        resumed = await anext(stream)
        assert isinstance(resumed, Mark) and resumed.kind is MarkKind.RESUMED and resumed.local
        assert resumed.because.endswith("the last one before was 2")
        assert isinstance(await anext(stream), Position)
        assert await anext(stream) == ImageEnd()
        # From here on it is as with any broker.
        call = await broker.line_call()
        call.push(call.mark("STALE", because="worker ended"), call.mark("GAP"))
        assert str(await anext(stream)) == "positions STALE: worker ended"
        assert str(await anext(stream)) == "positions GAP"
        call.push(call.event(skipped=3, **held(MSFT, "1")))
        await anext(stream)
        assert stream.skipped == 3
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_a_stream_that_ends_by_an_error_raises_it(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        stream = session.stream_pnl(ACCOUNT)
        assert str(await anext(stream)) == "profit and loss SUBSCRIBED"
        call = await broker.line_call()
        assert call.request.request.account == ACCOUNT
        error = error_pb2.Error(
            code="GATEWAY_ERROR",
            message="Invalid account code",
            source=error_pb2.ERROR_SOURCE_UPSTREAM,
            gateway_code=321,
        )
        call.push(call.mark("ENDED", error=error))
        call.end()
        assert str(await anext(stream)).endswith("Invalid account code [GATEWAY_ERROR 321]")
        with pytest.raises(ibouncer.GatewayError):
            await anext(stream)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_a_stream_that_is_refused_raises_and_does_not_try_again(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        trailers = {
            "ibouncer-code": "LIMIT",
            "ibouncer-source": "broker",
            "ibouncer-retry": "after",
        }
        broker.abort = (grpc.StatusCode.RESOURCE_EXHAUSTED, "too many streams", trailers)
        stream = session.stream_positions()
        with pytest.raises(ibouncer.BrokerError, match="too many streams"):
            await anext(stream)
        assert [name for name, _, _ in broker.calls] == ["StreamPositions"]


async def test_account_updates_look_the_same_for_a_second_account(runtime: Path) -> None:
    tws = account_pb2
    async with served(runtime) as (broker, session):
        broker.images["StreamAccountUpdates"] = [
            {
                "account_value": tws.AccountValue(
                    key="NetLiquidation", value="1000.5", currency="USD", account_name=ACCOUNT
                )
            },
            {
                "portfolio_value": tws.PortfolioValue(
                    contract=AAPL, position="3", market_price=190.0, account_name=ACCOUNT
                )
            },
            {
                "portfolio_value": tws.PortfolioValue(
                    contract=MSFT, position="0", realized_pnl=12.5, account_name=ACCOUNT
                )
            },
            {
                "portfolio_value": tws.PortfolioValue(
                    contract=NVDA, position="0", realized_pnl=0.0, account_name=ACCOUNT
                )
            },
            {"account_update_time": tws.AccountUpdateTime(time_stamp="09:31")},
            {"account_data_end": tws.AccountDataEnd(account_name=ACCOUNT)},
        ]
        first = await session.account_updates()
        shown = [(item.contract.symbol, item.position) for item in first.portfolio]
        assert shown == [("AAPL", 3), ("MSFT", 0)], "closed today, with what it realized"
        assert first.portfolio[1].realized_pnl == 12.5
        assert (first.account, first.time) == (ACCOUNT, "09:31")
        assert first.values.number("NetLiquidation", currency="USD") == 1000.5
        assert first.portfolio[0].market_price == 190.0
        assert first.portfolio[0].unrealized_pnl is None
        broker.images["StreamAccountUpdates"] = [
            {
                "position_multi": position_pb2.PositionMulti(
                    account="DU2", contract=AAPL, position="4"
                )
            },
            {"position_multi_end": position_pb2.PositionMultiEnd()},
            {"account_update_multi": tws.AccountUpdateMulti(account="DU2", key="Cash", value="x")},
            {"account_update_multi_end": tws.AccountUpdateMultiEnd()},
        ]
        second = await session.account_updates("DU2")
        assert (second.account, second.time) == ("DU2", "")
        assert [item.position for item in second.portfolio] == [4]
        assert second.portfolio[0].market_price is None
        cash = second.values.find("Cash")
        assert cash is not None and cash.number is None and cash.value == "x"


async def test_summaries_and_multi_updates_are_values_too(runtime: Path) -> None:
    tws = account_pb2
    async with served(runtime) as (broker, session):
        broker.images["StreamAccountSummary"] = [
            {"account_summary": tws.AccountSummary(account=ACCOUNT, tag="Cushion", value="0.5")},
            {"account_summary_end": tws.AccountSummaryEnd()},
        ]
        broker.images["StreamAccountUpdatesMulti"] = [
            {"account_update_multi": tws.AccountUpdateMulti(key="Cash", value="2", model_code="m")},
            {"account_update_multi_end": tws.AccountUpdateMultiEnd()},
        ]
        broker.images["StreamPositionsMulti"] = [
            {
                "position_multi": position_pb2.PositionMulti(
                    contract=AAPL, position="4", model_code="m"
                )
            },
            {"position_multi_end": position_pb2.PositionMultiEnd()},
        ]
        summary = await session.account_summary(["Cushion", "NetLiquidation"])
        assert summary.number("Cushion", account=ACCOUNT) == 0.5
        assert summary.number("NetLiquidation") is None
        assert broker.calls[-1][2].request.tags == "Cushion,NetLiquidation"
        assert broker.calls[-1][2].request.group == "All"
        (value,) = await session.account_updates_multi(model_code="m", ledger_and_nlv=True)
        assert (value.key, value.number, value.model_code) == ("Cash", 2, "m")
        (position,) = await session.positions_multi(ACCOUNT, "m")
        assert (position.position, position.model_code) == (4, "m")


async def test_profit_and_loss_that_is_not_known_is_none(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        unset = 1.7976931348623157e308
        broker.images["StreamPnl"] = [{"pnl": pnl_pb2.PnL(daily_pnl=12.5, realized_pnl=unset)}]
        broker.images["StreamPnlSingle"] = [
            {"pnl_single": pnl_pb2.PnLSingle(position="3", value=570.0)}
        ]
        assert await session.pnl(ACCOUNT) == ibouncer.Pnl(12.5, None, None)
        single = await session.pnl_single(ACCOUNT, 265598)
        assert (single.position, single.value, single.daily) == (3, 570.0, None)
        assert broker.calls[-1][2].request.con_id == 265598


async def test_bulletins_and_messages_without_a_class(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        broker.images["StreamNewsBulletins"] = [
            {"bulletin": news_pb2.NewsBulletin(news_msg_id=5, news_msg_type=2, news_message="halt")}
        ]
        stream = session.stream_bulletins()
        await anext(stream)
        assert await anext(stream) == ibouncer.NewsBulletin(5, 2, "halt", "")
        call = await broker.line_call()
        call.say()  # a body that is newer than this package
        call.say(error=session_pb2.ErrorMessage(error_code=2108, error_msg="inactive"))
        info, notice = await anext(stream), await anext(stream)
        assert isinstance(info, ibouncer.Info) and info.kind == "unknown"
        assert isinstance(notice, Notice) and str(notice) == "bulletins notice 2108: inactive"


async def test_a_scan_is_its_first_list_and_a_stream_all_of_them(runtime: Path) -> None:
    def ranked(*symbols: str) -> Any:
        return scanner_pb2.ScannerData(
            scanner_data_element=[
                scanner_pb2.ScannerDataElement(rank=rank, contract=ibouncer.Contract(symbol=symbol))
                for rank, symbol in enumerate(symbols)
            ]
        )

    async with served(runtime) as (broker, session):
        broker.images["StreamScanner"] = [{"data": ranked("AAPL", "MSFT")}]
        rows = await session.scan("TOP_PERC_GAIN", filters={"priceAbove": "5"})
        assert [row.contract.symbol for row in rows] == ["AAPL", "MSFT"]
        asked = broker.calls[-1][2].request.scanner_subscription
        assert (asked.instrument, asked.location_code) == ("STK", "STK.US.MAJOR")
        assert dict(asked.scanner_subscription_filter_options) == {"priceAbove": "5"}
        subscription = ibouncer.ScannerSubscription(scan_code="HOT_BY_VOLUME", instrument="FUT.US")
        stream = session.stream_scanner(subscription)
        assert str(await anext(stream)) == "scanner HOT_BY_VOLUME SUBSCRIBED"
        await anext(stream)
        (await broker.line_call(1)).say(data=ranked("TSLA"))
        again = await anext(stream)
        assert isinstance(again, ibouncer.Rows) and again[0].contract.symbol == "TSLA"


async def test_a_scan_without_a_match_is_empty(runtime: Path) -> None:
    said = session_pb2.ErrorMessage
    nothing = {"error": said(error_code=165, error_msg="query message:No items retrieved")}
    linked = {"error": said(error_code=165, error_msg="HMDS server connection was successful")}
    one = scanner_pb2.ScannerDataElement(contract=ibouncer.Contract(symbol="AAPL"))
    data = {"data": scanner_pb2.ScannerData(scanner_data_element=[one])}
    async with served(runtime) as (broker, session):
        for image, found in (([nothing], 0), ([linked, data], 1)):
            broker.images["StreamScanner"] = image
            rows = await session.scan("TOP_PERC_GAIN", timeout=5)
            assert len(rows) == found and [notice.code for notice in rows.notices] == [165]


async def test_bars_that_go_on_come_anew_after_the_broker_was_away(runtime: Path) -> None:
    def bars(*dates: str) -> dict[str, Any]:
        made = [history_pb2.HistoricalDataBar(date=one, close=1) for one in dates]
        return {"bars": history_pb2.HistoricalData(historical_data_bars=made)}

    def update(when: str, close: float) -> dict[str, Any]:
        bar = history_pb2.HistoricalDataBar(date=when, close=close)
        return {"update": history_pb2.HistoricalDataUpdate(historical_data_bar=bar)}

    end = {"end": history_pb2.HistoricalDataEnd(start_date_str="a", end_date_str="b")}
    async with served(runtime) as (broker, session):
        broker.images["StreamHistoricalBars"] = [bars("60"), bars("120"), end, update("120", 2)]
        stream = session.stream_historical_bars("AAPL", "1 D", "1 min")
        mark, history, newest = [await anext(stream) for _ in range(3)]
        assert str(mark) == "bars of AAPL SUBSCRIBED"
        assert isinstance(history, ibouncer.Bars) and len(history) == 2 and history.end == "b"
        assert isinstance(newest, ibouncer.Bar)
        assert not history.update(newest) and history[-1].close == 2
        call = await broker.line_call()
        assert call.request.request.keep_up_to_date and not call.request.request.end_date_time
        call.say(**update("180", 3))
        following = await anext(stream)
        assert isinstance(following, ibouncer.Bar)
        assert history.update(following) and len(history) == 3
        # Half of the bars, then another session with all of them.
        call.push(call.mark("STALE"), call.mark("RESUMED"), call.event(**bars("60")))
        call.push(call.mark("STALE"), call.mark("RESUMED"), call.event(**bars("60")))
        call.say(**end)
        for _ in range(4):
            await anext(stream)
        whole = await anext(stream)
        assert isinstance(whole, ibouncer.Bars) and len(whole) == 1
        # The same with another broker.
        call.push(call.mark("STALE"), call.mark("RESUMED"), call.event(**bars("60")))
        assert [str(await anext(stream)) for _ in range(2)] == [
            "bars of AAPL STALE",
            "bars of AAPL RESUMED",
        ]
        await broker.stop()
        await broker.start(unix=runtime / "ibouncer.sock")
        kinds = [item.kind.value for item in (await anext(stream), await anext(stream))]  # type: ignore[union-attr]
        assert kinds == ["STALE", "RESUMED"]
        again = await anext(stream)
        assert isinstance(again, ibouncer.Bars) and len(again) == 2
