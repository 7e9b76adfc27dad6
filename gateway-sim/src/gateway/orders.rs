//! Lists of orders that are open or completed, and who gets to see them.
//!
//! A client sees its own; client id 0 also those that were given by hand. Whose the orders of
//! "our" client are is said by the configuration, or by who comes first. Rules: protocol fact
//! sheet, section 7.

use std::time::Duration;

use ibouncer_proto::tws::v1::{
    AllOpenOrdersRequest, AutoOpenOrdersRequest, CompletedOrdersEnd, CompletedOrdersRequest,
    Contract, OpenOrdersEnd, OpenOrdersRequest, Order,
};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::book::{Entry, Frame, Kind, NewEntry, Quantity, Status, wire};
use super::connection::Connection;
use super::ids::tell;
use super::traded::Traded;
use crate::seeds::{SeedOrder, SeedOwner, SeedState};

/// The client id that sees and binds manual orders.
const BINDING_CLIENT: i32 = 0;

impl Connection {
    pub(super) fn on_open_orders(
        &mut self,
        _: OpenOrdersRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let client_id = self.client_id.unwrap_or_default();
        shared.binds |= client_id == BINDING_CLIENT;
        let book = &shared.book;
        let own = |entry: &&Entry| {
            let manual = entry.owner == SeedOwner::Manual;
            book.client_of(entry.owner) == client_id && (!manual || client_id == BINDING_CLIENT)
        };
        let own: Vec<_> = shared.open_orders().filter(own).cloned().collect();
        self.say_orders(own, shared, now);
        Ok(())
    }

    pub(super) fn on_all_open_orders(
        &mut self,
        _: AllOpenOrdersRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let all: Vec<_> = shared.open_orders().cloned().collect();
        self.say_orders(all, shared, now);
        Ok(())
    }

    pub(super) fn on_auto_open_orders(
        &mut self,
        body: AutoOpenOrdersRequest,
        shared: &mut Shared,
        _: Duration,
    ) -> Answer {
        if self.client_id == Some(BINDING_CLIENT) {
            shared.binds = body.auto_bind();
            return Ok(());
        }
        let text = "Only the default client (i.e. 0) can auto bind orders.";
        Err(Refusal::new(327, text))
    }

    pub(super) fn on_completed_orders(
        &mut self,
        body: CompletedOrdersRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let unix = shared.unix_seconds(now);
        // The latest first.
        for entry in shared.book.entries().rev() {
            let over = !entry.is_alive() && entry.status() != Status::Vanished;
            if over && (entry.owner != SeedOwner::Manual || !body.api_only()) {
                self.say(tell::COMPLETED_ORDER, &wire::completed(entry, unix));
            }
        }
        self.say(tell::COMPLETED_ORDERS_END, &CompletedOrdersEnd {});
        Ok(())
    }

    /// The list and its end. Nothing says to which request an end belongs, and by fault it comes
    /// too early, or there is one too many, or the list lacks an order.
    fn say_orders(&mut self, mut list: Vec<Entry>, shared: &mut Shared, now: Duration) {
        let script = &mut shared.book.script;
        let (early, foreign) = (script.early_end(), script.foreign_end());
        if script.short_list() {
            list.pop();
        }
        if early || foreign {
            self.say(tell::OPEN_ORDER_END, &OpenOrdersEnd {});
        }
        for entry in list {
            let held = shared.book.why_held(&entry);
            let entry = Box::new(entry);
            self.hear(&Frame::OpenOrder(entry.clone(), true), shared, now);
            self.hear(&Frame::Status(entry, held), shared, now);
        }
        if !early {
            self.say(tell::OPEN_ORDER_END, &OpenOrdersEnd {});
        }
    }
}

impl Shared {
    /// A stock by its symbol.
    pub(super) fn stock(&self, symbol: &str) -> Contract {
        let wanted = Contract { symbol: Some(symbol.to_owned()), ..Default::default() };
        match self.directory.one(Some(&wanted)) {
            Ok(listing) => self.directory.contract(listing, listing.exchange()),
            Err(_) => wanted,
        }
    }

    /// Puts the orders of the configuration into the book, as far as account and stock exist.
    pub(super) fn seed_orders(&mut self) {
        let unix = self.unix_seconds(Duration::ZERO) - 1800;
        for seed in self.config.orders.clone() {
            let contract = self.stock(&seed.symbol);
            let account = self.config.accounts.get(seed.account).cloned();
            let (Ok(listing), Some(account)) = (self.directory.one(Some(&contract)), account)
            else {
                continue;
            };
            let quantity = Quantity::whole(seed.quantity);
            let (status, filled) = match seed.state {
                SeedState::Submitted => (Status::Submitted, Quantity::ZERO),
                SeedState::Filled => (Status::Filled, quantity),
                SeedState::Cancelled => (Status::Cancelled, Quantity::ZERO),
            };
            let new = NewEntry {
                perm_id: seed.perm_id,
                owner: seed.owner,
                order_id: seed.order_id,
                traded: Traded::One(listing),
                contract,
                order: order(&seed, account),
                kind: Kind::Limit,
                buy: seed.buy,
                quantity,
                parent: None,
            };
            self.book.seed(new, (status, unix), filled);
        }
    }

    /// Whatever is alive, also what Gateway has kept.
    fn open_orders(&self) -> impl Iterator<Item = &Entry> {
        self.book.living()
    }
}

fn order(seed: &SeedOrder, account: String) -> Order {
    let text = |text: &str| Some(text.to_owned());
    Order {
        action: text(if seed.buy { "BUY" } else { "SELL" }),
        order_type: text("LMT"),
        lmt_price: Some(seed.limit_price),
        tif: text("GTC"),
        account: Some(account),
        order_ref: text(&seed.order_ref),
        transmit: Some(true),
        ..Default::default()
    }
}
