"""Calls with one answer: each with what its answer has to be, for a session of either kind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import ibouncer
from report import Report

# For one call, on a machine that others use too.
DEADLINE = 40.0
FIRST, SECOND = "DU0000001", "DU0000002"


@dataclass(frozen=True)
class Facts:
    """What later requests need to know."""

    con_id: int
    rule: int
    call: ibouncer.Contract


@dataclass(frozen=True)
class Call:
    """One call of a session, and what its answer has to be."""

    name: str
    make: Callable[[Any, Facts], Any]
    holds: Callable[[Any], object]


def names() -> set[str]:
    return {call.name for call in CALLS}


async def facts(session: ibouncer.Session) -> Facts:
    details = await session.contract_details("AAPL")
    con_id = details[0].contract.con_id
    return _facts(details, await session.option_parameters("AAPL", con_id))


def facts_blocking(session: Any) -> Facts:
    details = session.contract_details("AAPL")
    return _facts(details, session.option_parameters("AAPL", details[0].contract.con_id))


def _facts(
    details: ibouncer.Rows[ibouncer.ContractDetails],
    chains: ibouncer.Rows[ibouncer.OptionParameters],
) -> Facts:
    chain = chains[0]
    strike = chain.strikes[len(chain.strikes) // 2]
    call = ibouncer.option("AAPL", chain.expirations[-1], strike, "C")
    return Facts(details[0].contract.con_id, details[0].market_rule_ids[0], call)


async def make(call: Call, session: ibouncer.Session, facts: Facts, report: Report) -> None:
    what = f"asyncio {call.name}"
    try:
        answer = await asyncio.wait_for(call.make(session, facts), DEADLINE)
    except Exception:
        report.fail(what)
        return
    report.compare(what, call.holds, answer)


def make_blocking(call: Call, session: Any, facts: Facts, report: Report) -> None:
    what = f"blocking {call.name}"
    try:
        answer = call.make(session, facts)
    except Exception:
        report.fail(what)
        return
    report.compare(what, call.holds, answer)


async def refusals(session: ibouncer.Session, report: Report) -> None:
    """Errors of Gateway come typed, with its own code."""
    wanted: list[tuple[str, Any, int]] = [
        ("unknown contract", session.contract_details("NOSUCH"), 200),
        ("history of an unknown contract", session.historical_bars("NOSUCH"), 200),
        ("unknown article", session.news_article("BRFG", "BRFG$nothing"), 10172),
        ("snapshot without permission", session.snapshot("NOPERM"), 354),
    ]
    for what, call, code in wanted:
        try:
            answer = await asyncio.wait_for(call, DEADLINE)
        except ibouncer.GatewayError as error:
            told = error.gateway_code == code and error.retry == "never"
            report.check(f"{what} is refused", told, error)
        else:
            report.check(f"{what} is refused", False, answer)


async def second_account(session: ibouncer.Session, report: Report) -> None:
    """Gateway values one account at a time; a second one is told without a valuation."""
    async with session.stream_account_updates(FIRST) as first:
        async for item in first:
            if isinstance(item, ibouncer.ImageEnd):
                break
        second = await session.account_updates(SECOND, timeout=DEADLINE)
    held = {item.contract.symbol: item for item in second.portfolio}
    told = second.values.number("NetLiquidation", account=SECOND)
    unvalued = held["NVDA"].position == 200 and held["NVDA"].market_price is None
    report.check("a second account has its values", told, second.values)
    report.check("a second account is not valued", unvalued, second.portfolio)


def _has(answer: Any, **wanted: object) -> bool:
    return any(all(getattr(row, key) == value for key, value in wanted.items()) for row in answer)


def days_ago(days: int) -> datetime:
    """Noon of a day that is long enough past for its ticks to be there."""
    noon = datetime.now(timezone.utc).replace(hour=15, minute=0, second=0, microsecond=0)
    day = noon - timedelta(days=days)
    return day - timedelta(days=max(0, day.weekday() - 4))


CALLS: list[Call] = [
    # The session.
    Call("status", lambda s, _: s.status(), lambda told: told.state.value == "READY"),
    Call("wait_ready", lambda s, _: s.wait_ready(5), lambda told: told.state.value == "READY"),
    Call(
        "current_time",
        lambda s, _: s.current_time(),
        lambda time: abs(time - datetime.now(timezone.utc)) < timedelta(days=1),
    ),
    Call(
        "gateway_configuration",
        lambda s, _: s.gateway_configuration(),
        lambda told: told.ByteSize() > 0,
    ),
    Call("queue", lambda s, _: s.queue(), lambda queue: queue.messages_per_second == 40),
    # Contracts.
    Call(
        "contract_details",
        lambda s, _: s.contract_details("AAPL"),
        lambda found: found[0].contract.symbol == "AAPL" and found[0].min_tick == 0.01,
    ),
    Call(
        "matching_symbols",
        lambda s, _: s.matching_symbols("AAP"),
        lambda found: any(one.contract.symbol == "AAPL" for one in found),
    ),
    Call(
        "option_parameters",
        lambda s, f: s.option_parameters("AAPL", f.con_id),
        lambda found: len(found[0].expirations) == 8 and len(found[0].strikes) == 21,
    ),
    Call(
        "market_rule",
        lambda s, f: s.market_rule(f.rule),
        lambda steps: steps[0].low_edge == 0 and steps[0].increment > 0,
    ),
    Call(
        "smart_components",
        lambda s, _: s.smart_components("9c0001"),
        lambda parts: all(part.exchange and part.letter for part in parts) and parts,
    ),
    Call(
        "depth_exchanges",
        lambda s, _: s.depth_exchanges(),
        lambda found: any(one.exchange and one.sec_type for one in found),
    ),
    # Market data, once.
    Call(
        "snapshot",
        lambda s, _: s.snapshot("MSFT"),
        lambda told: 0 < told["bid"] <= told["ask"],
    ),
    Call(
        "calculate_implied_volatility",
        lambda s, f: s.calculate_implied_volatility(f.call, 25.0, 230.0),
        lambda tick: tick.field == "cust_option_computation" and tick.implied_vol > 0,
    ),
    Call(
        "calculate_option_price",
        lambda s, f: s.calculate_option_price(f.call, 0.3, 230.0),
        lambda tick: tick.price > 0 and tick.underlying == 230.0,
    ),
    # The past.
    Call(
        "historical_bars",
        lambda s, _: s.historical_bars("AAPL", "2 D", "1 hour"),
        lambda bars: bars[0].low <= bars[0].open <= bars[0].high and bars.start and bars.end,
    ),
    Call(
        "historical_ticks",
        lambda s, _: s.historical_ticks("AAPL", start=days_ago(3), number_of_ticks=50),
        lambda ticks: len(ticks) >= 50 and all(tick.price > 0 for tick in ticks),
    ),
    Call(
        "historical_schedule",
        lambda s, _: s.historical_schedule("AAPL"),
        lambda told: told.time_zone and told[0].start < told[0].end,
    ),
    Call(
        "head_timestamp",
        lambda s, _: s.head_timestamp("AAPL"),
        lambda when: when < datetime.now(timezone.utc) - timedelta(days=365),
    ),
    Call(
        "histogram",
        lambda s, _: s.histogram("AAPL"),
        lambda rows: all(row.price > 0 and row.size > 0 for row in rows) and rows,
    ),
    # Accounts.
    Call(
        "accounts",
        lambda s, _: s.accounts(),
        lambda told: [one.account for one in told] == [FIRST, SECOND],
    ),
    Call(
        "account_summary",
        lambda s, _: s.account_summary(["NetLiquidation", "BuyingPower"]),
        lambda told: told.number("NetLiquidation", account=SECOND) > 1e6 and len(told) == 4,
    ),
    Call(
        "account_updates",
        lambda s, _: s.account_updates(FIRST),
        lambda told: (
            told.values.number("NetLiquidation") > 0
            and _has(told.portfolio, position=100.0, avg_cost=198.42)
            and told.portfolio[0].market_price > 0
        ),
    ),
    Call(
        "account_updates_multi",
        lambda s, _: s.account_updates_multi(SECOND, ledger_and_nlv=True),
        lambda told: told.number("NetLiquidation") > 0 and told[0].account == SECOND,
    ),
    Call(
        "positions",
        lambda s, _: s.positions(),
        lambda held: len(held) == 8 and _has(held, account=SECOND, position=200.0),
    ),
    Call(
        "positions_multi",
        lambda s, _: s.positions_multi(SECOND),
        lambda held: sorted(one.contract.symbol for one in held) == ["AAPL", "NVDA"],
    ),
    Call("pnl", lambda s, _: s.pnl(FIRST), lambda told: told.daily is not None),
    Call(
        "pnl_single",
        lambda s, f: s.pnl_single(FIRST, f.con_id),
        lambda told: told.position == 100 and told.value > 0,
    ),
    Call(
        "family_codes",
        lambda s, _: s.family_codes(),
        lambda told: [one.account for one in told] == [FIRST, SECOND],
    ),
    Call("user_info", lambda s, _: s.user_info(), lambda told: told == ""),
    Call(
        "soft_dollar_tiers",
        lambda s, _: s.soft_dollar_tiers(),
        lambda told: all(tier.name for tier in told),
    ),
    Call(
        "advisor_configuration",
        lambda s, _: s.advisor_configuration("aliases"),
        lambda xml: SECOND in xml,
    ),
    # Orders.
    Call(
        "open_orders",
        lambda s, _: s.open_orders(),
        lambda told: (
            sorted(one.perm_id % 1000 for one in told) == [101, 102, 103, 104]
            and all(one.status == "Submitted" and one.filled == 0 for one in told)
        ),
    ),
    Call(
        "completed_orders",
        lambda s, _: s.completed_orders(),
        lambda told: sorted(one.status for one in told) == ["Cancelled", "Filled", "Filled"],
    ),
    Call(
        "executions",
        lambda s, _: s.executions(last_n_days=2),
        lambda told: len(told) == 4 and all(one.cost > 0 and one.time for one in told),
    ),
    # News and the calendar.
    Call(
        "news_providers",
        lambda s, _: s.news_providers(),
        lambda told: _has(told, code="BRFG"),
    ),
    Call(
        "historical_news",
        lambda s, f: s.historical_news(f.con_id, ["BRFG", "DJNL"], total_results=5),
        lambda told: len(told) == 5 and told.has_more and told[0].headline.startswith("AAPL "),
    ),
    Call(
        "news_article",
        lambda s, f: s.news_article("BRFG", f"BRFG${f.con_id << 32:x}"),
        lambda told: "AAPL" in told.text and not told.binary,
    ),
    Call(
        "wsh_meta_data",
        lambda s, _: s.wsh_meta_data(),
        lambda told: json.loads(told)["meta_data"]["event_types"],
    ),
    Call(
        "wsh_event_data",
        lambda s, f: s.wsh_event_data(f.con_id),
        lambda told: json.loads(told),
    ),
    # Scanners.
    Call(
        "scanner_parameters",
        lambda s, _: s.scanner_parameters(),
        lambda xml: len(xml) > 100_000 and "TOP_PERC_GAIN" in xml,
    ),
    Call(
        "scan",
        lambda s, _: s.scan("TOP_PERC_GAIN", number_of_rows=7),
        lambda rows: [row.rank for row in rows] == list(range(7)),
    ),
]
