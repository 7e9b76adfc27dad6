"""Meets the limits of a Gateway, and what happens to it, with the official Python client.

    python ibapi_limits.py HOST PORT [--deadline SECONDS]

For the simulator with five lines, 60 messages a second of which more are rejected, 500 as its next
order id, and nobody else connected. Says on standard output what is to happen at the Gateway, one
JSON object a line, and waits for a line on standard input that it has. Then prints one JSON object
with what was seen, and exits 0 only if every check held; `failures` lists those that did not. Every
wait has a deadline. It never places orders.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "ibapi_reads"))

from ibapi.scanner import ScannerSubscription
from peer import Peer, Report, contract

LINES = 5
SCANNERS = 10
CONNECTIONS = 32
RATE = 60
NEXT_ID = 500
SYMBOLS = ("AAPL", "MSFT", "NVDA", "AMZN", "META", "TSLA")


class Gateway:
    """Where it is, how long to wait for it, and how to let things happen at it."""

    def __init__(self, host, port, deadline):
        self.host, self.port, self.deadline = host, port, deadline
        self.happened = 0

    def client(self, client_id):
        """A client, and whether it was served."""
        peer = Peer(self.deadline)
        return peer, peer.open(self.host, self.port, client_id)

    def client_with_room(self, client_id):
        """The same, once others that have gone are gone for the Gateway, too.

        The official client gives its socket back when its reader looks up, maybe a second later.
        """
        end = time.monotonic() + self.deadline
        while True:
            peer, served = self.client(client_id)
            if served or time.monotonic() > end:
                return peer, served

    def happen(self, what):
        self.happened += 1
        print(json.dumps({"happen": what, "number": self.happened}), flush=True)
        if sys.stdin.readline().strip() != "done":
            raise SystemExit(f"nobody lets {what} happen")


def notices(peer):
    """Codes of everything that Gateway said about no request, in their order."""
    return [values[2] for values in peer.seen("error", -1)]


def told(peer, code, count=1):
    return peer.wait_until(lambda: notices(peer).count(code) >= count)


def ticks(peer, line):
    return len(peer.seen("tickPrice", line)) + len(peer.seen("tickSize", line))


def goes_on(peer, line):
    """Whether new ticks come."""
    before = ticks(peer, line)
    return peer.wait_until(lambda: ticks(peer, line) > before + 2)


def subscribe(peer, symbol):
    line = peer.next_id()
    peer.reqMktData(line, contract(symbol), "", False, False, [])
    return line


def check_start(peer, report):
    farms = all(told(peer, code) for code in (2104, 2106, 2158))
    report.check("farms_at_the_start", sorted(set(notices(peer))), farms)


def check_lines(peer, report):
    lines = [subscribe(peer, symbol) for symbol in SYMBOLS]
    codes = peer.code(lines[LINES])
    report.check("one_line_too_many_101", codes, codes == [101])
    served = all(goes_on(peer, line) for line in lines[:LINES])
    report.check("the_others_are_served", None, served)
    for line in lines[:LINES]:
        peer.cancelMktData(line)
    again = subscribe(peer, SYMBOLS[LINES])
    report.check("a_line_is_free_again", None, goes_on(peer, again))
    peer.cancelMktData(again)


def check_scanners(peer, report):
    scan = ScannerSubscription()
    scan.instrument, scan.locationCode, scan.scanCode = "STK", "STK.US.MAJOR", "TOP_PERC_GAIN"
    scanners = [peer.next_id() for _ in range(SCANNERS + 1)]
    for scanner in scanners:
        peer.reqScannerSubscription(scanner, scan, [], [])
    codes = peer.code(scanners[SCANNERS])
    report.check("one_scanner_too_many_322", codes, codes == [322])
    served = all(peer.wait("scannerDataEnd", scanner) for scanner in scanners[:SCANNERS])
    report.check("the_other_scanners_are_served", None, served)
    for scanner in scanners[:SCANNERS]:
        peer.cancelScannerSubscription(scanner)


def check_farms(gateway, peer, report):
    line = subscribe(peer, "AAPL")
    report.check("a_line_before_the_farms", None, goes_on(peer, line))
    gateway.happen("farm-down=market")
    report.check("market_farm_down_2103", None, told(peer, 2103))
    gateway.happen("farm-up=market")
    report.check("market_farm_up_2104", None, told(peer, 2104, count=2))
    report.check("its_line_goes_on", None, goes_on(peer, line))
    gateway.happen("farm-down=historical")
    report.check("history_farm_down_2105", None, told(peer, 2105))
    bars = peer.next_id()
    peer.reqHistoricalData(bars, contract("AAPL"), "", "1 D", "1 hour", "TRADES", 1, 1, False, [])
    codes = peer.code(bars)
    report.check("no_history_162", codes, codes == [162])
    gateway.happen("farm-up=historical")
    report.check("history_farm_up_2106", None, told(peer, 2106, count=2))
    bars = peer.next_id()
    peer.reqHistoricalData(bars, contract("AAPL"), "", "1 D", "1 hour", "TRADES", 1, 1, False, [])
    report.check("history_again", None, bool(peer.wait("historicalDataEnd", bars)))
    return line


def check_link(gateway, peer, report, line):
    """IB is lost and comes back: with the data, and without."""
    gateway.happen("1100")
    report.check("link_lost_1100", None, told(peer, 1100))
    gateway.happen("1102")
    report.check("link_back_1102", None, told(peer, 1102))
    report.check("data_goes_on_by_itself", None, goes_on(peer, line))
    gateway.happen("1100")
    report.check("link_lost_again_1100", None, told(peer, 1100, count=2))
    gateway.happen("1101")
    report.check("link_back_without_data_1101", None, told(peer, 1101))
    peer.cancelMktData(line)
    codes = peer.code(line)
    report.check("the_line_is_gone_300", codes, codes == [300])
    report.check("it_can_be_had_again", None, goes_on(peer, subscribe(peer, "AAPL")))


def check_connections(gateway, report):
    """With the one that there is already."""
    others = []
    for number in range(CONNECTIONS - 1):
        other, served = gateway.client(100 + number)
        others.append(other)
        if not served:
            report.check("each_of_32_is_served", number, False)
            break
    surplus, served = gateway.client(200)
    report.check("one_connection_too_many", served, not served and not surplus.isConnected())
    others.pop().disconnect()
    extra, served = gateway.client_with_room(300)
    report.check("there_is_room_again", served, served)
    for other in [extra, *others]:
        other.disconnect()


def flood(peer):
    """Asks for too much at once, and waits for the answer to that."""
    rejected = notices(peer).count(100)
    for _ in range(2 * RATE):
        peer.reqCurrentTime()
    peer.wait_until(lambda: notices(peer).count(100) > rejected or not peer.isConnected())


def check_rate(gateway, report):
    peer, served = gateway.client_with_room(400)
    report.check("served_before_the_flood", served, served)
    # What is too fast within one second counts once.
    floods = 0
    end = time.monotonic() + peer.deadline
    while peer.isConnected() and time.monotonic() < end:
        flood(peer)
        floods += 1
    report.check("too_fast_100", None, 100 in notices(peer))
    report.check("closed_at_the_third", floods, floods >= 3 and not peer.isConnected())


def check_restart(gateway, peer, report):
    first = peer.seen("nextValidId")[0][0]
    gateway.happen("restart=100")
    report.check("closed_by_a_restart", None, bool(peer.wait("connectionClosed")))
    after, served = gateway.client_with_room(7)
    numbers = (first, after.seen("nextValidId")[0][0] if served else None)
    report.check("ids_roll_back", numbers, numbers == (NEXT_ID, NEXT_ID - 100))
    report.check("served_after_the_restart", None, goes_on(after, subscribe(after, "AAPL")))
    after.disconnect()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--deadline", type=float, default=5.0, help="of each wait, in seconds")
    arguments = parser.parse_args()

    report = Report()
    gateway = Gateway(arguments.host, arguments.port, arguments.deadline)
    peer, served = gateway.client(7)
    if report.check("connected", served, served):
        check_start(peer, report)
        check_lines(peer, report)
        check_scanners(peer, report)
        line = check_farms(gateway, peer, report)
        check_link(gateway, peer, report, line)
        check_connections(gateway, report)
        check_rate(gateway, report)
        check_restart(gateway, peer, report)
    result = {"ok": not report.failures, "failures": report.failures, **report.result}
    print(json.dumps(result, default=str))
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
