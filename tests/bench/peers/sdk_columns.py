"""Receives stamped ticks with this project's SDK, by columns.

    sdk_columns.py TARGET SECONDS SYMBOL…

As `sdk_ticks.py`, without an object for each tick.
"""

import asyncio
import os
import sys

import ibouncer

from seen import Seen


async def main():
    async with ibouncer.connect(target=sys.argv[1]) as session:
        seen = Seen(float(sys.argv[2]))
        quotes = session.quotes(*sys.argv[3:])
        while (batch := await quotes.next_columns()) is not None:
            for ticks in batch:
                if type(ticks) is ibouncer.TickColumns:
                    seen.take(zip(ticks.subscriptions, ticks.values, ticks.sizes))
            if seen.over:
                break
    seen.tell()
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
