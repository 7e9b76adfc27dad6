"""How fast batches of ticks become objects, without a broker: python tools/bench_ticks.py

Decodes the same batches again and again, as the stream does between the socket and its reader,
and prints nanoseconds a tick. A figure to compare two versions with on one machine, no more.
"""

from __future__ import annotations

import argparse
import time

from ibouncer._pb.ibouncer.v1 import market_data_pb2
from ibouncer._pb.tws.v1 import market_data_pb2 as tws_pb2
from ibouncer.bulk import decode_bytes
from ibouncer.continuity import Continuity
from ibouncer.contracts import stock
from ibouncer.ticks import decode

LINES = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, default=1000, help="ticks in a batch")
    parser.add_argument("--rounds", type=int, default=200, help="batches in a run")
    arguments = parser.parse_args()
    wire = _batch(arguments.batch)
    contracts = {number: stock(f"S{number}") for number in range(1, LINES + 1)}
    response = market_data_pb2.StreamMarketDataResponse
    ticks = arguments.batch * arguments.rounds
    best = dict.fromkeys(("as a whole", "one by one", "pass on"), float("inf"))
    continuity = Continuity(lambda _: None)
    for _ in range(5):
        took = dict.fromkeys(best, 0.0)
        for _ in range(arguments.rounds):
            begun = time.perf_counter()
            decoded = decode_bytes(wire, contracts)
            made = time.perf_counter()
            continuity.pass_on(decoded)
            passed = time.perf_counter()
            decode(response.FromString(wire).events, contracts)
            took["one by one"] += time.perf_counter() - passed
            took["as a whole"] += made - begun
            took["pass on"] += passed - made
        best = {name: min(best[name], seconds) for name, seconds in took.items()}
    for name, seconds in best.items():
        print(f"{name:10}{seconds / ticks * 1e9:8.0f} ns a tick")


def _batch(size: int) -> bytes:
    events = []
    for number in range(size):
        line, sequence = number % LINES + 1, number // LINES + 1
        event = market_data_pb2.MarketDataEvent(subscription_id=line, sequence=sequence)
        if number % 3:
            event.tick_price.CopyFrom(tws_pb2.TickPrice(tick_type=1, price=189.5, size="200"))
        else:
            event.tick_size.CopyFrom(tws_pb2.TickSize(tick_type=0, size="200"))
        events.append(event)
    return market_data_pb2.StreamMarketDataResponse(events=events).SerializeToString()


if __name__ == "__main__":
    main()
