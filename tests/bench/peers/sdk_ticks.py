"""Receives stamped ticks with this project's SDK.

    sdk_ticks.py TARGET SECONDS SYMBOL…

Batch by batch, and of every tick line, price and size are read.
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
        async for batch in quotes.batches():
            ticks = [event for event in batch if type(event) is ibouncer.Tick]
            seen.take((tick.subscription, tick.value, tick.size) for tick in ticks)
            if seen.over:
                break
    seen.tell()
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
