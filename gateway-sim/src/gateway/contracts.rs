//! Contract details: one answer for each contract that fits, and an end.

use std::time::Duration;

use ibouncer_proto::tws::v1::{
    Contract, ContractData, ContractDataEnd, ContractDataRequest, ContractDetails,
};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::calendar::{self, DAY};
use super::connection::Connection;
use super::ids::tell;
use super::listings::{Directory, Listing};
use super::reference;
use super::sessions::Hours;

/// Days of trading hours in contract details.
const DAYS_OF_HOURS: i64 = 6;

const INDUSTRIES: &[(&str, &str, &str)] = &[
    ("Technology", "Computers", "Computers"),
    ("Financial", "Banks", "Diversified Banking Inst"),
    ("Consumer, Cyclical", "Retail", "Retail-Discount"),
    ("Consumer, Non-cyclical", "Pharmaceuticals", "Medical-Drugs"),
    ("Energy", "Oil&Gas", "Oil Comp-Integrated"),
];

impl Connection {
    pub(super) fn on_contract_data(
        &mut self,
        body: ContractDataRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        if !shared.farms.definitions_flow() {
            return Ok(());
        }
        let wanted = body.contract.unwrap_or_default();
        let found = shared.directory.matching(&wanted);
        if found.is_empty() {
            return Err(Refusal::unknown_contract());
        }
        let unix = shared.unix_seconds(now);
        for listing in found {
            let exchange = match wanted.exchange() {
                "" => listing.exchange(),
                exchange => exchange,
            };
            let message = ContractData {
                req_id: body.req_id,
                contract: Some(contract(&shared.directory, listing, exchange)),
                contract_details: Some(details(&shared.directory, listing, unix)),
            };
            let message_id = match listing.sec_type() {
                "BOND" => tell::BOND_CONTRACT_DATA,
                _ => tell::CONTRACT_DATA,
            };
            self.say(message_id, &message);
        }
        self.say(tell::CONTRACT_DATA_END, &ContractDataEnd { req_id: body.req_id });
        Ok(())
    }
}

fn contract(directory: &Directory, listing: Listing, exchange: &str) -> Contract {
    let mut contract = directory.contract(listing, exchange);
    contract.last_trade_date = contract.last_trade_date_or_contract_month.clone();
    contract
}

fn details(directory: &Directory, listing: Listing, unix: i64) -> ContractDetails {
    let instrument = listing.instrument();
    let text = |text: &str| Some(text.to_owned());
    let sec_type = listing.sec_type();
    let last_day = directory.last_day(listing);
    let underlying = (listing.is_option() || sec_type == "FUT").then_some(listing.underlying());
    let exchanges = match sec_type {
        "STK" => "SMART,AMEX,NYSE,CBOE,ARCA,NASDAQ,BATS,IEX",
        "OPT" => "SMART,AMEX,CBOE,ISE",
        _ => listing.exchange(),
    };
    let rules = vec![reference::market_rule(listing).to_string(); exchanges.split(',').count()];
    let is_stock = sec_type == "STK";
    let (industry, category, subcategory) = INDUSTRIES[listing.place % INDUSTRIES.len()];
    let of_stock = |text: &str| is_stock.then(|| text.to_owned());
    let isin = format!("US{:09}{}", listing.con_id() % 1_000_000_000, listing.place % 10);
    let min_size = if sec_type == "CRYPTO" { "0.0001" } else { "1" };
    let mut details = ContractDetails {
        market_name: text(listing.trading_class()),
        min_tick: Some(listing.as_instrument(instrument.price).min_tick()),
        order_types: text("ACTIVETIM,AD,ADJUST,ALERT,ALGO,LMT,MIT,MKT,OCA,STP,STPLMT,TRAIL,WHATIF"),
        valid_exchanges: text(exchanges),
        price_magnifier: Some(1),
        under_con_id: underlying.map(Listing::con_id),
        under_symbol: underlying.map(|underlying| underlying.instrument().symbol.to_owned()),
        under_sec_type: underlying.map(|underlying| match sec_type {
            "FUT" => "IND".to_owned(),
            _ => underlying.sec_type().to_owned(),
        }),
        long_name: Some(format!("{} SIMULATED", instrument.symbol)),
        contract_month: last_day.map(|day| calendar::date(day)[..6].to_owned()),
        industry: of_stock(industry),
        category: of_stock(category),
        subcategory: of_stock(subcategory),
        time_zone_id: text("UTC"),
        trading_hours: Some(hours(listing, false, unix)),
        liquid_hours: Some(hours(listing, true, unix)),
        agg_group: Some(1),
        market_rule_ids: Some(rules.join(",")),
        real_expiration_date: last_day.map(calendar::date),
        stock_type: is_stock.then(|| stock_type(listing).to_owned()),
        min_size: text(min_size),
        size_increment: text(min_size),
        suggested_size_increment: text(if is_stock { "100" } else { min_size }),
        ..Default::default()
    };
    if is_stock {
        details.sec_id_list.insert("ISIN".to_owned(), isin);
    }
    if sec_type == "BOND" {
        describe_bond(&mut details, listing);
    }
    details
}

fn stock_type(listing: Listing) -> &'static str {
    match listing.primary_exchange() {
        "ARCA" => "ETF",
        _ => "COMMON",
    }
}

fn describe_bond(details: &mut ContractDetails, listing: Listing) {
    let text = |text: &str| Some(text.to_owned());
    details.cusip = Some(format!("91282C{:03}", listing.place));
    details.issue_date = text("20240215");
    details.ratings = text("Aaa/AA+");
    details.bond_type = text("US GOVT");
    details.coupon = Some(4.25);
    details.coupon_type = text("FIXED");
    details.convertible = Some(false);
    details.callable = Some(false);
    details.puttable = Some(false);
    details.desc_append = Some(format!("{} 4 1/4 02/15/34", listing.instrument().symbol));
    details.real_expiration_date = text("20340215");
}

/// `YYYYMMDD:HHMM-YYYYMMDD:HHMM` for each day, `YYYYMMDD:CLOSED` where nothing trades.
fn hours(listing: Listing, regular: bool, unix: i64) -> String {
    let hours = Hours::of(listing, regular);
    let today = unix / DAY;
    let days = (today..today + DAYS_OF_HOURS).map(|day| {
        let date = calendar::date(day);
        match hours.session(day) {
            None => format!("{date}:CLOSED"),
            Some((from, to)) => {
                let time = |unix: i64| format!("{:02}{:02}", unix / 3600 % 24, unix / 60 % 60);
                let end = calendar::date(to / DAY);
                format!("{date}:{}-{end}:{}", time(from), time(to))
            }
        }
    });
    days.collect::<Vec<_>>().join(";")
}
