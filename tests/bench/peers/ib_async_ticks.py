"""Receives stamped ticks with ib_async, directly.

    ib_async_ticks.py HOST:PORT SECONDS SYMBOL…

`pendingTickersEvent` hands over the tickers that a piece of data has changed, with all ticks in it.
"""

import asyncio
import os
import sys

from ib_async import IB, Stock
from ib_async.ib import StartupFetchNONE

from seen import Seen


async def main():
    host, port = sys.argv[1].rsplit(":", 1)
    ib = IB()
    await ib.connectAsync(host, int(port), clientId=7, fetchFields=StartupFetchNONE)
    seen = Seen(float(sys.argv[2]))

    def on_tickers(tickers):
        seen.take(
            (ticker.contract.symbol, tick.price, tick.size)
            for ticker in tickers
            for tick in ticker.ticks
        )
        if seen.over:
            seen.tell()
            # What still waits in its buffer is of no interest.
            os._exit(0)

    ib.pendingTickersEvent += on_tickers
    # A contract must have an id to be a key; which one does not matter here.
    for number, symbol in enumerate(sys.argv[3:], 1):
        ib.reqMktData(Stock(symbol, "SMART", "USD", conId=number))
    await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(main())
