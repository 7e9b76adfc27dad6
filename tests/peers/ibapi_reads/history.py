"""Historical data of every kind."""

import time

from peer import contract

WHAT = ["TRADES", "MIDPOINT", "BID", "ASK", "BID_ASK", "ADJUSTED_LAST", "HISTORICAL_VOLATILITY"]
SIZES = ["5 secs", "1 min", "1 hour", "1 day", "1 week", "1 month"]


def check(peer, report):
    stock = contract("AAPL")
    for size in SIZES:
        duration = "600 S" if size == "5 secs" else "1 D" if size == "1 min" else "3 M"
        bars = ask(peer, stock, duration, size, "TRADES")
        held = bool(bars) and all(bar[1].low <= bar[1].close <= bar[1].high for bar in bars)
        report.check(f"bars {size}", len(bars), held)
    for what in WHAT:
        bars = ask(peer, stock, "1 W", "1 day", what)
        report.check(f"bars {what}", len(bars), 3 <= len(bars) <= 8)
    identical = peer.next_id()
    peer.reqHistoricalData(identical, stock, "", "600 S", "5 secs", "TRADES", 1, 1, False, [])
    report.check("pacing_162", peer.code(identical), peer.code(identical) == [162])
    bad = peer.next_id()
    peer.reqHistoricalData(bad, stock, "", "1 D", "7 mins", "TRADES", 1, 1, False, [])
    report.check("bad_size_321", peer.code(bad), peer.code(bad) == [321])

    schedule = peer.next_id()
    peer.reqHistoricalData(schedule, stock, "", "1 W", "1 day", "SCHEDULE", 1, 1, False, [])
    sessions = peer.wait("historicalSchedule", schedule)
    report.check("schedule", len(sessions), bool(sessions) and len(sessions[0][4]) >= 3)
    kept = peer.next_id()
    peer.reqHistoricalData(kept, stock, "", "1 D", "1 min", "TRADES", 1, 1, True, [])
    updates = peer.wait("historicalDataUpdate", kept, deadline=peer.deadline + 6)
    report.check("kept_up_to_date", len(updates), bool(updates))
    peer.cancelHistoricalData(kept)
    report.check("cancelled_162", peer.code(kept), peer.code(kept) == [162])
    peer.cancelHistoricalData(77)
    report.check("unknown_366", peer.code(77), peer.code(77) == [366])

    head = peer.next_id()
    peer.reqHeadTimeStamp(head, stock, "TRADES", 1, 1)
    stamps = peer.wait("headTimestamp", head)
    report.check("head_timestamp", stamps and stamps[0][1], bool(stamps))
    peer.cancelHeadTimeStamp(head)
    late = peer.next_id()
    peer.cancelHistogramData(late)
    report.check("cancel_histogram_366", peer.code(late), peer.code(late) == [366])
    late = peer.next_id()
    peer.cancelHistoricalTicks(late)
    report.check("cancel_ticks_366", peer.code(late), peer.code(late) == [366])
    histogram = peer.next_id()
    peer.reqHistogramData(histogram, stock, True, "3 days")
    entries = peer.wait("histogramData", histogram)
    report.check("histogram", len(entries), bool(entries) and len(entries[0][1]) > 5)
    check_ticks(peer, report, stock)


def check_ticks(peer, report, stock):
    pages = {
        "TRADES": "historicalTicksLast",
        "BID_ASK": "historicalTicksBidAsk",
        "MIDPOINT": "historicalTicks",
    }
    end = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime())
    for what, name in pages.items():
        request_id = peer.next_id()
        peer.reqHistoricalTicks(request_id, stock, "", end, 20, what, 1, True, [])
        page = peer.wait(name, request_id)
        held = bool(page) and len(page[0][1]) == 20 and page[0][2]
        report.check(f"ticks {what}", len(page), held)


def ask(peer, wanted, duration, size, what):
    request_id = peer.next_id()
    peer.reqHistoricalData(request_id, wanted, "", duration, size, what, 1, 1, False, [])
    peer.wait("historicalDataEnd", request_id)
    return peer.seen("historicalData", request_id)
