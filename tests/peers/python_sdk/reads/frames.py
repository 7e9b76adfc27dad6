"""DataFrames of what Gateway sent, and what is said where pandas is missing."""

from __future__ import annotations

import sys
from typing import Any

import ibouncer
from calls import days_ago
from report import Report


async def check(session: ibouncer.Session, report: Report) -> None:
    bars = await session.historical_bars("AAPL", "2 D", "1 hour")
    ticks = await session.historical_ticks("AAPL", start=days_ago(3), number_of_ticks=50)
    positions = await session.positions()
    _without_pandas(bars, report)
    try:
        import pandas
    except ImportError:
        # The SDK's tools have it for newer Pythons only.
        return
    frame = bars.to_dataframe()
    columns = ["open", "high", "low", "close", "volume", "wap", "count"]
    report.check("bars are a frame", list(frame.columns) == columns, frame.columns)
    in_order = frame.index.is_monotonic_increasing and frame.index.tz is not None
    report.check("bars are indexed by time", len(frame) == len(bars) and in_order, frame.index)
    figures = all(pandas.api.types.is_numeric_dtype(frame[name]) for name in columns)
    report.check("bars are figures", figures, frame.dtypes)
    frame = ticks.to_dataframe()
    report.check("ticks are a frame", list(frame["price"]) == [one.price for one in ticks], frame)
    frame = positions.to_dataframe().set_index(["account", "symbol", "sec_type"])
    held = frame.loc[("DU0000001", "AAPL", "STK"), "position"]
    report.check("positions are a frame", held == 100, frame)


def _without_pandas(rows: ibouncer.Rows[Any], report: Report) -> None:
    what = "without pandas it is said what to do"
    there = sys.modules.get("pandas")
    # None in this place is a module that cannot be imported.
    sys.modules["pandas"] = None  # type: ignore[assignment]
    try:
        rows.to_dataframe()
    except ImportError as error:
        report.check(what, "pip install pandas" in str(error), error)
    else:
        report.check(what, False, "a frame")
    finally:
        del sys.modules["pandas"]
        if there is not None:
            sys.modules["pandas"] = there
