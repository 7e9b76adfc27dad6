"""Bars: of history, the newest one as it grows, and those of 5 s as they happen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from ibouncer._pb.ibouncer.v1 import market_data_pb2
from ibouncer._pb.tws.v1 import history_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer.figures import When, from_seconds, text_figure, time_of
from ibouncer.marks import Notice
from ibouncer.rows import FRAMELESS, Rows


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of history.

    `time` is its start in UTC, or a date if it covers a day or more; `date` is the same as
    Gateway writes it. `volume` and `wap` are None if Gateway says nothing.
    """

    date: str = field(repr=False, metadata=FRAMELESS)
    time: When
    open: float
    high: float
    low: float
    close: float
    volume: float | None
    wap: float | None
    count: int

    @classmethod
    def from_message(cls, bar: history_pb2.HistoricalDataBar) -> Bar:
        """A bar as Gateway sends it."""
        return cls(
            bar.date,
            time_of(bar.date),
            bar.open,
            bar.high,
            bar.low,
            bar.close,
            text_figure(bar.volume),
            text_figure(bar.wap),
            bar.bar_count,
        )


class Bars(Rows[Bar]):
    """Bars of one contract, the oldest first; `start` and `end` are the span that they cover."""

    _kind: ClassVar[Any] = Bar

    def __init__(
        self,
        contract: Contract,
        bars: Iterable[Bar] = (),
        notices: Iterable[Notice] = (),
        *,
        start: str = "",
        end: str = "",
    ) -> None:
        super().__init__(bars, notices)
        self.contract = contract
        self.start = start
        self.end = end

    def update(self, bar: Bar) -> bool:
        """Takes the newest bar of a stream; True if it is a new one and not the last as it grew."""
        if self and self[-1].date == bar.date:
            self[-1] = bar
            return False
        self.append(bar)
        return True


@dataclass(frozen=True, slots=True)
class RealTimeBar:
    """A bar of 5 s; `seconds` is its start in Unix time."""

    subscription: int
    contract: Contract = field(repr=False, compare=False)
    sequence: int
    seconds: int
    open: float
    high: float
    low: float
    close: float
    volume: float | None
    wap: float | None
    count: int
    replayed: bool
    skipped: int

    @property
    def symbol(self) -> str:
        """The contract's symbol as it was asked for."""
        return self.contract.symbol

    @property
    def time(self) -> datetime:
        """Start of the bar, in UTC."""
        return from_seconds(self.seconds)

    def __str__(self) -> str:
        prices = f"{self.open:g} {self.high:g} {self.low:g} {self.close:g}"
        return f"{self.contract.symbol} {self.time:%H:%M:%S} {prices}"


def from_event(
    event: market_data_pb2.MarketDataEvent, subscription: int, contract: Contract
) -> RealTimeBar:
    """A real-time bar."""
    bar = event.real_time_bar
    return RealTimeBar(
        subscription,
        contract,
        event.sequence,
        bar.time,
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        text_figure(bar.volume),
        text_figure(bar.wap),
        bar.count,
        event.replayed,
        event.skipped,
    )
