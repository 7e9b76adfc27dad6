"""Drives a Gateway with the official Python client and checks what arrives.

Used against the simulator directly, to prove that it speaks as Gateway does, and through the
broker, to prove that nothing is lost on the way. It never places orders.

    python ibapi_direct.py HOST PORT [--client-id N] [--deadline SECONDS]

Prints one JSON object with what was seen, and exits 0 only if every check held; `failures` lists
those that did not. Every wait has a deadline.
"""

import argparse
import json
import sys
import threading
import time

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.wrapper import EWrapper

BID, ASK, LAST, VOLUME, LAST_TIME, HALTED = 1, 2, 4, 8, 45, 49
FARM_NOTICES = {2104, 2106, 2158}

AAPL, UNKNOWN, FORBIDDEN, SNAPSHOT, DELAYED = 1001, 1002, 1003, 1004, 1005


class Peer(EWrapper, EClient):
    """One connection of the official client, and everything that it was called back with."""

    def __init__(self):
        EClient.__init__(self, wrapper=self)
        self.changed = threading.Condition()
        self.calls = []

    def open(self, host, port, client_id, deadline):
        """Connects; `connect` has no deadline of its own, so it runs on a thread that has one."""

        def talk():
            self.connect(host, port, client_id)
            self.record("connected", self.isConnected())
            if self.isConnected():
                self.run()
            self.record("ended")

        threading.Thread(target=talk, daemon=True).start()
        return self.wait("connected", deadline=deadline)

    def record(self, name, *values):
        with self.changed:
            self.calls.append((name, values, time.monotonic()))
            self.changed.notify_all()

    def seen(self, name, *values):
        """All calls of this name whose first values are these."""
        with self.changed:
            return [
                call[1]
                for call in self.calls
                if call[0] == name and call[1][: len(values)] == values
            ]

    def wait(self, name, *values, deadline, count=1):
        """The calls, once there are so many; an empty list at the deadline."""
        end = time.monotonic() + deadline
        with self.changed:
            while len(found := self.seen(name, *values)) < count:
                left = end - time.monotonic()
                if left <= 0:
                    return []
                self.changed.wait(left)
            return found

    def nextValidId(self, orderId):
        self.record("nextValidId", orderId)

    def managedAccounts(self, accountsList):
        self.record("managedAccounts", accountsList)

    def currentTime(self, time):
        self.record("currentTime", time)

    def currentTimeInMillis(self, timeInMillis):
        self.record("currentTimeInMillis", timeInMillis)

    def error(self, reqId, errorTime, errorCode, errorString, advancedOrderRejectJson=""):
        self.record("error", reqId, errorCode, errorString)

    def connectionClosed(self):
        self.record("connectionClosed")

    def marketDataType(self, reqId, marketDataType):
        self.record("marketDataType", reqId, marketDataType)

    def tickReqParams(self, tickerId, minTick, bboExchange, snapshotPermissions):
        self.record("tickReqParams", tickerId, float(minTick), bboExchange, snapshotPermissions)

    def tickPrice(self, reqId, tickType, price, attrib):
        self.record("tickPrice", reqId, int(tickType), price)

    def tickSize(self, reqId, tickType, size):
        self.record("tickSize", reqId, int(tickType), float(size))

    def tickString(self, reqId, tickType, value):
        self.record("tickString", reqId, int(tickType), value)

    def tickGeneric(self, reqId, tickType, value):
        self.record("tickGeneric", reqId, int(tickType), value)

    def tickSnapshotEnd(self, reqId):
        self.record("tickSnapshotEnd", reqId)


class Report:
    """What was checked, and how it came out."""

    def __init__(self):
        self.result = {}
        self.failures = []

    def check(self, name, value, held):
        self.result[name] = value
        if not held:
            self.failures.append(name)
        return held


def stock(symbol):
    contract = Contract()
    contract.symbol = symbol
    contract.secType = "STK"
    contract.exchange = "SMART"
    contract.currency = "USD"
    return contract


def check_start(peer, report, deadline):
    """Everything that follows START_API unasked, and the clock."""
    version = peer.serverVersion()
    report.check("server_version", version, version is not None and version >= 213)
    ids = peer.wait("nextValidId", deadline=deadline)
    report.check("next_valid_id", ids and ids[0][0], bool(ids) and ids[0][0] >= 1)
    accounts = peer.wait("managedAccounts", deadline=deadline)
    report.check("accounts", accounts and accounts[0][0], bool(accounts) and accounts[0][0] != "")
    end = time.monotonic() + deadline
    codes = set()
    for code in sorted(FARM_NOTICES):
        if peer.wait("error", -1, code, deadline=max(0.0, end - time.monotonic())):
            codes.add(code)
    report.check("notices", sorted(codes), codes == FARM_NOTICES)
    peer.reqCurrentTime()
    times = peer.wait("currentTime", deadline=deadline)
    report.check("current_time", times and times[0][0], bool(times) and times[0][0] > 1_500_000_000)
    peer.reqCurrentTimeInMillis()
    millis = peer.wait("currentTimeInMillis", deadline=deadline)
    held = bool(millis) and millis[0][0] > 1_500_000_000_000
    report.check("current_time_in_millis", millis and millis[0][0], held)
    peer.reqIds(1)
    report.check("ids_on_request", None, bool(peer.wait("nextValidId", deadline=deadline, count=2)))


def check_stream(peer, report, deadline):
    """A live line: its image, its ticks, and silence once it is cancelled."""
    peer.reqMktData(AAPL, stock("AAPL"), "233", False, False, [])
    parameters = peer.wait("tickReqParams", AAPL, deadline=deadline)
    report.check("tick_req_params", parameters[:1], bool(parameters) and parameters[0][1] == 0.01)
    kind = peer.wait("marketDataType", AAPL, deadline=deadline)
    report.check("market_data_type", kind[:1], bool(kind) and kind[0][1] == 1)
    for name, tick in (("bid", BID), ("ask", ASK), ("last", LAST)):
        ticks = peer.wait("tickPrice", AAPL, tick, deadline=deadline)
        report.check(name, ticks[:1], bool(ticks) and ticks[0][2] > 0)
    sizes = peer.wait("tickSize", AAPL, VOLUME, deadline=deadline)
    report.check("volume", sizes[:1], bool(sizes) and sizes[0][2] > 0)
    strings = peer.wait("tickString", AAPL, LAST_TIME, deadline=deadline)
    report.check("last_time", strings[:1], bool(strings) and strings[0][2].isdigit())
    halted = peer.wait("tickGeneric", AAPL, HALTED, deadline=deadline)
    report.check("halted", halted[:1], bool(halted))
    count = len(peer.seen("tickSize", AAPL))
    moving = peer.wait("tickSize", AAPL, deadline=deadline, count=count + 3)
    report.check("stream", len(moving), bool(moving))
    peer.reqMktData(AAPL, stock("MSFT"), "", False, False, [])
    duplicate = peer.wait("error", AAPL, 102, deadline=deadline)
    report.check("duplicate_id_102", duplicate[:1], bool(duplicate))
    check_cancel(peer, report, deadline)


def check_cancel(peer, report, deadline):
    """The answer to a later request proves that the cancel was taken; then nothing may come."""
    peer.cancelMktData(AAPL)
    asked = len(peer.seen("currentTime"))
    peer.reqCurrentTime()
    answered = peer.wait("currentTime", deadline=deadline, count=asked + 1)
    names = ("tickPrice", "tickSize", "tickString")
    before = sum(len(peer.seen(name, AAPL)) for name in names)
    # A line makes several ticks a second: absence can only be shown by waiting for some of them.
    late = peer.wait("tickSize", AAPL, deadline=1.5, count=len(peer.seen("tickSize", AAPL)) + 1)
    after = sum(len(peer.seen(name, AAPL)) for name in names)
    held = bool(answered) and not late and before == after
    report.check("silent_after_cancel", after - before, held)
    peer.cancelMktData(AAPL)
    again = peer.wait("error", AAPL, 300, deadline=deadline)
    report.check("second_cancel_300", again[:1], bool(again))


def check_refusals(peer, report, deadline):
    """Errors of requests, and delayed data where live data is refused."""
    peer.reqMktData(UNKNOWN, stock("NOSUCHSYMBOL"), "", False, False, [])
    unknown = peer.wait("error", UNKNOWN, 200, deadline=deadline)
    report.check("unknown_symbol_200", unknown[:1], bool(unknown))
    peer.reqMktData(FORBIDDEN, stock("NOPERM"), "", False, False, [])
    forbidden = peer.wait("error", FORBIDDEN, 354, deadline=deadline)
    report.check("no_permission_354", forbidden[:1], bool(forbidden))
    peer.reqMarketDataType(3)
    peer.reqMktData(DELAYED, stock("NOPERM"), "", False, False, [])
    notice = peer.wait("error", DELAYED, 10167, deadline=deadline)
    report.check("delayed_notice_10167", notice[:1], bool(notice))
    delayed = peer.wait("tickPrice", DELAYED, 66, deadline=deadline)
    report.check("delayed_bid_66", delayed[:1], bool(delayed))
    peer.cancelMktData(DELAYED)
    peer.reqMarketDataType(1)


def check_snapshot(peer, report, deadline):
    """A snapshot has ticks and an end."""
    peer.reqMktData(SNAPSHOT, stock("MSFT"), "", True, False, [])
    end = peer.wait("tickSnapshotEnd", SNAPSHOT, deadline=deadline + 15)
    ticks = len(peer.seen("tickPrice", SNAPSHOT))
    report.check("snapshot_ticks", ticks, bool(end) and ticks >= 3)


def check_second_client(arguments, report):
    """The same client id again is refused and cut off; the first connection is not harmed."""
    second = Peer()
    second.open(arguments.host, arguments.port, arguments.client_id, arguments.deadline)
    refused = second.wait("error", -1, 326, deadline=arguments.deadline)
    report.check("client_id_in_use_326", refused[:1], bool(refused))
    closed = second.wait("connectionClosed", deadline=arguments.deadline)
    report.check("second_client_cut_off", bool(closed), bool(closed))
    second.disconnect()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--client-id", type=int, default=7)
    parser.add_argument("--deadline", type=float, default=5.0, help="of each wait, in seconds")
    arguments = parser.parse_args()

    report = Report()
    peer = Peer()
    opened = peer.open(arguments.host, arguments.port, arguments.client_id, arguments.deadline)
    if report.check("connected", opened, bool(opened) and opened[0][0]):
        check_start(peer, report, arguments.deadline)
        check_stream(peer, report, arguments.deadline)
        check_refusals(peer, report, arguments.deadline)
        check_snapshot(peer, report, arguments.deadline)
        check_second_client(arguments, report)
        survived = peer.isConnected() and not peer.seen("connectionClosed")
        report.check("first_client_unharmed", survived, survived)
        peer.disconnect()
        ended = peer.wait("ended", deadline=arguments.deadline)
        report.check("ended", bool(ended), bool(ended))
    print(json.dumps({"ok": not report.failures, "failures": report.failures, **report.result}))
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
