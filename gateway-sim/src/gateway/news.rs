//! News: providers, articles, headlines of the past and of the moment, and bulletins.
//!
//! Headlines are a function of contract, provider and time, so a headline that ticked is found
//! again in the past, and its article by its id.

use std::time::Duration;

use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::{
    CancelNewsBulletins, HistoricalNews, HistoricalNewsEnd, HistoricalNewsRequest, NewsArticle,
    NewsArticleRequest, NewsBulletin, NewsBulletinsRequest, NewsProvider, NewsProviders,
    NewsProvidersRequest, TickNews,
};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::calendar;
use super::connection::Connection;
use super::ids::tell;
use super::listings::Listing;
use super::streams::{Family, Key};
use super::subscriptions::Stream;

/// Name of bulletins: they have no id.
const BULLETINS: Key = (Family::Bulletins, 0);

/// Seconds between two headlines of a contract.
const PAUSE: i64 = 10_800;

/// Headlines in one answer.
const MOST: i32 = 300;

const PROVIDERS: &[(&str, &str)] = &[
    ("BRFG", "Briefing.com General Market Columns"),
    ("BRFUPDN", "Briefing.com Analyst Actions"),
    ("DJNL", "Dow Jones Newsletters"),
    ("DJ-N", "Dow Jones Global Equity Trader News"),
];

const HEADLINES: &[&str] = &[
    "reports quarterly results above expectations",
    "names a new chief financial officer",
    "opens a plant in Ohio",
    "is upgraded to buy",
    "announces a dividend",
];

/// Bulletins of the past: type, text, exchange.
const BACKLOG: &[(i32, &str, &str)] = &[
    (1, "The simulator is running. No exchange is harmed by it.", ""),
    (2, "Exchange is not available", "AMEX"),
    (3, "Exchange is available", "AMEX"),
];

impl Connection {
    pub(super) fn on_news_providers(
        &mut self,
        _: NewsProvidersRequest,
        _: &mut Shared,
        _: Duration,
    ) -> Answer {
        let providers = PROVIDERS.iter().map(|(code, name)| NewsProvider {
            provider_code: Some((*code).to_owned()),
            provider_name: Some((*name).to_owned()),
        });
        let message = NewsProviders { news_providers: providers.collect() };
        self.say(tell::NEWS_PROVIDERS, &message);
        Ok(())
    }

    pub(super) fn on_news_article(
        &mut self,
        body: NewsArticleRequest,
        shared: &mut Shared,
        _: Duration,
    ) -> Answer {
        let provider = body.provider_code();
        let known = PROVIDERS.iter().any(|(code, _)| *code == provider);
        let article = body.article_id().strip_prefix(&format!("{provider}$"));
        let number = article.and_then(|rest| u64::from_str_radix(rest, 16).ok());
        let Some(number) = number.filter(|_| known) else {
            return Err(Refusal::new(10172, "Failed to request news article: no such article"));
        };
        let listing = shared.directory.by_con_id((number >> 32) as i32);
        let symbol = listing.map_or("Somebody", |listing| listing.instrument().symbol);
        let (unix, text) = (i64::from(number as u32), headline(number as u32));
        let message = NewsArticle {
            req_id: body.req_id,
            article_type: Some(0),
            article_text: Some(format!(
                "{}: {symbol} {text}.\n\nThis article was simulated; nothing in it is true.",
                calendar::date_time(unix)
            )),
        };
        self.say(tell::NEWS_ARTICLE, &message);
        Ok(())
    }

    pub(super) fn on_historical_news(
        &mut self,
        body: HistoricalNewsRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let Some(listing) = shared.directory.by_con_id(body.con_id()) else {
            return Err(Refusal::unknown_contract());
        };
        let codes: Vec<_> = body.provider_codes().split('+').map(str::trim).collect();
        let known = |code: &&str| PROVIDERS.iter().any(|(known, _)| known == code);
        if !codes.iter().all(known) {
            return Err(Refusal::invalid("a news provider is not known"));
        }
        let time = |text: &str, otherwise| match text {
            "" => Ok(otherwise),
            // Requests may carry fractions of seconds.
            text => calendar::parse(text.split('.').next().unwrap_or_default())
                .ok_or_else(|| Refusal::new(10314, "Date/Time is not valid")),
        };
        let end = time(body.end_date_time(), shared.unix_seconds(now))?;
        let start = time(body.start_date_time(), 0)?.max(0);
        let wanted = body.total_results().clamp(1, MOST);
        let (mut said, mut unix) = (0, end / PAUSE * PAUSE);
        while unix >= start && unix > 0 && said < wanted {
            let provider = codes[(unix / PAUSE) as usize % codes.len()];
            let message = HistoricalNews {
                req_id: body.req_id,
                time: Some(calendar::date_time(unix).replace(" UTC", ".0")),
                provider_code: Some(provider.to_owned()),
                article_id: Some(article_id(provider, listing, unix)),
                headline: Some(format!(
                    "{} {}",
                    listing.instrument().symbol,
                    headline(unix as u32)
                )),
            };
            self.say(tell::HISTORICAL_NEWS, &message);
            said += 1;
            unix -= PAUSE;
        }
        let message =
            HistoricalNewsEnd { req_id: body.req_id, has_more: Some(unix >= start && unix > 0) };
        self.say(tell::HISTORICAL_NEWS_END, &message);
        Ok(())
    }

    pub(super) fn on_bulletins(
        &mut self,
        body: NewsBulletinsRequest,
        shared: &mut Shared,
        _: Duration,
    ) -> Answer {
        if body.all_messages() {
            for (place, (kind, text, exchange)) in BACKLOG.iter().enumerate() {
                self.say_bulletin(place as i32 + 1, *kind, text, exchange);
            }
            for (number, text) in shared.bulletins.clone() {
                self.say_bulletin(number, 1, &text, "");
            }
        }
        self.streams.open(BULLETINS, None, Stream::Named);
        Ok(())
    }

    pub(super) fn on_cancel_bulletins(
        &mut self,
        _: CancelNewsBulletins,
        _: &mut Shared,
        _: Duration,
    ) -> Answer {
        self.streams.close(BULLETINS);
        Ok(())
    }

    /// A bulletin of the moment, for those who want them.
    pub(super) fn on_bulletin(&mut self, number: i32, text: &str) {
        if self.streams.contains(BULLETINS) {
            self.say_bulletin(number, 1, text, "");
        }
    }

    /// A headline for a market data line with generic tick 292.
    pub(super) fn say_news_tick(&mut self, request_id: i32, listing: Listing, unix_millis: u64) {
        let unix = (unix_millis / 1000) as i64;
        let (provider, _) = PROVIDERS[(unix / 5) as usize % PROVIDERS.len()];
        let message = TickNews {
            req_id: Some(request_id),
            timestamp: Some(unix_millis as i64),
            provider_code: Some(provider.to_owned()),
            article_id: Some(article_id(provider, listing, unix)),
            headline: Some(format!("{} {}", listing.instrument().symbol, headline(unix as u32))),
            extra_data: Some("K:0.50".to_owned()),
        };
        self.say(id::TICK_NEWS, &message);
    }

    fn say_bulletin(&mut self, number: i32, kind: i32, text: &str, exchange: &str) {
        let message = NewsBulletin {
            news_msg_id: Some(number),
            news_msg_type: Some(kind),
            news_message: Some(text.to_owned()),
            originating_exch: Some(exchange.to_owned()),
        };
        self.say(tell::NEWS_BULLETINS, &message);
    }
}

impl Shared {
    /// Notes a bulletin; its number.
    pub(super) fn publish(&mut self, text: &str) -> i32 {
        let number = (BACKLOG.len() + self.bulletins.len()) as i32 + 1;
        self.bulletins.push((number, text.to_owned()));
        number
    }
}

fn article_id(provider: &str, listing: Listing, unix: i64) -> String {
    let number = (listing.con_id() as u64) << 32 | u64::from(unix as u32);
    format!("{provider}${number:x}")
}

fn headline(unix: u32) -> &'static str {
    HEADLINES[(unix / 5) as usize % HEADLINES.len()]
}
