//! Reference data: symbols that match, option parameters, market rules, exchanges.
//!
//! All of it follows from the tables of `symbols.rs` and `listings.rs`; nothing here moves.

use std::time::Duration;

use ibouncer_proto::tws::v1::{
    ContractDescription, DepthMarketDataDescription, FamilyCode, FamilyCodes, FamilyCodesRequest,
    MarketDepthExchanges, MarketDepthExchangesRequest, MarketRule, MarketRuleRequest,
    MatchingSymbolsRequest, PriceIncrement, SecDefOptParameter, SecDefOptParameterEnd,
    SecDefOptParamsRequest, SmartComponent, SmartComponents, SmartComponentsRequest,
    SoftDollarTier, SoftDollarTiers, SoftDollarTiersRequest, SymbolSamples, UserInfo,
    UserInfoRequest,
};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::calendar;
use super::connection::Connection;
use super::ids::tell;
use super::listings::{self, Listing, Term};
use super::symbols::INSTRUMENTS;

/// Symbols in one answer.
const SAMPLES: usize = 16;

/// Where options of stocks trade.
const OPTION_EXCHANGES: &[&str] = &["SMART", "AMEX", "CBOE", "ISE"];

/// Exchanges of a US stock and their letters, by bit.
const COMPONENTS: &[(&str, &str)] = &[
    ("AMEX", "A"),
    ("NYSE", "N"),
    ("ARCA", "P"),
    ("NASDAQ", "Q"),
    ("BATS", "Z"),
    ("IEX", "V"),
    ("EDGX", "K"),
    ("MEMX", "U"),
];

/// Exchange, security type, listing exchange, service, group.
const DEPTH_EXCHANGES: &[(&str, &str, &str, &str, i32)] = &[
    ("ISLAND", "STK", "NASDAQ", "Deep2", 1),
    ("NASDAQ", "STK", "NASDAQ", "Deep2", 1),
    ("NYSE", "STK", "NYSE", "Deep", 2),
    ("ARCA", "STK", "ARCA", "Deep", 2),
    ("BATS", "STK", "", "Deep", 2),
    ("IEX", "STK", "", "Deep2", 1),
    ("CME", "FUT", "", "Deep", 4),
    ("CBOT", "FUT", "", "Deep", 4),
    ("NYMEX", "FUT", "", "Deep", 4),
    ("COMEX", "FUT", "", "Deep", 4),
    ("IDEALPRO", "CASH", "", "Deep", i32::MAX),
    ("PAXOS", "CRYPTO", "", "Deep", i32::MAX),
];

/// Market rules: id, and from which price on which increment holds.
const MARKET_RULES: &[(i32, &[(f64, f64)])] = &[
    (26, &[(0.0, 0.01)]),
    (32, &[(0.0, 0.05), (3.0, 0.1)]),
    (67, &[(0.0, 0.25)]),
    (68, &[(0.0, 1.0)]),
    (69, &[(0.0, 0.1)]),
    (70, &[(0.0, 0.015625)]),
    (71, &[(0.0, 0.001)]),
    (239, &[(0.0, 0.00005)]),
];

/// The market rule of a contract on each of its exchanges.
pub(super) fn market_rule(listing: Listing) -> i32 {
    match (listing.sec_type(), listing.instrument().steps) {
        ("OPT" | "FOP", _) => 32,
        ("FUT" | "CRYPTO", 4) => 67,
        (_, 1) => 68,
        (_, 10) => 69,
        (_, 64) => 70,
        (_, 1000) => 71,
        (_, 20_000) => 239,
        _ => 26,
    }
}

impl Connection {
    pub(super) fn on_matching_symbols(
        &mut self,
        body: MatchingSymbolsRequest,
        shared: &mut Shared,
        _: Duration,
    ) -> Answer {
        if !shared.farms.definitions_flow() {
            return Ok(());
        }
        let pattern = body.pattern().to_uppercase();
        let fits = |place: &usize| {
            let instrument = &INSTRUMENTS[*place];
            instrument.symbol.starts_with(&pattern) && instrument.sec_type != "CFD"
        };
        let places = (0..INSTRUMENTS.len()).filter(|place| !pattern.is_empty() && fits(place));
        let describe = |place| {
            let listing = Listing { place, term: Term::Itself };
            let mut contract = shared.directory.contract(listing, "");
            contract.last_trade_date_or_contract_month = None;
            contract.local_symbol = None;
            let option = shared.directory.options(place).next();
            let derived = option.into_iter().map(|option| option.sec_type().to_owned());
            ContractDescription {
                contract: Some(contract),
                derivative_sec_types: derived.collect(),
            }
        };
        let message = SymbolSamples {
            req_id: body.req_id,
            contract_descriptions: places.take(SAMPLES).map(describe).collect(),
        };
        self.say(tell::SYMBOL_SAMPLES, &message);
        Ok(())
    }

    pub(super) fn on_option_parameters(
        &mut self,
        body: SecDefOptParamsRequest,
        shared: &mut Shared,
        _: Duration,
    ) -> Answer {
        if !shared.farms.definitions_flow() {
            return Ok(());
        }
        let listing = shared.directory.by_con_id(body.underlying_con_id());
        let fits = |listing: &Listing| {
            let instrument = listing.instrument();
            instrument.symbol == body.underlying_symbol()
                && instrument.sec_type == body.underlying_sec_type()
        };
        let Some(listing) = listing.filter(fits).map(Listing::underlying) else {
            return Err(Refusal::invalid("invalid underlying of option parameters"));
        };
        let Some(option) = shared.directory.options(listing.place).next() else {
            self.say(
                tell::SECURITY_DEFINITION_OPTION_PARAMETER_END,
                &SecDefOptParameterEnd { req_id: body.req_id },
            );
            return Ok(());
        };
        let expirations: Vec<_> =
            shared.directory.expirations().iter().map(|day| calendar::date(*day)).collect();
        let primary = [option.exchange()];
        let exchanges = if option.sec_type() == "OPT" { OPTION_EXCHANGES } else { &primary[..] };
        for exchange in exchanges {
            let message = SecDefOptParameter {
                req_id: body.req_id,
                exchange: Some((*exchange).to_owned()),
                underlying_con_id: Some(listing.con_id()),
                trading_class: Some(option.trading_class().to_owned()),
                multiplier: option.multiplier().map(|multiplier| multiplier.to_string()),
                expirations: expirations.clone(),
                strikes: listings::strikes(listing.place),
            };
            self.say(tell::SECURITY_DEFINITION_OPTION_PARAMETER, &message);
        }
        let end = SecDefOptParameterEnd { req_id: body.req_id };
        self.say(tell::SECURITY_DEFINITION_OPTION_PARAMETER_END, &end);
        Ok(())
    }

    pub(super) fn on_market_rule(
        &mut self,
        body: MarketRuleRequest,
        _: &mut Shared,
        _: Duration,
    ) -> Answer {
        let wanted = body.market_rule_id();
        let Some((_, steps)) = MARKET_RULES.iter().find(|(rule, _)| *rule == wanted) else {
            return Err(Refusal::invalid("there is no such market rule"));
        };
        let increments = steps.iter().map(|(low_edge, increment)| PriceIncrement {
            low_edge: Some(*low_edge),
            increment: Some(*increment),
        });
        let message = MarketRule {
            market_rule_id: body.market_rule_id,
            price_increments: increments.collect(),
        };
        self.say(tell::MARKET_RULE, &message);
        Ok(())
    }

    pub(super) fn on_smart_components(
        &mut self,
        body: SmartComponentsRequest,
        _: &mut Shared,
        _: Duration,
    ) -> Answer {
        let key = body.bbo_exchange();
        if !INSTRUMENTS.iter().any(|instrument| instrument.bbo_exchange == key) {
            return Err(Refusal::invalid("there are no components of this exchange"));
        }
        let components =
            COMPONENTS.iter().enumerate().map(|(bit, (exchange, letter))| SmartComponent {
                bit_number: Some(bit as i32),
                exchange: Some((*exchange).to_owned()),
                exchange_letter: Some((*letter).to_owned()),
            });
        let message =
            SmartComponents { req_id: body.req_id, smart_components: components.collect() };
        self.say(tell::SMART_COMPONENTS, &message);
        Ok(())
    }

    pub(super) fn on_depth_exchanges(
        &mut self,
        _: MarketDepthExchangesRequest,
        _: &mut Shared,
        _: Duration,
    ) -> Answer {
        let rows = DEPTH_EXCHANGES.iter();
        let rows =
            rows.map(|(exchange, sec_type, listing, service, group)| DepthMarketDataDescription {
                exchange: Some((*exchange).to_owned()),
                sec_type: Some((*sec_type).to_owned()),
                listing_exch: Some((*listing).to_owned()),
                service_data_type: Some((*service).to_owned()),
                agg_group: Some(*group),
            });
        let message = MarketDepthExchanges { depth_market_data_descriptions: rows.collect() };
        self.say(tell::MKT_DEPTH_EXCHANGES, &message);
        Ok(())
    }

    pub(super) fn on_soft_dollar_tiers(
        &mut self,
        body: SoftDollarTiersRequest,
        _: &mut Shared,
        _: Duration,
    ) -> Answer {
        let tier = |name: &str, value: &str| SoftDollarTier {
            name: Some(name.to_owned()),
            value: Some(value.to_owned()),
            display_name: Some(format!("{name} {value}")),
        };
        let message = SoftDollarTiers {
            req_id: body.req_id,
            soft_dollar_tiers: vec![tier("Tier", "1"), tier("Tier", "2")],
        };
        self.say(tell::SOFT_DOLLAR_TIERS, &message);
        Ok(())
    }

    /// One entry for each account; of a user without advisor accounts the code is empty.
    pub(super) fn on_family_codes(
        &mut self,
        _: FamilyCodesRequest,
        shared: &mut Shared,
        _: Duration,
    ) -> Answer {
        let accounts = &shared.config.accounts;
        let code = if accounts.len() > 1 { "F0000001" } else { "" };
        let codes = accounts.iter().map(|account| FamilyCode {
            account_id: Some(account.clone()),
            family_code: Some(code.to_owned()),
        });
        let message = FamilyCodes { family_codes: codes.collect() };
        self.say(tell::FAMILY_CODES, &message);
        Ok(())
    }

    pub(super) fn on_user_info(
        &mut self,
        body: UserInfoRequest,
        _: &mut Shared,
        _: Duration,
    ) -> Answer {
        let message = UserInfo { req_id: body.req_id, white_branding_id: Some(String::new()) };
        self.say(tell::USER_INFO, &message);
        Ok(())
    }
}
