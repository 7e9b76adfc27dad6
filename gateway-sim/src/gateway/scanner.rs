//! Market scanners: their parameters, and lists that come again and again.
//!
//! A list is the stocks in an order that follows from the scan and the time, filtered by price
//! where the request says so.

use std::fmt::Write as _;
use std::time::Duration;

use ibouncer_proto::tws::v1::{
    ScannerData, ScannerDataElement, ScannerParameters, ScannerParametersRequest,
    ScannerSubscription, ScannerSubscriptionRequest,
};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::connection::Connection;
use super::ids::tell;
use super::listings::{Listing, Term};
use super::series::mix;
use super::streams::{Family, Key};
use super::subscriptions::Stream;
use super::symbols::INSTRUMENTS;
use crate::limits::Limit;

/// Rows of one list.
const MOST_ROWS: i32 = 50;

/// Filters in the parameters: so many that they are as large as real ones.
const FILTERS: usize = 1100;

const SCAN_CODES: &[&str] = &[
    "TOP_PERC_GAIN",
    "TOP_PERC_LOSE",
    "MOST_ACTIVE",
    "MOST_ACTIVE_USD",
    "HOT_BY_VOLUME",
    "HOT_BY_PRICE",
    "TOP_TRADE_COUNT",
    "TOP_TRADE_RATE",
    "TOP_PRICE_RANGE",
    "HOT_BY_PRICE_RANGE",
    "HIGH_OPT_IMP_VOLAT",
    "LOW_OPT_IMP_VOLAT",
    "TOP_OPT_IMP_VOLAT_GAIN",
    "HIGH_OPEN_GAP",
    "LOW_OPEN_GAP",
    "HIGH_VS_52W_HL",
    "LOW_VS_52W_HL",
    "HIGH_DIVIDEND_YIELD_IB",
];

impl Connection {
    pub(super) fn on_scanner_parameters(
        &mut self,
        _: ScannerParametersRequest,
        _: &mut Shared,
        _: Duration,
    ) -> Answer {
        self.say(tell::SCANNER_PARAMETERS, &ScannerParameters { xml: Some(parameters()) });
        Ok(())
    }

    pub(super) fn on_scanner(
        &mut self,
        body: ScannerSubscriptionRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let key = (Family::Scanner, body.req_id());
        if self.streams.contains(key) {
            return Err(Refusal::new(385, "Duplicate ticker ID for API scanner subscription"));
        }
        let scan = body.scanner_subscription.unwrap_or_default();
        if !SCAN_CODES.contains(&scan.scan_code()) {
            let text = "Historical Market Data Service error message:invalid scan code";
            return Err(Refusal::new(162, text));
        }
        if shared.scanners >= shared.config.limits.of(Limit::Scanners) as usize {
            let text = "Error processing request: only 10 API scanner subscriptions are allowed";
            return Err(Refusal::limit(Limit::Scanners, 322, text));
        }
        shared.scanners += 1;
        self.begin(key, Stream::Scanner(Box::new(scan)), shared, now);
        Ok(())
    }

    /// The turn of a scanner: the complete list.
    pub(super) fn step_scanner(
        &mut self,
        (_, request_id): Key,
        scan: &ScannerSubscription,
        shared: &Shared,
        now: Duration,
    ) {
        let round = shared.unix_seconds(now) as u64 / 30;
        let code = scan.scan_code().bytes().fold(0, |sum, byte| mix(sum ^ u64::from(byte)));
        let above = scan.above_price.filter(|price| *price < 1e300).unwrap_or_default();
        let below = scan.below_price.filter(|price| *price < 1e300).unwrap_or(f64::MAX);
        let stocks = INSTRUMENTS.iter().enumerate().filter(|(_, instrument)| {
            let plain = !["NOPERM", "AMBIG"].contains(&instrument.symbol);
            let fits = (above..=below).contains(&instrument.price);
            instrument.sec_type == "STK" && plain && fits
        });
        let mut places: Vec<usize> = stocks.map(|(place, _)| place).collect();
        places.sort_by_key(|place| mix(code ^ shared.config.seed ^ round ^ *place as u64));
        let rows = match scan.number_of_rows() {
            rows @ 1..MOST_ROWS => rows,
            _ => MOST_ROWS,
        };
        let elements = places.iter().take(rows as usize).enumerate().map(|(rank, place)| {
            let listing = Listing { place: *place, term: Term::Itself };
            ScannerDataElement {
                rank: Some(rank as i32),
                contract: Some(shared.directory.contract(listing, "SMART")),
                market_name: Some("NMS".to_owned()),
                distance: Some(String::new()),
                benchmark: Some(String::new()),
                projection: Some(String::new()),
                combo_key: Some(String::new()),
            }
        });
        let message =
            ScannerData { req_id: Some(request_id), scanner_data_element: elements.collect() };
        self.say(tell::SCANNER_DATA, &message);
    }
}

/// Everything that can be scanned, as XML.
fn parameters() -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml.push_str("<ScanParameterResponse>\n<InstrumentList varName=\"instrumentList\">\n");
    for (name, kind) in [("US Stocks", "STK"), ("US ETFs", "ETF.EQ.US"), ("US Futures", "FUT.US")] {
        let _ = writeln!(
            xml,
            "<Instrument><name>{name}</name><type>{kind}</type>\
             <filters>AFTERHRSCHANGE,PRICE,VOLUME</filters></Instrument>"
        );
    }
    xml.push_str("</InstrumentList>\n<LocationTree varName=\"locationTree\">\n");
    for code in ["STK.US", "STK.US.MAJOR", "STK.NASDAQ", "STK.NYSE", "STK.ARCA"] {
        let _ = writeln!(
            xml,
            "<Location><displayName>{code}</displayName><locationCode>{code}</locationCode>\
             <instruments>STK</instruments></Location>"
        );
    }
    xml.push_str("</LocationTree>\n<ScanTypeList varName=\"scanTypeList\">\n");
    for code in SCAN_CODES {
        let _ = writeln!(
            xml,
            "<ScanType><displayName>{code}</displayName><scanCode>{code}</scanCode>\
             <instruments>STK</instruments></ScanType>"
        );
    }
    xml.push_str("</ScanTypeList>\n<FilterList varName=\"filterList\">\n");
    for number in 0..FILTERS {
        let _ = writeln!(
            xml,
            "<RangeFilter><id>SIMFILTER{number:04}</id><category>Simulated</category>\
             <access>allowed</access><AbstractField type=\"scanner.filter.DoubleField\">\
             <code>simFilter{number:04}Above</code><displayName>Filter {number}</displayName>\
             </AbstractField></RangeFilter>"
        );
    }
    xml.push_str("</FilterList>\n</ScanParameterResponse>\n");
    xml
}
