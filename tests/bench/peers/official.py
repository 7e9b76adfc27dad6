"""Receives stamped ticks with the official Python client, directly.

    official.py HOST:PORT SECONDS SYMBOL…

As its own examples do: `run()` on the main thread calls `tickPrice` and `tickSize`.
"""

import os
import sys
import threading

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.wrapper import EWrapper

from seen import WARM_UP, Seen

LAST_SIZE = 5


class Peer(EWrapper, EClient):
    """Every price is followed by the call with its size."""

    def __init__(self, seconds, symbols):
        EClient.__init__(self, wrapper=self)
        self.seconds = seconds
        self.symbols = symbols
        self.seen = None
        self.price = 0.0

    def nextValidId(self, orderId):
        for number, symbol in enumerate(self.symbols):
            contract = Contract()
            contract.symbol = symbol
            contract.secType = "STK"
            contract.exchange = "SMART"
            contract.currency = "USD"
            self.reqMktData(number, contract, "", False, False, [])
        self.seen = Seen(self.seconds)
        # Far behind, it would take long to come to a tick that tells it that the time is over.
        limit = threading.Timer(WARM_UP + self.seconds + 1, self.end)
        limit.daemon = True
        limit.start()

    def end(self):
        self.seen.tell()
        # What still waits in its queue is of no interest.
        os._exit(0)

    def tickPrice(self, reqId, tickType, price, attrib):
        self.price = price

    def tickSize(self, reqId, tickType, size):
        if tickType == LAST_SIZE:
            self.seen.take(((reqId, self.price, int(size)),))
            if self.seen.over:
                self.end()


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    peer = Peer(float(sys.argv[2]), sys.argv[3:])
    peer.connect(host, int(port), 7)
    peer.run()


if __name__ == "__main__":
    main()
