"""Market data, depth, tick-by-tick data and real-time bars."""

from peer import contract

GENERIC = "100,101,104,105,106,165,221,225,233,236,258,292,293,294,295,318,375,411,456,586,588"
PRICES = {15, 16, 17, 18, 19, 20, 35, 37, 57, 101, 102}
SIZES = {21, 27, 28, 29, 30, 34, 36, 61, 86, 87, 89}
VALUES = {23, 24, 46, 54, 55, 56, 58}
TEXTS = {47, 59, 77}


def check(peer, report, call):
    check_generic_ticks(peer, report)
    check_option(peer, report, call)
    check_depth(peer, report)
    check_tick_by_tick(peer, report)
    check_bars(peer, report)
    snapshot = peer.next_id()
    peer.reqMktData(snapshot, contract("KO"), "", False, True, [])
    ended = peer.wait("tickSnapshotEnd", snapshot, deadline=peer.deadline + 15)
    report.check("regulatory_snapshot", None, bool(ended))


def check_generic_ticks(peer, report):
    peer.reqMarketDataType(1)
    line = peer.next_id()
    peer.reqMktData(line, contract("AAPL"), GENERIC, False, False, [])
    news = peer.wait("tickNews", line)
    held = bool(news) and news[0][2] in ("BRFG", "BRFUPDN", "DJNL", "DJ-N")
    report.check("tick_news", news[:1], held)
    for name, wanted in (
        ("tickPrice", PRICES),
        ("tickSize", SIZES),
        ("tickGeneric", VALUES),
        ("tickString", TEXTS),
    ):
        missing = wanted - {int(call[1]) for call in peer.seen(name, line)}
        for kind in list(missing):
            if peer.wait(name, line, kind):
                missing.discard(kind)
        report.check(f"generic {name}", sorted(missing), not missing)
    peer.cancelMktData(line)


def check_option(peer, report, call):
    line = peer.next_id()
    peer.reqMktData(line, call, "", False, False, [])
    computed = peer.wait("tickOptionComputation", line, count=4)
    kinds = sorted(int(one[1]) for one in computed[:4])
    report.check("computations", kinds, kinds == [10, 11, 12, 13])
    peer.cancelMktData(line)
    price = peer.next_id()
    peer.calculateOptionPrice(price, call, 0.25, 231.0, [])
    answer = peer.wait("tickOptionComputation", price)
    value = answer[0][5] if answer else 0.0
    report.check("option_price", value, value > 0)
    volatility = peer.next_id()
    peer.calculateImpliedVolatility(volatility, call, value, 231.0, [])
    answer = peer.wait("tickOptionComputation", volatility)
    held = bool(answer) and abs(answer[0][3] - 0.25) < 1e-4 and int(answer[0][1]) == 53
    peer.cancelCalculateOptionPrice(price)
    peer.cancelCalculateImpliedVolatility(volatility)
    report.check("implied_volatility", answer and answer[0][3], held)


def check_depth(peer, report):
    for smart, name in ((False, "updateMktDepth"), (True, "updateMktDepthL2")):
        book = peer.next_id()
        peer.reqMktDepth(book, contract("AAPL"), 5, smart, [])
        rows = peer.wait(name, book, count=12)
        report.check(f"depth smart={smart}", len(rows), len(rows) >= 12)
        if smart:
            report.check("depth_notice_2152", peer.code(book), peer.code(book) == [2152])
        peer.cancelMktDepth(book, smart)
        again = peer.next_id()
        peer.cancelMktDepth(again, smart)
        report.check(f"cancel_310 smart={smart}", peer.code(again), peer.code(again) == [310])
    books = [peer.next_id() for _ in range(4)]
    for book, symbol in zip(books, ("MSFT", "NVDA", "AMZN", "META")):
        peer.reqMktDepth(book, contract(symbol), 1, False, [])
    report.check("depth_309", peer.code(books[3]), peer.code(books[3]) == [309])
    for book in books[:3]:
        peer.cancelMktDepth(book, False)


def check_tick_by_tick(peer, report):
    names = {
        "Last": ("tickByTickAllLast", "historicalTicksLast", "MSFT"),
        "AllLast": ("tickByTickAllLast", "historicalTicksLast", "NVDA"),
        "BidAsk": ("tickByTickBidAsk", "historicalTicksBidAsk", "AMZN"),
        "MidPoint": ("tickByTickMidPoint", "historicalTicks", "META"),
    }
    for kind, (name, page_name, symbol) in names.items():
        ticker = peer.next_id()
        peer.reqTickByTickData(ticker, contract(symbol), kind, 10, False)
        page = peer.wait(page_name, ticker)
        ticks = peer.wait(name, ticker, count=3)
        held = bool(page) and len(page[0][1]) == 10 and len(ticks) >= 3
        report.check(f"tick_by_tick {kind}", len(ticks), held)
        peer.cancelTickByTickData(ticker)
    ticker = peer.next_id()
    peer.reqTickByTickData(ticker, contract("MSFT"), "BidAsk", 0, False)
    report.check("tick_by_tick_10190", peer.code(ticker), peer.code(ticker) == [10190])


def check_bars(peer, report):
    bars = peer.next_id()
    peer.reqRealTimeBars(bars, contract("AAPL"), 5, "TRADES", True, [])
    found = peer.wait("realtimeBar", bars, count=2, deadline=peer.deadline + 11)
    held = len(found) >= 2 and found[1][1] - found[0][1] == 5
    report.check("real_time_bars", len(found), held)
    peer.cancelRealTimeBars(bars)
