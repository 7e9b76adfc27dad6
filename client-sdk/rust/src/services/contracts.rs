//! What can be traded: contracts, symbols, option chains, price rules.

use super::{Answer, present};
use crate::api;
use crate::client::{LARGEST_ANSWER, Service};
use crate::error::Error;
use crate::stubs::contract_service_client::ContractServiceClient;
use crate::tws;

/// Facts about contracts. The broker keeps and shares what never changes.
#[derive(Debug, Clone)]
pub struct Contracts {
    stub: ContractServiceClient<Service>,
}

impl Contracts {
    pub(crate) fn new(service: Service) -> Self {
        let stub = ContractServiceClient::new(service).max_decoding_message_size(LARGEST_ANSWER);
        Self { stub }
    }

    /// All contracts that match a description, bonds last (TWS: reqContractDetails). None at
    /// all is an error: Gateway's 200.
    pub async fn details(
        &self,
        contract: tws::Contract,
    ) -> Result<Answer<Vec<tws::ContractData>>, Error> {
        let request = tws::ContractDataRequest { contract: Some(contract), req_id: None };
        let request = api::GetContractDetailsRequest { request: Some(request) };
        let answer = self.stub.clone().get_contract_details(request).await?.into_inner();
        let mut value = answer.contract_data;
        value.extend(answer.bond_contract_data);
        Ok(Answer { value, notices: answer.notices })
    }

    /// Contracts whose symbol or name begins like this (TWS: reqMatchingSymbols).
    pub async fn matching(
        &self,
        pattern: impl Into<String>,
    ) -> Result<Answer<Vec<tws::ContractDescription>>, Error> {
        let request =
            tws::MatchingSymbolsRequest { pattern: Some(pattern.into()), ..Default::default() };
        let request = api::GetMatchingSymbolsRequest { request: Some(request) };
        let answer = self.stub.clone().get_matching_symbols(request).await?.into_inner();
        let samples = answer.symbol_samples.unwrap_or_default();
        Ok(Answer { value: samples.contract_descriptions, notices: answer.notices })
    }

    /// Expirations and strikes of an underlying, one for each exchange and trading class (TWS:
    /// reqSecDefOptParams).
    pub async fn option_parameters(
        &self,
        request: tws::SecDefOptParamsRequest,
    ) -> Result<Answer<Vec<tws::SecDefOptParameter>>, Error> {
        let request = api::GetOptionParametersRequest { request: Some(request) };
        let answer = self.stub.clone().get_option_parameters(request).await?.into_inner();
        Ok(Answer { value: answer.parameters, notices: answer.notices })
    }

    /// Price increments of a rule, by a number from `ContractDetails.market_rule_ids` (TWS:
    /// reqMarketRule).
    pub async fn market_rule(&self, id: i32) -> Result<Answer<tws::MarketRule>, Error> {
        let request = tws::MarketRuleRequest { market_rule_id: Some(id) };
        let request = api::GetMarketRuleRequest { request: Some(request) };
        let answer = self.stub.clone().get_market_rule(request).await?.into_inner();
        let value = present(answer.market_rule, "a market rule")?;
        Ok(Answer { value, notices: answer.notices })
    }

    /// Exchanges behind the letters of a SMART quote, by `TickReqParams.bbo_exchange` (TWS:
    /// reqSmartComponents).
    pub async fn smart_components(
        &self,
        bbo_exchange: impl Into<String>,
    ) -> Result<Answer<Vec<tws::SmartComponent>>, Error> {
        let bbo_exchange = Some(bbo_exchange.into());
        let request = tws::SmartComponentsRequest { bbo_exchange, ..Default::default() };
        let request = api::GetSmartComponentsRequest { request: Some(request) };
        let answer = self.stub.clone().get_smart_components(request).await?.into_inner();
        let components = answer.smart_components.unwrap_or_default();
        Ok(Answer { value: components.smart_components, notices: answer.notices })
    }

    /// Exchanges that offer books (TWS: reqMktDepthExchanges).
    pub async fn depth_exchanges(
        &self,
    ) -> Result<Answer<Vec<tws::DepthMarketDataDescription>>, Error> {
        let request = api::GetMarketDepthExchangesRequest {};
        let answer = self.stub.clone().get_market_depth_exchanges(request).await?.into_inner();
        let exchanges = answer.exchanges.unwrap_or_default();
        Ok(Answer { value: exchanges.depth_market_data_descriptions, notices: answer.notices })
    }
}
