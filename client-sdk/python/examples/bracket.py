"""A bracket and what becomes of it: python bracket.py BUY 10 AAPL --target 210 --stop 180

Without --limit the entry is at the market. It waits until the entry has filled and one of the exits
too; Ctrl-C leaves the orders as they are, and the same --name takes them up again.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

import ibouncer


def main() -> int:
    parser = argparse.ArgumentParser(description="Places an entry with a target and a stop.")
    parser.add_argument("action", choices=["BUY", "SELL"])
    parser.add_argument("quantity")
    parser.add_argument("symbol")
    parser.add_argument("--limit", type=float, metavar="PRICE", help="of the entry")
    parser.add_argument("--target", type=float, metavar="PRICE", required=True)
    parser.add_argument("--stop", type=float, metavar="PRICE", required=True)
    parser.add_argument("--name", default=ibouncer.new_client_order_id())
    arguments = parser.parse_args()
    try:
        return asyncio.run(run(arguments))
    except KeyboardInterrupt:
        print(f"The orders go on. Their name: {arguments.name}", file=sys.stderr)
        return 130
    except ibouncer.IBouncerError as error:
        print(f"bracket.py: {error}", file=sys.stderr)
        if error.delivery == "maybe-sent":
            print(f"Run it again with --name {arguments.name}", file=sys.stderr)
        return 1


async def run(arguments: argparse.Namespace) -> int:
    async with ibouncer.connect() as session:
        await session.wait_ready(timeout=60)
        entry, target, stop = await session.place_orders(orders(arguments), retries=5)
        print(f"placed {entry.client_order_id}", flush=True)
        showing = asyncio.create_task(show(session, arguments.name))
        try:
            filled = await end_of(entry)
            if filled:
                # Of the exits one fills, and Gateway cancels the other.
                await asyncio.gather(end_of(target), end_of(stop))
        finally:
            showing.cancel()
        return 0 if filled else 1


def orders(arguments: argparse.Namespace) -> list[ibouncer.NewOrder]:
    """The same for the same arguments, so that they are placed once."""
    action, quantity = arguments.action, arguments.quantity
    if arguments.limit is None:
        entry = ibouncer.market_order(action, quantity)
    else:
        entry = ibouncer.limit_order(action, quantity, arguments.limit)
    return ibouncer.bracket(
        arguments.symbol,
        entry,
        target_price=arguments.target,
        stop_price=arguments.stop,
        name=arguments.name,
        tif="GTC",
    )


async def show(session: ibouncer.Session, name: str) -> None:
    """Every event of the three orders."""
    async for event in session.watch_orders():
        order = event.order
        if name in (order.client_order_id, order.parent_client_order_id):
            print(f"  {event.kind}: {order}", flush=True)


async def end_of(handle: ibouncer.OrderHandle) -> bool:
    """Whether it filled."""
    outcome = await handle.outcome()
    if isinstance(outcome, ibouncer.Unknown):
        # It may be working or filled: placing it anew could double it.
        print(f"not known: {outcome.order}. Waiting for evidence.", file=sys.stderr)
        outcome = await handle.resolved()
    match outcome:
        case ibouncer.Filled(order):
            print(f"filled: {order} at {order.avg_fill_price}", flush=True)
            return True
        case ibouncer.Cancelled(order) | ibouncer.Rejected(order) | ibouncer.NotSent(order):
            print(f"not filled: {order}", flush=True)
            return False


if __name__ == "__main__":
    sys.exit(main())
