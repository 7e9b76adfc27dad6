//! Requests that trade: what is refused before the book sees it, and what becomes of the answers.
//!
//! A request is checked in `wishes.rs` as far as that goes without the book. Then the book has it (`book.rs`), and what the book has to tell goes to
//! whom it concerns: to the client that asked before its next request, to others at the end of the
//! step. A client that is not connected hears nothing, and nothing is repeated later. Faults of
//! answers are here, because only here it is known what an answer is.

use std::time::Duration;

use ibouncer_proto::tws::v1::{
    CancelOrderRequest, ExerciseOptionsRequest, GlobalCancelRequest, OpenOrdersEnd, Order,
    PlaceOrderRequest,
};

use super::answer::{Answer, Refusal};
use super::book::{AtOrder, Audience, Desk, Frame, Kind, Quantity, Quote, Settings, Wish, wire};
use super::connection::{Connection, Ending};
use super::executions::LIVE;
use super::ids::tell;
use super::listings::Listing;
use super::traded::Traded;
use super::{Gateway, Shared, millis};
use crate::config::GatewayConfig;
use crate::events::{CloseHow, Event};
use crate::happening::DropAtOrder;
use crate::limits::Limit;
use crate::seeds::SeedOwner;

/// What the configuration makes of the book.
pub(super) fn settings(config: &GatewayConfig) -> Settings {
    Settings {
        manual_fills: config.manual_fills,
        part: Quantity::whole(config.fill_part.max(1)),
        interval: config.fill_interval,
        most_active: config.limits.of(Limit::ActiveOrders),
        first_order_id: config.next_order_id,
    }
}

impl Connection {
    pub(super) fn on_place_order(
        &mut self,
        body: PlaceOrderRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let client_id = self.client_id.unwrap_or_default();
        let at_order = shared.book.script.at_order();
        self.dies |= matches!(at_order, AtOrder::Drop(_));
        if at_order == AtOrder::Drop(DropAtOrder::Refused) {
            shared.book.note_refused(client_id, body.order_id(), reference(&body), 0);
            return Ok(());
        }
        // What others have caused meanwhile is no part of the answer.
        self.hear_orders(shared, now);
        let owner = SeedOwner::Client(client_id);
        let (order_id, reference) = (body.order_id(), reference(&body));
        let wish = shared.wish(owner, body, now);
        let placed = wish.and_then(|wish| shared.trade(now, |book, desk| book.place(wish, desk)));
        if let Err(refusal) = &placed {
            shared.book.note_refused(client_id, order_id, reference, refusal.code);
        }
        self.answer_order(placed, at_order, shared, now)
    }

    /// Says what the book has to tell to this client, and what became of its request; or loses it.
    fn answer_order(
        &mut self,
        answer: Answer,
        at_order: AtOrder,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let client_id = self.client_id.unwrap_or_default();
        match at_order {
            AtOrder::Answer => {
                self.hear_orders(shared, now);
                answer
            }
            AtOrder::Lose | AtOrder::Drop(DropAtOrder::Accepted | DropAtOrder::Refused) => {
                shared.book.take_for(client_id);
                Ok(())
            }
            AtOrder::Later | AtOrder::Drop(DropAtOrder::Later) => {
                let frames = shared.book.take_for(client_id);
                shared.book.keep_for_later(client_id, frames);
                Ok(())
            }
        }
    }

    pub(super) fn on_cancel_order(
        &mut self,
        body: CancelOrderRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        shared.allow_trading()?;
        let at_cancel = shared.book.script.at_cancel();
        self.dies |= matches!(at_cancel, AtOrder::Drop(_));
        if at_cancel == AtOrder::Drop(DropAtOrder::Refused) {
            return Ok(());
        }
        self.hear_orders(shared, now);
        let owner = SeedOwner::Client(self.client_id.unwrap_or_default());
        let order_id = body.order_id();
        let answer = shared.trade(now, |book, desk| book.cancel(owner, order_id, desk));
        self.answer_order(answer, at_cancel, shared, now)
    }

    pub(super) fn on_global_cancel(
        &mut self,
        _: GlobalCancelRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        shared.allow_trading()?;
        shared.trade(now, |book, desk| book.cancel_all(desk));
        self.hear_orders(shared, now);
        Ok(())
    }

    /// An exercise is an order that stays open until it is told to be filled, or cancelled.
    pub(super) fn on_exercise_options(
        &mut self,
        body: ExerciseOptionsRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        shared.allow_trading()?;
        let listing = shared.directory.one(body.contract.as_ref())?;
        if body.order_id() == i32::MAX {
            return Err(Refusal::unreadable());
        }
        if !listing.is_option() {
            return Err(Refusal::invalid("Only options can be exercised"));
        }
        if !(1..=2).contains(&body.exercise_action()) {
            return Err(Refusal::invalid("The exercise action must be 1 or 2"));
        }
        let account = shared.account(body.account())?;
        let wanted = body.exercise_quantity();
        let held = shared.holdings(&account).find(|one| one.listing == listing);
        let held = held.map_or(0.0, |held| held.quantity);
        if wanted <= 0 || held < f64::from(wanted) {
            return Err(Refusal::failed("The account does not hold so many of this option"));
        }
        let quantity = Quantity::whole(wanted.unsigned_abs());
        let order = Order {
            action: Some("SELL".to_owned()),
            total_quantity: Some(quantity.to_string()),
            account: Some(account),
            transmit: Some(true),
            ..Default::default()
        };
        let owner = SeedOwner::Client(self.client_id.unwrap_or_default());
        let wish = Wish {
            owner,
            order_id: body.order_id(),
            traded: Traded::One(listing),
            contract: shared.directory.contract(listing, listing.exchange()),
            order,
            kind: Kind::Exercise,
            buy: false,
            quantity,
            attached: None,
            rejection: None,
            equity: 0.0,
            warning: None,
        };
        let placed = shared.trade(now, |book, desk| book.place(wish, desk));
        self.hear_orders(shared, now);
        placed
    }

    /// Says what the book has to tell to this client.
    pub(super) fn hear_orders(&mut self, shared: &mut Shared, now: Duration) {
        for frame in shared.book.take_for(self.client_id.unwrap_or_default()) {
            self.hear(&frame, shared, now);
        }
    }

    /// Says what was kept for this session.
    pub(super) fn hear_late_answers(&mut self, shared: &mut Shared, now: Duration) {
        for frame in shared.book.take_later(self.client_id.unwrap_or_default()) {
            self.hear(&frame, shared, now);
        }
    }

    pub(super) fn hear(&mut self, frame: &Frame, shared: &Shared, now: Duration) {
        match frame {
            Frame::OpenOrder(entry, commission) => {
                let client_id = shared.book.client_of(entry.owner);
                let message = wire::open_order(entry, client_id, *commission);
                self.say(tell::OPEN_ORDER, &message);
            }
            Frame::Status(entry, held) => {
                let message = wire::status(entry, shared.book.client_of(entry.owner), *held);
                self.say(tell::ORDER_STATUS, &message);
            }
            Frame::WhatIf(message) => self.say(tell::OPEN_ORDER, &**message),
            Frame::Execution(done) => self.say_execution(LIVE, done, shared),
            Frame::Commission(done) => self.say_commission(done),
            Frame::Error(order_id, code, text) => {
                self.replies(shared, now).error(*order_id, *code, text);
            }
            Frame::Position(holding) => self.on_position_changed(holding, shared, now),
            Frame::End => self.say(tell::OPEN_ORDER_END, &OpenOrdersEnd {}),
        }
    }
}

impl Gateway {
    /// Lets quotes meet orders, and parts follow each other.
    pub(super) fn step_orders(&mut self, now: Duration) {
        let shared = &mut self.shared;
        shared.refresh_quotes(now);
        shared.trade(now, |book, desk| book.match_all(desk));
    }

    /// Tells of orders to whom it concerns, and of each change to whoever watches.
    pub(super) fn settle_orders(&mut self, now: Duration) {
        if !self.shared.book.has_news() {
            return;
        }
        while let Some((audience, frame)) = self.shared.book.take_news() {
            let shared = &mut self.shared;
            let listener = match audience {
                Audience::Everyone => None,
                // What is done by hand concerns client 0, its executions in any case.
                Audience::Owner(SeedOwner::Manual)
                    if !shared.binds
                        && !matches!(frame, Frame::Execution(_) | Frame::Commission(_)) =>
                {
                    continue;
                }
                Audience::Owner(owner) => Some(shared.book.client_of(owner)),
            };
            for connection in self.connections.values_mut() {
                let concerned = listener.is_none() || connection.client_id == listener;
                if connection.is_served() && concerned {
                    connection.hear(&frame, shared, now);
                    connection.flush(shared, now);
                }
            }
        }
        while let Some((what, order)) = self.shared.book.take_change() {
            self.shared.event(Event::Order { at_ms: millis(now), what, order });
        }
    }
}

/// The end of a connection that dies between an order and its answer.
pub(super) fn death() -> Ending {
    Ending::new(CloseHow::Fault, "told to end at an order or a cancel".to_owned())
}

impl Shared {
    /// Lets the book do something.
    pub(super) fn trade<T>(
        &mut self,
        now: Duration,
        work: impl FnOnce(&mut super::book::OrderBook, &mut Desk<'_>) -> T,
    ) -> T {
        let unix = self.unix_seconds(now);
        let (portfolio, directory) = (&mut self.portfolio, &self.directory);
        work(&mut self.book, &mut Desk { portfolio, directory, now, unix })
    }

    /// Tells the book the quotes of the contracts that it has orders of.
    pub(super) fn refresh_quotes(&mut self, now: Duration) {
        for listing in self.book.contracts() {
            let quote = self.quote(listing, now);
            self.book.set_quote(listing, quote);
        }
    }

    /// Tells the book the quotes of what one order is of.
    pub(super) fn refresh_quotes_of(&mut self, traded: &Traded, now: Duration) {
        for listing in traded.listings() {
            let quote = self.quote(listing, now);
            self.book.set_quote(listing, quote);
        }
    }

    /// Moves the market of an instrument to a price.
    pub(super) fn set_price(&mut self, symbol: &str, price: f64) {
        let walks = &mut self.market.walks;
        if let Some(walk) = walks.iter_mut().find(|walk| walk.instrument.symbol == symbol) {
            walk.set(price);
        }
    }

    /// Bid and ask of a contract.
    pub(super) fn quote(&mut self, listing: Listing, now: Duration) -> Quote {
        let place = self.place(listing, now);
        let walk = &self.market.walks[place];
        let step = 1.0 / f64::from(walk.instrument.steps);
        Quote { bid: walk.price(walk.bid), ask: walk.price(walk.ask), step }
    }
}

fn reference(body: &PlaceOrderRequest) -> String {
    body.order.as_ref().map(|order| order.order_ref().to_owned()).unwrap_or_default()
}
