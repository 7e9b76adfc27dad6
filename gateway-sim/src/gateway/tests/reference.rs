//! Contract details and reference data.

use ibouncer_proto::tws::v1::{
    ContractData, ContractDataEnd, ContractDataRequest, MarketRule, MarketRuleRequest,
    MatchingSymbolsRequest, SecDefOptParameter, SecDefOptParamsRequest, SmartComponents,
    SmartComponentsRequest, SymbolSamples,
};

use super::super::ids::{ask, tell};
use super::*;

fn details(request_id: i32, contract: Contract) -> ContractDataRequest {
    ContractDataRequest { req_id: Some(request_id), contract: Some(contract) }
}

#[test]
fn contract_details_are_one_for_each_contract_and_an_end() {
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    world.request(client, ask::REQ_CONTRACT_DATA, &details(1, contract("AAPL", "STK")));
    world.request(client, ask::REQ_CONTRACT_DATA, &details(2, contract("AAPL", "OPT")));
    world.request(client, ask::REQ_CONTRACT_DATA, &details(3, contract("US-T", "BOND")));
    world.request(client, ask::REQ_CONTRACT_DATA, &details(4, contract("NOSUCH", "STK")));
    let found: Vec<ContractData> = world.messages(client, tell::CONTRACT_DATA);
    assert_eq!(found.iter().filter(|one| one.req_id() == 1).count(), 1);
    assert_eq!(found.iter().filter(|one| one.req_id() == 2).count(), 336);
    let stock = found[0].contract_details.clone().unwrap();
    assert_eq!(stock.min_tick(), "0.01");
    assert!(stock.liquid_hours().starts_with("20261123:1430-20261123:2100"));
    let bonds: Vec<ContractData> = world.messages(client, tell::BOND_CONTRACT_DATA);
    assert_eq!(bonds[0].contract_details.clone().unwrap().coupon(), 4.25);
    let ends: Vec<ContractDataEnd> = world.messages(client, tell::CONTRACT_DATA_END);
    assert_eq!(ends.iter().map(|end| end.req_id()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(world.errors(client, 4), [200]);
    let option = found.iter().find(|one| one.req_id() == 2).unwrap();
    let con_id = option.contract.clone().unwrap().con_id;
    let by_id = Contract { con_id, ..Default::default() };
    world.request(client, ask::REQ_CONTRACT_DATA, &details(5, by_id));
    let found: Vec<ContractData> = world.messages(client, tell::CONTRACT_DATA);
    assert_eq!(found.last().unwrap().contract, option.contract);
}

#[test]
fn symbols_parameters_rules_and_components_are_answered() {
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    let request = MatchingSymbolsRequest { req_id: Some(1), pattern: Some("goo".to_owned()) };
    world.request(client, ask::REQ_MATCHING_SYMBOLS, &request);
    let samples: Vec<SymbolSamples> = world.messages(client, tell::SYMBOL_SAMPLES);
    let aapl = samples[0].contract_descriptions[0].contract.clone().unwrap();
    assert_eq!((samples[0].contract_descriptions.len(), aapl.symbol()), (2, "GOOGL"));
    let request = SecDefOptParamsRequest {
        req_id: Some(2),
        underlying_symbol: Some("GOOGL".to_owned()),
        underlying_sec_type: Some("STK".to_owned()),
        underlying_con_id: aapl.con_id,
        ..Default::default()
    };
    world.request(client, ask::REQ_SEC_DEF_OPT_PARAMS, &request);
    let parameters: Vec<SecDefOptParameter> =
        world.messages(client, tell::SECURITY_DEFINITION_OPTION_PARAMETER);
    assert_eq!(parameters.len(), 4);
    assert_eq!((parameters[0].expirations.len(), parameters[0].strikes.len()), (8, 21));
    assert!(world.message_ids(client).contains(&tell::SECURITY_DEFINITION_OPTION_PARAMETER_END));
    let request = MarketRuleRequest { market_rule_id: Some(26) };
    world.request(client, ask::REQ_MARKET_RULE, &request);
    let rules: Vec<MarketRule> = world.messages(client, tell::MARKET_RULE);
    assert_eq!(rules[0].price_increments[0].increment(), 0.01);
    let bbo_exchange = Some("9c0001".to_owned());
    let request = SmartComponentsRequest { req_id: Some(3), bbo_exchange };
    world.request(client, ask::REQ_SMART_COMPONENTS, &request);
    let components: Vec<SmartComponents> = world.messages(client, tell::SMART_COMPONENTS);
    assert!(components[0].smart_components.len() > 4);
}

#[test]
fn an_ambiguous_contract_is_refused_where_one_is_needed() {
    let mut world = World::new(GatewayConfig::default());
    let client = world.connect(7);
    let mut request = market_data(1, "AMBIG");
    request.contract.as_mut().unwrap().currency = None;
    world.request(client, id::REQ_MKT_DATA, &request);
    assert_eq!(world.errors(client, 1), [200]);
    world.request(client, ask::REQ_CONTRACT_DATA, &details(2, contract("AMBIG", "STK")));
    let found: Vec<ContractData> = world.messages(client, tell::CONTRACT_DATA);
    assert_eq!(found.len(), 2);
}
