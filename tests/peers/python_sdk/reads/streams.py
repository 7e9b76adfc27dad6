"""Streams: each with the item that it has to bring, for a session of either kind."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ibouncer
from calls import DEADLINE, FIRST, SECOND, Facts
from report import Report


@dataclass(frozen=True)
class Stream:
    """One stream of a session, and the item that is waited for."""

    name: str
    open: Callable[[Any, Facts], Any]
    brings: Callable[[Any], object]


def names() -> set[str]:
    return {stream.name for stream in STREAMS} | {"market_data"}


async def read(stream: Stream, session: ibouncer.Session, facts: Facts, report: Report) -> None:
    what = f"asyncio {stream.name}"
    newest: list[Any] = []
    try:
        found = await asyncio.wait_for(_find(stream, session, facts, newest), DEADLINE)
    except asyncio.TimeoutError:
        report.check(what, False, newest[-3:])
    except Exception:
        report.fail(what)
    else:
        report.check(what, found, newest[-3:])


async def _find(stream: Stream, session: ibouncer.Session, facts: Facts, newest: list[Any]) -> bool:
    opened = stream.open(session, facts)
    try:
        async for item in opened:
            newest.append(item)
            if stream.brings(item):
                return True
    finally:
        await opened.aclose()
    return False


def read_blocking(stream: Stream, session: Any, facts: Facts, report: Report) -> None:
    what = f"blocking {stream.name}"
    newest: list[Any] = []
    deadline = time.monotonic() + DEADLINE
    try:
        with stream.open(session, facts) as opened:
            while (left := deadline - time.monotonic()) > 0:
                batch = opened.next_batch(timeout=left)
                if batch is None:
                    break
                newest += batch
                if any(map(stream.brings, batch)):
                    report.check(what, True, None)
                    return
    except Exception:
        report.fail(what)
        return
    report.check(what, False, newest[-3:])


async def many_lines(session: ibouncer.Session, report: Report) -> None:
    """One stream carries lines of every kind, and they come and go."""
    wanted = {"Tick", "DepthChange", "Midpoint", "RealTimeBar"}
    seen: set[str] = set()
    ended = False
    async with session.market_data() as stream:
        quotes = await stream.subscribe("MSFT", generic_ticks=[233])
        await stream.subscribe_depth("MSFT", rows=3)
        await stream.subscribe_tick_by_tick("MSFT", "MidPoint")
        await stream.subscribe_real_time_bars("MSFT", "MIDPOINT")

        async def go_on() -> None:
            nonlocal ended
            async for event in stream:
                seen.add(type(event).__name__)
                if wanted <= seen and not ended:
                    await stream.unsubscribe(quotes)
                if isinstance(event, ibouncer.Mark) and event.kind is ibouncer.MarkKind.ENDED:
                    ended = event.error is None and event.subscription == quotes.id
                    return

        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(go_on(), DEADLINE)
    report.check("one stream carries four kinds", wanted <= seen, seen)
    report.check("a line of it ends and says so", ended, seen)


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda item: isinstance(item, kind)


def _is_whole_book(book: ibouncer.Book) -> bool:
    if not book.live or book.bid is None or book.ask is None:
        return False
    return book.bid.price < book.ask.price and len(book.bids) == len(book.asks) == 5


STREAMS: list[Stream] = [
    Stream(
        "watch_status",
        lambda s, _: s.watch_status(),
        # With asyncio a status comes with the transitions before it.
        lambda item: item[0].state.value == "READY",
    ),
    Stream(
        "quotes",
        lambda s, _: s.quotes("AAPL", ibouncer.forex("EURUSD")),
        lambda item: isinstance(item, ibouncer.Tick) and item.symbol == "EUR" and item.value > 0,
    ),
    Stream("depth", lambda s, _: s.depth("AAPL", rows=5), _is_whole_book),
    Stream(
        "tick_by_tick",
        lambda s, _: s.tick_by_tick("AAPL", "AllLast"),
        lambda item: isinstance(item, ibouncer.Trade) and item.price > 0,
    ),
    Stream(
        "tick_by_tick",
        lambda s, _: s.tick_by_tick("TSLA", "BidAsk", number_of_ticks=10),
        lambda item: isinstance(item, ibouncer.BidAsk) and not item.replayed,
    ),
    Stream(
        "real_time_bars",
        lambda s, _: s.real_time_bars("AAPL"),
        lambda item: isinstance(item, ibouncer.RealTimeBar) and item.low <= item.high,
    ),
    Stream(
        "stream_historical_bars",
        lambda s, _: s.stream_historical_bars("AAPL", "1 D", "1 min"),
        _is(ibouncer.Bar),
    ),
    Stream(
        "stream_account_summary",
        lambda s, _: s.stream_account_summary("NetLiquidation"),
        _is(ibouncer.ImageEnd),
    ),
    Stream(
        "stream_account_updates",
        lambda s, _: s.stream_account_updates(FIRST),
        lambda item: isinstance(item, ibouncer.PortfolioItem) and item.market_value is not None,
    ),
    Stream(
        "stream_account_updates_multi",
        lambda s, _: s.stream_account_updates_multi(SECOND),
        lambda item: isinstance(item, ibouncer.AccountValue) and item.key == "NetLiquidation",
    ),
    Stream("stream_positions", lambda s, _: s.stream_positions(), _is(ibouncer.ImageEnd)),
    Stream(
        "stream_positions_multi",
        lambda s, _: s.stream_positions_multi(SECOND),
        lambda item: isinstance(item, ibouncer.Position) and item.contract.symbol == "NVDA",
    ),
    Stream("stream_pnl", lambda s, _: s.stream_pnl(FIRST), _is(ibouncer.Pnl)),
    Stream(
        "stream_pnl_single",
        lambda s, f: s.stream_pnl_single(FIRST, f.con_id),
        lambda item: isinstance(item, ibouncer.PnlSingle) and item.position == 100,
    ),
    Stream(
        "stream_bulletins",
        lambda s, _: s.stream_bulletins(),
        lambda item: isinstance(item, ibouncer.NewsBulletin) and item.exchange == "AMEX",
    ),
    Stream(
        "stream_scanner",
        lambda s, _: s.stream_scanner("HOT_BY_VOLUME", number_of_rows=5),
        lambda item: isinstance(item, ibouncer.Rows) and len(item) == 5,
    ),
]
