"""News, scanners, Wall Street Horizon, times and settings."""

from ibapi.common import WshEventData
from ibapi.protobuf.ConfigRequest_pb2 import ConfigRequest
from ibapi.scanner import ScannerSubscription

AAPL = 900_000_001


def check(peer, report):
    check_news(peer, report)
    check_scanner(peer, report)
    check_horizon(peer, report)
    peer.reqIds(1)
    peer.reqManagedAccts()
    report.check("ids", None, len(peer.wait("nextValidId", count=2)) == 2)
    report.check("accounts", None, len(peer.wait("managedAccounts", count=2)) == 2)
    peer.reqCurrentTime()
    report.check("current_time", None, bool(peer.wait("currentTime")))
    peer.reqCurrentTimeInMillis()
    report.check("current_time_in_millis", None, bool(peer.wait("currentTimeInMillis")))
    request = ConfigRequest()
    request.reqId = peer.next_id()
    peer.reqConfigProtoBuf(request)
    report.check("config", None, bool(peer.wait("configResponseProtoBuf")))


def check_news(peer, report):
    peer.reqNewsProviders()
    providers = peer.wait("newsProviders")
    report.check("news_providers", None, bool(providers) and len(providers[0][0]) >= 3)
    news = peer.next_id()
    peer.reqHistoricalNews(news, AAPL, "BRFG+DJNL", "", "", 5, [])
    ended = peer.wait("historicalNewsEnd", news)
    headlines = peer.seen("historicalNews", news)
    held = bool(ended) and len(headlines) == 5 and ended[0][1]
    report.check("historical_news", len(headlines), held)
    article = peer.next_id()
    peer.reqNewsArticle(article, headlines[0][2], headlines[0][3], [])
    text = peer.wait("newsArticle", article)
    report.check("news_article", None, bool(text) and "AAPL" in text[0][2])
    peer.reqNewsBulletins(True)
    bulletins = peer.wait("updateNewsBulletin", count=3)
    report.check("bulletins", len(bulletins), len(bulletins) == 3)
    peer.cancelNewsBulletins()


def check_scanner(peer, report):
    peer.reqScannerParameters()
    parameters = peer.wait("scannerParameters")
    held = bool(parameters) and len(parameters[0][0]) > 200_000
    report.check("scanner_parameters", parameters and len(parameters[0][0]), held)
    scan = ScannerSubscription()
    scan.instrument = "STK"
    scan.locationCode = "STK.US.MAJOR"
    scan.scanCode = "TOP_PERC_GAIN"
    scan.numberOfRows = 10
    scanner = peer.next_id()
    peer.reqScannerSubscription(scanner, scan, [], [])
    peer.wait("scannerDataEnd", scanner)
    rows = peer.seen("scannerData", scanner)
    report.check("scanner", len(rows), len(rows) == 10)
    peer.cancelScannerSubscription(scanner)
    unknown = peer.next_id()
    peer.cancelScannerSubscription(unknown)
    report.check("cancel_365", peer.code(unknown), peer.code(unknown) == [365])


def check_horizon(peer, report):
    meta = peer.next_id()
    peer.reqWshMetaData(meta)
    report.check("wsh_meta", None, bool(peer.wait("wshMetaData", meta)))
    for cancel in (peer.cancelWshMetaData, peer.cancelWshEventData):
        unknown = peer.next_id()
        cancel(unknown)
        report.check(cancel.__name__, peer.code(unknown), peer.code(unknown) == [300])
    events = peer.next_id()
    wanted = WshEventData()
    wanted.conId = AAPL
    wanted.totalLimit = 2
    peer.reqWshEventData(events, wanted)
    data = peer.wait("wshEventData", events)
    report.check("wsh_events", None, bool(data) and "earnings_date" in data[0][1])
