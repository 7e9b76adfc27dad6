"""Accounts, positions, profits, orders and executions."""

from ibapi.execution import ExecutionFilter


def check(peer, report, client_id):
    account = peer.seen("managedAccounts")[0][0].split(",")[0]
    check_updates(peer, report, account)
    check_summaries(peer, report)
    check_positions(peer, report, account)
    check_profits(peer, report, account)
    check_orders(peer, report, client_id)
    check_executions(peer, report, client_id)


def check_updates(peer, report, account):
    peer.reqAccountUpdates(True, account)
    ended = peer.wait("accountDownloadEnd", account)
    values = {call[0] for call in peer.seen("updateAccountValue")}
    held = bool(ended) and {"NetLiquidation", "BuyingPower", "CashBalance"} <= values
    report.check("account_values", len(values), held)
    portfolio = peer.seen("updatePortfolio")
    report.check("portfolio", len(portfolio), len(portfolio) == 6)
    report.check("account_time", None, bool(peer.seen("updateAccountTime")))
    peer.reqAccountUpdates(False, account)


def check_summaries(peer, report):
    first, second, third = (peer.next_id() for _ in range(3))
    for request_id in (first, second, third):
        peer.reqAccountSummary(request_id, "All", "NetLiquidation,BuyingPower,$LEDGER:USD")
    ended = peer.wait("accountSummaryEnd", first)
    tags = {call[2] for call in peer.seen("accountSummary", first)}
    accounts = {call[1] for call in peer.seen("accountSummary", first)}
    held = bool(ended) and {"NetLiquidation", "BuyingPower", "CashBalance"} <= tags
    report.check("summary", sorted(tags), held and len(accounts) == 2)
    report.check("summary_322", peer.code(third), peer.code(third) == [322])
    peer.cancelAccountSummary(first)
    peer.cancelAccountSummary(second)


def check_positions(peer, report, account):
    peer.reqPositions()
    ended = peer.wait("positionEnd")
    positions = peer.seen("position")
    types = {call[1].secType for call in positions}
    held = bool(ended) and types == {"STK", "FUT", "CASH", "OPT"}
    report.check("positions", len(positions), held)
    peer.cancelPositions()
    multi = peer.next_id()
    peer.reqPositionsMulti(multi, account, "")
    ended = peer.wait("positionMultiEnd", multi)
    positions = peer.seen("positionMulti", multi)
    report.check("positions_multi", len(positions), bool(ended) and len(positions) == 6)
    peer.cancelPositionsMulti(multi)
    multi = peer.next_id()
    peer.reqAccountUpdatesMulti(multi, account, "", False)
    ended = peer.wait("accountUpdateMultiEnd", multi)
    updates = peer.seen("accountUpdateMulti", multi)
    report.check("updates_multi", len(updates), bool(ended) and len(updates) > 20)
    peer.cancelAccountUpdatesMulti(multi)


def check_profits(peer, report, account):
    profit = peer.next_id()
    peer.reqPnL(profit, account, "")
    found = peer.wait("pnl", profit, count=2)
    report.check("pnl", len(found), len(found) >= 2)
    peer.cancelPnL(profit)
    held = [call for call in peer.seen("position") if call[1].symbol == "AAPL"]
    single, silent = peer.next_id(), peer.next_id()
    peer.reqPnLSingle(single, account, "", held[0][1].conId)
    peer.reqPnLSingle(silent, account, "", 77)
    found = peer.wait("pnlSingle", single, count=2)
    report.check("pnl_single", len(found), len(found) >= 2 and found[0][1] == 100)
    silence = peer.seen("pnlSingle", silent) + peer.seen("error", silent)
    report.check("pnl_single_unknown_is_silent", silence, not silence)
    peer.cancelPnLSingle(single)
    unknown = peer.next_id()
    peer.cancelPnL(unknown)
    report.check("cancel_10185", peer.code(unknown), peer.code(unknown) == [10185])


def check_orders(peer, report, client_id):
    peer.reqOpenOrders()
    peer.wait("openOrderEnd")
    own = peer.seen("openOrder")
    held = [call[0] for call in own] == [101, 102]
    report.check("open_orders", [call[0] for call in own], held)
    report.check("order_owner", None, all(call[2].clientId == client_id for call in own))
    statuses = peer.seen("orderStatus")
    report.check("order_status", len(statuses), len(statuses) == 2)
    peer.reqAllOpenOrders()
    peer.wait("openOrderEnd", count=2)
    orders = [call[0] for call in peer.seen("openOrder")[len(own) :]]
    report.check("all_open_orders", orders, orders == [101, 102, 3, 0])
    peer.reqAutoOpenOrders(True)
    bound = peer.wait("error", -1, count=4)
    codes = [call[2] for call in bound]
    report.check("auto_open_orders_327", codes, 327 in codes)
    peer.reqCompletedOrders(False)
    ended = peer.wait("completedOrdersEnd")
    completed = peer.seen("completedOrder")
    report.check("completed_orders", len(completed), bool(ended) and len(completed) == 3)


def check_executions(peer, report, client_id):
    everything = peer.next_id()
    peer.reqExecutions(everything, ExecutionFilter())
    peer.wait("execDetailsEnd", everything)
    executions = peer.seen("execDetails", everything)
    report.check("executions", len(executions), len(executions) == 4)
    commissions = {call[0].execId for call in peer.seen("commissionAndFeesReport")}
    ids = {call[2].execId for call in executions}
    report.check("commissions", len(commissions), commissions == ids)
    filtered = peer.next_id()
    only_own = ExecutionFilter()
    only_own.clientId = client_id
    peer.reqExecutions(filtered, only_own)
    peer.wait("execDetailsEnd", filtered)
    own = peer.seen("execDetails", filtered)
    report.check("executions_filtered", len(own), len(own) == 2)
