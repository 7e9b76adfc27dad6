//! Rust client of IBouncer: one Interactive Brokers Gateway session, shared by many programs.
//!
//! ```no_run
//! use ibouncer_client::{Client, Feed, Options, contract};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect(Options::new()).await?;
//! let mut quotes = client.market_data().await?;
//! let apple = quotes.subscribe(contract::stock("AAPL"), Feed::Live).await?;
//! while let Some(batch) = quotes.next_batch().await? {
//!     for event in batch.events() {
//!         let event = event?;
//!         if let (true, Some(tick)) = (event.subscription_id == apple, event.tick()?) {
//!             println!("{} {tick:?}", tick.name());
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! - [`Client`] finds a running broker by itself ([`Options`] says how) and never starts one.
//! - [`MarketDataStream`] carries any number of subscriptions, to quotes, books, tick-by-tick
//!   data and bars; [`EventBatch`] hands out what arrived without copying or allocating per tick.
//!   [`Book`] keeps an order book from it.
//! - [`Client::history`], [`contracts`](Client::contracts), [`accounts`](Client::accounts),
//!   [`orders`](Client::orders), [`news`](Client::news), [`scanners`](Client::scanners) group the
//!   calls; a [`Subscription`] is what goes on.
//! - [`Orders::place`] answers with an [`OrderHandle`], whose [`Outcome`] can be waited for;
//!   [`order`] writes the usual orders.
//! - [`Error`] says who made the error and whether trying again makes sense.
//! - Messages are those of the schema: [`api`] and [`tws`].
//!
//! The client keeps no state of its own about the session: the broker does. Only streams
//! remember what they asked for, and ask the next broker for it.
#![warn(missing_docs)]

mod admin;
mod book;
mod client;
mod connect;
pub mod contract;
mod current;
mod error;
mod identity;
mod market_data;
mod options;
pub mod order;
mod reconnect;
mod services;
mod status;
pub mod stubs;
mod subscription;
pub mod ticks;
mod told;
mod trading;

pub use ibouncer_proto::api::v1 as api;
pub use ibouncer_proto::api::v1::MarketDataFeed as Feed;
pub use ibouncer_proto::places;
pub use ibouncer_proto::tws::v1 as tws;
pub use prost;

pub use crate::admin::{Admin, EventStream};
pub use crate::book::{Book, BookChange, BookRow};
pub use crate::client::{Client, Service};
pub use crate::connect::{ConnectError, Target, Tried};
pub use crate::error::{Delivery, Error, Origin, Retry};
pub use crate::identity::Identity;
pub use crate::market_data::{
    DepthChange, EventBatch, EventKind, EventRef, Events, LineRequest, Malformed, MarketDataStream,
    Operation, Side, SingleTick, SubscriptionId, Subscriptions, Tick, TickKind, events,
};
pub use crate::options::Options;
pub use crate::services::{
    AccountUpdates, Accounts, Answer, BarRequest, Bars, Contracts, Executions, Headlines, History,
    News, OpenOrders, Orders, PastTicks, Scanners, Session,
};
pub use crate::status::{Readiness, StatusStream, StatusUpdate};
pub use crate::subscription::Subscription;
pub use crate::told::Event as SubscriptionEvent;
pub use crate::trading::{ExecutionStream, OrderHandle, OrderStream, Outcome};
