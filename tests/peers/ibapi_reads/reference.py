"""Contract details and reference data."""

from peer import contract, option


def check(peer, report):
    details = ask_details(peer, contract("AAPL"))
    found = details and details[0][1]
    report.check("details", len(details), len(details) == 1 and found.minTick == 0.01)
    chain = ask_details(peer, option())
    report.check("chain", len(chain), len(chain) == 8)
    bond = peer.next_id()
    peer.reqContractDetails(bond, contract("US-T", "BOND"))
    bonds = peer.wait("bondContractDetails", bond)
    report.check("bond", bonds and bonds[0][1].coupon, bool(bonds) and bonds[0][1].coupon == 4.25)
    unknown = peer.next_id()
    peer.reqContractDetails(unknown, contract("NOSUCH"))
    report.check("unknown_200", peer.code(unknown), peer.code(unknown) == [200])
    ambiguous = peer.next_id()
    peer.reqMktData(ambiguous, contract("AMBIG", currency=""), "", False, False, [])
    report.check("ambiguous_200", peer.code(ambiguous), peer.code(ambiguous) == [200])

    peer.cancelContractData(unknown)
    peer.setServerLogLevel(2)

    symbols = peer.next_id()
    peer.reqMatchingSymbols(symbols, "GOO")
    samples = peer.wait("symbolSamples", symbols)
    names = [one.contract.symbol for one in samples[0][1]] if samples else []
    report.check("symbols", names, names == ["GOOGL", "GOOG"])
    parameters = peer.next_id()
    peer.reqSecDefOptParams(parameters, "AAPL", "", "STK", found.contract.conId)
    ended = peer.wait("securityDefinitionOptionParameterEnd", parameters)
    rows = peer.seen("securityDefinitionOptionParameter", parameters)
    report.check("option_parameters", len(rows), bool(ended) and len(rows[0][5]) == 8)
    rule = int(found.marketRuleIds.split(",")[0])
    peer.reqMarketRule(rule)
    rules = peer.wait("marketRule", rule)
    report.check("market_rule", rule, bool(rules) and rules[0][1][0].increment == 0.01)
    components = peer.next_id()
    peer.reqSmartComponents(components, "9c0001")
    answer = peer.wait("smartComponents", components)
    report.check("components", len(answer), bool(answer) and len(answer[0][1]) > 4)
    peer.reqMktDepthExchanges()
    exchanges = peer.wait("mktDepthExchanges")
    report.check("depth_exchanges", len(exchanges), bool(exchanges) and len(exchanges[0][0]) > 4)
    tiers = peer.next_id()
    peer.reqSoftDollarTiers(tiers)
    report.check("tiers", None, bool(peer.wait("softDollarTiers", tiers)))
    peer.reqFamilyCodes()
    codes = peer.wait("familyCodes")
    report.check("family_codes", len(codes), bool(codes) and len(codes[0][0]) == 2)
    user = peer.next_id()
    peer.reqUserInfo(user)
    report.check("user", None, bool(peer.wait("userInfo", user)))
    peer.requestFA(1)
    groups = peer.wait("receiveFA", 1)
    report.check("fa_groups", None, bool(groups) and "DU0000002" in groups[0][1])
    peer.requestFA(3)
    report.check("fa_aliases", None, bool(peer.wait("receiveFA", 3)))
    return chain and chain[-1][1].contract


def ask_details(peer, wanted):
    request_id = peer.next_id()
    peer.reqContractDetails(request_id, wanted)
    peer.wait("contractDetailsEnd", request_id)
    return peer.seen("contractDetails", request_id)
