"""Trades at a Gateway with the official Python client, and checks what it is told and in which order.

    python ibapi_orders.py HOST PORT [--deadline SECONDS]

For the simulator, whose prices stand still while nobody has a line: AAPL is 231.39 to 231.41. As its
first client, so that the orders with which it starts are this client's. Prints one JSON object with
what was seen, and exits 0 only if every check held; `failures` lists those that did not. Every wait
has a deadline.
"""

import argparse
import json
import sys
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "ibapi_reads"))

from ibapi.execution import ExecutionFilter
from ibapi.order import Order
from ibapi.order_cancel import OrderCancel
from peer import Peer, Report, contract

BID, ASK = 231.39, 231.41
NEW = ["open PreSubmitted", "status PreSubmitted 0"]
WORKS = ["open Submitted", "status Submitted 0"]
CANCELLED = ["status PendingCancel 0", "status Cancelled 0", "error 202"]


def order(action, quantity, kind, **more):
    made = Order()
    made.action = action
    made.totalQuantity = Decimal(quantity)
    made.orderType = kind
    made.tif = "DAY"
    made.transmit = True
    for name, value in more.items():
        setattr(made, name, value)
    return made


def filled(quantity, price):
    """What follows when all of an order is filled at once."""
    status = f"status Filled {quantity}"
    return [f"exec {quantity}@{price}", "open Filled", status, "open Filled", "fee"]


class Trader:
    """A peer, and the stories of its orders."""

    def __init__(self, peer):
        self.peer = peer
        self.next_id = peer.wait("nextValidId")[0][0]
        self.told = {}

    def place(self, made, symbol="AAPL", order_id=None):
        if order_id is None:
            order_id = self.next_id
            self.next_id += 1
        self.peer.placeOrder(order_id, contract(symbol), made)
        return order_id

    def cancel(self, order_id):
        self.peer.cancelOrder(order_id, OrderCancel())

    def all_lines(self, order_id):
        """Everything about an order, in the order in which it came."""
        lines, executions = [], set()
        with self.peer.changed:
            calls = list(self.peer.calls)
        for name, values in calls:
            if name == "openOrder" and values[0] == order_id:
                lines.append(f"open {values[3].status}")
            elif name == "orderStatus" and values[0] == order_id:
                lines.append(f"status {values[1]} {values[2]}")
            elif name == "execDetails" and values[0] == -1 and values[2].orderId == order_id:
                executions.add(values[2].execId)
                lines.append(f"exec {values[2].shares}@{values[2].price}")
            elif name == "commissionAndFeesReport" and values[0].execId in executions:
                lines.append("fee")
            elif name == "error" and values[0] == order_id:
                lines.append(f"error {values[2]}")
        return lines

    def story(self, order_id, count):
        """So many new lines about an order, or what there is at the deadline."""
        start = self.told.get(order_id, 0)
        self.peer.wait_until(lambda: len(self.all_lines(order_id)) >= start + count)
        lines = self.all_lines(order_id)[start:]
        self.told[order_id] = start + len(lines)
        return lines

    def settle(self):
        """What was asked before this is answered after it."""
        asked = len(self.peer.seen("currentTime"))
        self.peer.reqCurrentTime()
        self.peer.wait("currentTime", count=asked + 1)


class Stories:
    """Checks stories one by one."""

    def __init__(self, report):
        self.report = report

    def __call__(self, name, trader, order_id, expected):
        seen = trader.story(order_id, len(expected))
        return self.report.check(name, seen, seen == expected)


def check_single_orders(trader, told, report):
    market = trader.place(order("BUY", 100, "MKT", orderRef="first"))
    told("market", trader, market, NEW + filled(100, ASK))
    opened = next(v for v in trader.peer.seen("openOrder", market))
    held = (
        opened[1].conId > 0
        and opened[1].symbol == "AAPL"
        and (opened[2].action, opened[2].orderType, opened[2].orderRef) == ("BUY", "MKT", "first")
        and opened[2].totalQuantity == 100
        and opened[2].account == "DU0000001"
        and opened[2].permId > 0
    )
    report.check("open_order", str(opened[2]), held)
    status = trader.peer.seen("orderStatus", market)[-1]
    held = status[3] == 0 and status[4] == ASK and status[5] == opened[2].permId
    report.check("order_status", status, held)

    large = trader.place(order("SELL", 300, "MKT"))
    part = ["open Submitted", "status Submitted 100", "open Submitted", "fee"]
    parts = [f"exec 100@{BID}", *part, f"exec 100@{BID}", *part[:1], "status Submitted 200"]
    parts += [
        *part[2:],
        f"exec 100@{BID}",
        "open Filled",
        "status Filled 300",
        "open Filled",
        "fee",
    ]
    told("parts", trader, large, NEW + parts)

    limit = trader.place(order("BUY", 10, "LMT", lmtPrice=200.0))
    told("limit", trader, limit, NEW + WORKS)
    trader.place(order("BUY", 20, "LMT", lmtPrice=201.0), order_id=limit)
    told("modify", trader, limit, WORKS)
    changed = trader.peer.seen("openOrder", limit)[-1][2]
    report.check("modified", str(changed), (changed.totalQuantity, changed.lmtPrice) == (20, 201.0))
    trader.place(order("BUY", 20, "LMT", lmtPrice=232.0), order_id=limit)
    told("modify_fills", trader, limit, WORKS + filled(20, ASK))
    trader.place(order("BUY", 20, "LMT", lmtPrice=232.0), order_id=limit)
    told("modify_filled_104", trader, limit, ["error 104"])

    stop = trader.place(order("SELL", 10, "STP", auxPrice=200.0))
    told("stop", trader, stop, NEW)
    trader.cancel(stop)
    told("cancel", trader, stop, CANCELLED)
    trader.cancel(stop)
    told("cancel_again_10148", trader, stop, ["error 10148"])
    trader.cancel(987654)
    told("cancel_unknown_10147", trader, 987654, ["error 10147"])


def check_refusals(trader, told):
    for name, symbol, made, expected in [
        ("unknown_200", "NOSUCHSYMBOL", order("BUY", 1, "MKT"), ["error 200"]),
        ("increment_110", "AAPL", order("BUY", 1, "LMT", lmtPrice=200.001), ["error 110"]),
        ("size_434", "AAPL", order("BUY", 0, "MKT"), ["error 434"]),
        ("type_387", "AAPL", order("BUY", 1, "NOSUCH"), ["error 387"]),
        ("parent_10006", "AAPL", order("BUY", 1, "MKT", parentId=987654), ["error 10006"]),
        (
            "money_201",
            "AAPL",
            order("BUY", 1000000, "MKT"),
            [*NEW, "status Inactive 0", "error 201"],
        ),
    ]:
        told(name, trader, trader.place(made, symbol), expected)
    first = trader.peer.wait("nextValidId")[0][0]
    trader.place(order("BUY", 1, "MKT"), order_id=first - 50)
    told("duplicate_103", trader, first - 50, ["error 103"])
    limit = trader.place(order("BUY", 1, "LMT", lmtPrice=200.0))
    told("before_105", trader, limit, NEW + WORKS)
    trader.place(order("SELL", 1, "LMT", lmtPrice=300.0), order_id=limit)
    told("other_side_105", trader, limit, ["error 105"])
    trader.cancel(limit)
    told("cancel_after_105", trader, limit, CANCELLED)


def check_groups(trader, told, report, other):
    parent = trader.place(order("BUY", 50, "MKT", transmit=False))
    profit = trader.place(order("SELL", 50, "LMT", lmtPrice=260.0, parentId=parent, transmit=False))
    trader.settle()
    report.check("kept", None, not trader.all_lines(parent) and not trader.all_lines(profit))
    loss = trader.place(order("SELL", 50, "STP", auxPrice=200.0, parentId=parent))
    told("parent", trader, parent, NEW + filled(50, ASK))
    told("profit", trader, profit, NEW + WORKS)
    told("loss", trader, loss, NEW)
    ids = [v[6] for v in trader.peer.seen("orderStatus", loss)]
    report.check("parent_id", ids, ids == [parent])
    trader.place(order("SELL", 50, "LMT", lmtPrice=231.0, parentId=parent), order_id=profit)
    told("profit_filled", trader, profit, WORKS + filled(50, BID))
    told("loss_ended", trader, loss, ["status Cancelled 0", "error 202"])

    def member(**more):
        return order("BUY", 10, "LMT", ocaGroup="either", ocaType=1, **more)

    one = trader.place(member(lmtPrice=200.0))
    two = other.place(member(lmtPrice=201.0))
    told("member_one", trader, one, NEW + WORKS)
    told("member_two", other, two, NEW + WORKS)
    other.cancel(987654)
    told("another's_10147", other, 987654, ["error 10147"])
    trader.place(member(lmtPrice=232.0), order_id=one)
    told("member_filled", trader, one, WORKS + filled(10, ASK))
    told("other_ended", other, two, ["status Cancelled 0", "error 202"])


def check_what_if(trader, report):
    question = trader.place(order("BUY", 100, "MKT", whatIf=True))
    answers = trader.peer.wait("openOrder", question)
    state = answers[0][3] if answers else None
    held = len(answers) == 1 and float(state.initMarginChange) == 5785.25
    held = held and state.commissionAndFees > 0 and float(state.equityWithLoanBefore) > 1e5
    report.check("what_if", str(state), held)
    trader.settle()
    report.check("what_if_status", None, not trader.peer.seen("orderStatus", question))


def check_lists(trader, report, other):
    mine = trader.place(order("BUY", 1, "LMT", lmtPrice=199.0))
    theirs = other.place(order("BUY", 1, "LMT", lmtPrice=198.0))
    trader.story(mine, 4)
    other.story(theirs, 4)
    peer = trader.peer

    def listed(ask, count):
        before = len(peer.seen("openOrder"))
        ask()
        peer.wait("openOrderEnd", count=count)
        return [(v[2].clientId, v[0]) for v in peer.seen("openOrder")[before:]]

    own = listed(peer.reqOpenOrders, 1)
    report.check("open_orders", own, own == [(7, 101), (7, 102), (7, mine)])
    everyone = listed(peer.reqAllOpenOrders, 2)
    expected = [(7, 101), (7, 102), (55, 3), (0, 0), (7, mine), (8, theirs)]
    report.check("all_open_orders", everyone, everyone == expected)

    peer.reqExecutions(5001, ExecutionFilter())
    ended = peer.wait("execDetailsEnd", 5001)
    executions = [v[2] for v in peer.seen("execDetails", 5001)]
    ours = [e for e in executions if e.clientId == 7 and e.orderId > 102]
    fees = {v[0].execId: v[0] for v in peer.seen("commissionAndFeesReport")}
    held = bool(ended) and len(ours) == 8
    held = held and all(e.execId in fees and fees[e.execId].commissionAndFees > 0 for e in ours)
    report.check("executions", [(e.orderId, e.side, str(e.shares)) for e in ours], held)
    parts = [e for e in ours if e.side == "SLD" and e.shares == 100]
    sums = [(str(e.cumQty), e.avgPrice) for e in parts]
    report.check("sums", sums, sums == [("100", BID), ("200", BID), ("300", BID)])
    earned = [fees[e.execId].realizedPNL for e in parts]
    report.check("realized", earned, earned[0] > 1000)

    peer.reqCompletedOrders(True)
    ended = peer.wait("completedOrdersEnd")
    done = peer.seen("completedOrder")
    ours = [v for v in done if v[1].permId > 3000000000]
    states = {v[2].status for v in ours}
    held = bool(ended) and states == {"Filled", "Cancelled", "Inactive"}
    first = next((v for v in ours if v[1].orderRef == "first"), None)
    held = held and first is not None and first[1].filledQuantity == 100
    report.check("completed", sorted(states), held)

    trader.story(mine, 0)  # The lists told of it again.
    peer.reqGlobalCancel(OrderCancel())
    ends = trader.story(mine, 3), other.story(theirs, 3)
    report.check("global_cancel", ends, ends == (CANCELLED, CANCELLED))
    left = listed(peer.reqAllOpenOrders, 3)
    report.check("nothing_left", left, left == [])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--deadline", type=float, default=5.0, help="of each wait, in seconds")
    arguments = parser.parse_args()

    report = Report()
    peers = [Peer(arguments.deadline), Peer(arguments.deadline)]
    ids = zip(peers, (7, 8), strict=True)
    opened = [peer.open(arguments.host, arguments.port, client_id) for peer, client_id in ids]
    if report.check("connected", opened, all(opened)):
        trader, other = (Trader(peer) for peer in peers)
        told = Stories(report)
        check_single_orders(trader, told, report)
        check_refusals(trader, told)
        check_groups(trader, told, report, other)
        check_what_if(trader, report)
        check_lists(trader, report, other)
        report.check("still_connected", None, all(peer.isConnected() for peer in peers))
        for peer in peers:
            peer.disconnect()
    result = {"ok": not report.failures, "failures": report.failures, **report.result}
    print(json.dumps(result, default=str))
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
