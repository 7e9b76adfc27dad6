"""History: bars, ticks, schedules, the times that they name, and data frames of them."""

from __future__ import annotations

import builtins
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from fake_lines import served

import ibouncer
from ibouncer._pb.ibouncer.v1 import history_pb2
from ibouncer._pb.tws.v1 import history_pb2 as tws_history_pb2
from ibouncer._pb.tws.v1 import tick_pb2
from ibouncer.figures import moment_text, text_figure, time_of

AAPL = ibouncer.Contract(con_id=265598, symbol="AAPL", sec_type="STK", currency="USD")


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
    with pytest.raises(TypeError, match="use datetime"):
        moment_text(utc.date())  # type: ignore[arg-type]
    assert text_figure("2147483647") is text_figure("") is text_figure("n/a") is None
