"""Calls of history: bars, ticks, schedules, histograms, and bars that go on.

Times that are given may be datetimes with a zone, or texts as Gateway wants them; an empty text
means now. Gateway paces history: a call waits for its turn as long as `timeout` allows, and
`session.queue()` tells its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

from google.protobuf.message import Message

from ibouncer import errors, trades
from ibouncer._pb.ibouncer.v1 import history_pb2
from ibouncer._pb.tws.v1 import history_pb2 as tws_history_pb2
from ibouncer._pb.tws.v1 import tick_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer.bars import Bar, Bars
from ibouncer.calls import GATEWAY_TIMEOUT, HISTORY_TIMEOUT, Calls
from ibouncer.contracts import as_contract
from ibouncer.figures import When, amount, moment_text, time_of
from ibouncer.line_stream import BEGINS_ANEW, LineStream
from ibouncer.marks import Info, Mark, Notice, about, notices_from
from ibouncer.rows import Rows
from ibouncer.trades import TradeOrQuote

FormatDate = Literal[1, 2]

# What comes of `what_to_show`.
_TICKS: dict[str, type[TradeOrQuote]] = {
    "TRADES": trades.Trade,
    "BID_ASK": trades.BidAsk,
    "MIDPOINT": trades.Midpoint,
}


@dataclass(frozen=True, slots=True)
class HistogramEntry:
    """How much was traded at a price."""

    price: float
    size: float


@dataclass(frozen=True, slots=True)
class TradingSession:
    """One session of a schedule, in the schedule's zone; `ref_date` is the trading day."""

    ref_date: str
    start: str
    end: str


class Schedule(Rows[TradingSession]):
    """Trading sessions of a contract."""

    _kind: ClassVar[Any] = TradingSession

    start: str = ""
    end: str = ""
    time_zone: str = ""


class HistoryCalls(Calls):
    """The past. A string instead of a contract means a US stock."""

    async def historical_bars(
        self,
        contract: Contract | str,
        duration: str = "1 D",
        bar_size: str = "1 min",
        *,
        what_to_show: str = "TRADES",
        end: datetime | str = "",
        use_rth: bool = True,
        format_date: FormatDate = 2,
        chart_options: Mapping[str, str] | None = None,
        timeout: float = HISTORY_TIMEOUT,
    ) -> Bars:
        """Bars up to `end` (TWS: reqHistoricalData).

        `duration` is such as "3600 S", "2 D", "1 W"; `bar_size` such as "5 secs", "1 hour". With
        `format_date` 2 Gateway says Unix time, with 1 local time and a zone; days are days in both.
        """
        wanted = as_contract(contract)
        request = history_pb2.GetHistoricalBarsRequest(
            request=tws_history_pb2.HistoricalDataRequest(
                contract=wanted,
                end_date_time=moment_text(end),
                bar_size_setting=bar_size,
                duration=duration,
                use_rth=use_rth,
                what_to_show=what_to_show,
                format_date=format_date,
                chart_options=chart_options,
            )
        )
        response = await self._ask(
            lambda opened: opened.history.GetHistoricalBars, request, timeout=timeout, read=True
        )
        return Bars(
            wanted,
            map(Bar.from_message, response.bars.historical_data_bars),
            notices_from(response.notices, wanted),
            start=response.end.start_date_str,
            end=response.end.end_date_str,
        )

    def stream_historical_bars(
        self,
        contract: Contract | str,
        duration: str = "1 D",
        bar_size: str = "1 min",
        *,
        what_to_show: str = "TRADES",
        use_rth: bool = True,
        format_date: FormatDate = 2,
        chart_options: Mapping[str, str] | None = None,
        reconnect: bool | None = None,
    ) -> LineStream[Bars | Bar | Mark | Notice | Info]:
        """Bars up to now, then the newest bar whenever it changes (TWS: keepUpToDate).

        First comes one Bars, then each change as a Bar, for `Bars.update`; after a RESUMED mark
        the Bars come anew.
        """
        wanted = as_contract(contract)
        request = history_pb2.StreamHistoricalBarsRequest(
            request=tws_history_pb2.HistoricalDataRequest(
                contract=wanted,
                bar_size_setting=bar_size,
                duration=duration,
                use_rth=use_rth,
                what_to_show=what_to_show,
                format_date=format_date,
                keep_up_to_date=True,
                chart_options=chart_options,
            )
        )
        return self._line(
            lambda opened: opened.history.StreamHistoricalBars,
            request,
            lambda: _GrowingBars(wanted),
            label=f"bars of {about(wanted)}",
            reconnect=reconnect,
        )

    async def historical_ticks(
        self,
        contract: Contract | str,
        *,
        start: datetime | str = "",
        end: datetime | str = "",
        number_of_ticks: int = 1000,
        what_to_show: Literal["TRADES", "BID_ASK", "MIDPOINT"] = "TRADES",
        use_rth: bool = True,
        ignore_size: bool = False,
        timeout: float = HISTORY_TIMEOUT,
    ) -> Rows[TradeOrQuote]:
        """Up to 1000 ticks from `start` on or up to `end` (TWS: reqHistoricalTicks); give one.

        What comes are Trade, BidAsk or Midpoint, as `what_to_show` says.
        """
        if bool(start) == bool(end):
            raise errors.ClientError(
                "historical_ticks wants either start or end: the other one follows from it",
                code="START_OR_END",
            )
        wanted = as_contract(contract)
        request = history_pb2.GetHistoricalTicksRequest(
            request=tick_pb2.HistoricalTicksRequest(
                contract=wanted,
                start_date_time=moment_text(start),
                end_date_time=moment_text(end),
                number_of_ticks=number_of_ticks,
                what_to_show=what_to_show,
                use_rth=use_rth,
                ignore_size=ignore_size,
            )
        )
        response = await self._ask(
            lambda opened: opened.history.GetHistoricalTicks, request, timeout=timeout, read=True
        )
        pages: list[Message] = [*response.midpoint, *response.bid_ask, *response.last]
        return Rows(
            trades.from_pages(pages, wanted),
            notices_from(response.notices, wanted),
            of=_TICKS.get(what_to_show),
        )

    async def historical_schedule(
        self,
        contract: Contract | str,
        duration: str = "1 W",
        *,
        end: datetime | str = "",
        use_rth: bool = True,
        timeout: float = HISTORY_TIMEOUT,
    ) -> Schedule:
        """Trading sessions up to `end` (TWS: reqHistoricalData with whatToShow SCHEDULE)."""
        wanted = as_contract(contract)
        request = history_pb2.GetHistoricalScheduleRequest(
            request=tws_history_pb2.HistoricalDataRequest(
                contract=wanted,
                end_date_time=moment_text(end),
                bar_size_setting="1 day",
                duration=duration,
                use_rth=use_rth,
                format_date=1,
            )
        )
        response = await self._ask(
            lambda opened: opened.history.GetHistoricalSchedule,
            request,
            timeout=timeout,
            read=True,
        )
        told = response.schedule
        schedule = Schedule(
            (
                TradingSession(one.ref_date, one.start_date_time, one.end_date_time)
                for one in told.historical_sessions
            ),
            notices_from(response.notices, wanted),
        )
        schedule.start, schedule.end = told.start_date_time, told.end_date_time
        schedule.time_zone = told.time_zone
        return schedule

    async def head_timestamp(
        self,
        contract: Contract | str,
        what_to_show: str = "TRADES",
        *,
        use_rth: bool = True,
        timeout: float = GATEWAY_TIMEOUT,
    ) -> When:
        """When history of this kind begins (TWS: reqHeadTimeStamp), in UTC; None if unknown."""
        request = history_pb2.GetHeadTimestampRequest(
            request=tws_history_pb2.HeadTimestampRequest(
                contract=as_contract(contract),
                use_rth=use_rth,
                what_to_show=what_to_show,
                format_date=2,
            )
        )
        response = await self._ask(
            lambda opened: opened.history.GetHeadTimestamp, request, timeout=timeout, read=True
        )
        return time_of(response.head_timestamp.head_timestamp)

    async def histogram(
        self,
        contract: Contract | str,
        period: str = "3 days",
        *,
        use_rth: bool = True,
        timeout: float = GATEWAY_TIMEOUT,
    ) -> Rows[HistogramEntry]:
        """Volume by price over a period such as "3 days" (TWS: reqHistogramData)."""
        wanted = as_contract(contract)
        request = history_pb2.GetHistogramRequest(
            request=tws_history_pb2.HistogramDataRequest(
                contract=wanted, use_rth=use_rth, time_period=period
            )
        )
        response = await self._ask(
            lambda opened: opened.history.GetHistogram, request, timeout=timeout, read=True
        )
        return Rows(
            (
                HistogramEntry(one.price, amount(one.size))
                for one in response.histogram.histogram_data_entries
            ),
            notices_from(response.notices, wanted),
            of=HistogramEntry,
        )


class _GrowingBars:
    """Collects the bars until their end has been told; they begin anew behind RESUMED."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._collected: list[Bar] = []

    def __call__(self, body: str, message: Any) -> Iterable[Bars | Bar] | None:
        if body == "mark" and message.kind in BEGINS_ANEW:
            self._collected = []
        if body == "update":
            return (Bar.from_message(message.historical_data_bar),)
        if body == "bars":
            self._collected += map(Bar.from_message, message.historical_data_bars)
            return ()
        if body == "end":
            bars, self._collected = self._collected, []
            start, end = message.start_date_str, message.end_date_str
            return (Bars(self._contract, bars, start=start, end=end),)
        return None
