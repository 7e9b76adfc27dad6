"""Trades through a broker with the Python SDK, with and without asyncio.

    python trades.py NAME

As the client NAME of the configuration: a market order to its end, a limit order that is changed and
cancelled, a bracket, a preview, the same call twice, refusals with their delivery, events and
executions by number. Prints one JSON object: ok, failures, and how many orders were placed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import ibouncer
import ibouncer.blocking

WAIT = 30.0

failures: list[str] = []


def check(what: str, good: object) -> None:
    """Keeps what is not as it should be."""
    if not good:
        failures.append(what)


async def main() -> int:
    placed = 0
    async with ibouncer.connect(name=sys.argv[1]) as session:
        await session.wait_ready(timeout=WAIT)
        me = await session.who_am_i()
        check(f"may trade: {me}", me.may_trade)
        events = session.watch_orders()
        executions = session.watch_executions()
        fills: list[Any] = []
        watching = asyncio.create_task(collect(executions, fills))

        market = await session.place_order("AAPL", ibouncer.market_order("BUY", 10))
        placed += 1
        outcome = await market.outcome(timeout=WAIT)
        check(f"a market order fills: {outcome}", isinstance(outcome, ibouncer.Filled))

        limit = ibouncer.limit_order("BUY", 10, 1.0)
        name = ibouncer.new_client_order_id()
        first = await session.place_order("AAPL", limit, client_order_id=name)
        again = await session.place_order("AAPL", limit, client_order_id=name)
        placed += 1
        same = first.order.order_id == again.order.order_id
        check("the same call is the same order", again.already_placed and same)
        await first.acknowledged(timeout=WAIT)
        changed = await first.modify(ibouncer.limit_order("BUY", 20, 1.5))
        check(f"a change leaves: {changed}", changed.order_id == first.order.order_id)
        await until(lambda: quantity(session, name, 20))
        await first.cancel()
        outcome = await first.resolved(timeout=WAIT)
        check(f"a cancel ends it: {outcome}", isinstance(outcome, ibouncer.Cancelled))

        bracket = ibouncer.bracket(
            "AAPL", ibouncer.market_order("BUY", 10), target_price=100_000.0, stop_price=1.0
        )
        entry, target, stop = await session.place_orders(bracket)
        placed += 3
        outcome = await entry.outcome(timeout=WAIT)
        check(f"the entry fills: {outcome}", isinstance(outcome, ibouncer.Filled))
        for one in (target, stop):
            await one.acknowledged(timeout=WAIT)
            await one.cancel()
            outcome = await one.resolved(timeout=WAIT)
            check(f"an exit is cancelled: {outcome}", isinstance(outcome, ibouncer.Cancelled))

        preview = await session.preview_order("AAPL", ibouncer.market_order("BUY", 10))
        check(f"a preview has a margin: {preview}", preview)

        try:
            await session.place_order(
                "AAPL", ibouncer.limit_order("BUY", 99, 1.0), client_order_id=name
            )
            failures.append("another order under a name that is taken was not refused")
        except ibouncer.IBouncerError as error:
            check(f"taken: {error}", error.code == "ORDER_EXISTS" and error.delivery == "not-sent")

        await until(lambda: settled(fills, 2))
        check("each execution comes once", len({one.execution.exec_id for one in fills}) == len(fills))
        watching.cancel()
        seen = []
        async for event in events:
            seen.append(event.sequence)
            if event.sequence >= stop.order.sequence:
                break
        check("events count up", seen == sorted(set(seen)))

    with ibouncer.blocking.connect(name=sys.argv[1]) as session:
        order = session.place_order("AAPL", ibouncer.market_order("SELL", 20))
        placed += 1
        outcome = order.outcome(timeout=WAIT)
        check(f"without asyncio, too: {outcome}", isinstance(outcome, ibouncer.Filled))

    print(json.dumps({"ok": not failures, "failures": failures, "placed": placed}))
    return 1 if failures else 0


async def collect(executions: Any, fills: list[Any]) -> None:
    async for event in executions:
        fills.append(event)


async def settled(fills: list[Any], count: int) -> bool:
    return len(fills) >= count


async def quantity(session: Any, name: str, wanted: int) -> bool:
    order = await session.order(name)
    return float(order.order.total_quantity) == wanted


async def until(fits: Any) -> None:
    async with asyncio.timeout(WAIT):
        while not await fits():
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
