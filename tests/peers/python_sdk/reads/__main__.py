"""Makes every call of the Python SDK that reads, against a real broker and the simulator.

    python reads

For a simulator with the accounts DU0000001 and DU0000002 that is in no hurry to refuse anything.
Each call of `calls` and each stream of `streams` is made with asyncio and then with
`connect_blocking`; `frames` makes DataFrames of what came. A public call of Session that stands in
neither list is a failure. Prints one JSON object, and exits 0 only if everything held; `failures`
says what did not. Every wait has a deadline. It never places orders.
"""

import asyncio
import inspect
import json
import sys

import calls
import frames
import ibouncer
import streams
from report import Report

# Of the session as such, and of no data; and of orders, which trades.py calls.
NO_READS = {
    "open",
    "close",
    "cancel_all_orders",
    "cancel_order",
    "exercise_options",
    "modify_order",
    "order",
    "order_handle",
    "orders",
    "place_order",
    "place_orders",
    "preview_order",
    "watch_executions",
    "watch_orders",
    "who_am_i",
}


def main() -> int:
    report = Report()
    report.check("every call is tested", _untested() == set(), _untested())
    asyncio.run(_with_asyncio(report))
    _without_asyncio(report)
    print(json.dumps(report.result()))
    return 1 if report.failures else 0


def _untested() -> set[str]:
    public = {
        name
        for name, _ in inspect.getmembers(ibouncer.Session, inspect.isfunction)
        if not name.startswith("_")
    }
    return public - NO_READS - calls.names() - streams.names()


async def _with_asyncio(report: Report) -> None:
    async with ibouncer.connect(name="reads-asyncio") as session:
        await session.wait_ready(timeout=30)
        facts = await calls.facts(session)
        for call in calls.CALLS:
            await calls.make(call, session, facts, report)
        for stream in streams.STREAMS:
            await streams.read(stream, session, facts, report)
        await streams.many_lines(session, report)
        await calls.refusals(session, report)
        await calls.second_account(session, report)
        await frames.check(session, report)


def _without_asyncio(report: Report) -> None:
    with ibouncer.connect_blocking(name="reads-blocking") as session:
        facts = calls.facts_blocking(session)
        for call in calls.CALLS:
            calls.make_blocking(call, session, facts, report)
        for stream in streams.STREAMS:
            streams.read_blocking(stream, session, facts, report)


if __name__ == "__main__":
    sys.exit(main())
