//! Orders that are open or completed, and who gets to see them. Nobody can place one here.
//!
//! A client sees its own; client id 0 also those that were given by hand. Whose the orders of
//! "our" client are is said by the configuration, or by who comes first. Rules: protocol fact
//! sheet, section 7.

use std::time::Duration;

use ibouncer_proto::tws::v1::{
    AllOpenOrdersRequest, AutoOpenOrdersRequest, CompletedOrder, CompletedOrdersEnd,
    CompletedOrdersRequest, Contract, OpenOrder, OpenOrdersEnd, OpenOrdersRequest, Order,
    OrderState, OrderStatus,
};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::calendar;
use super::connection::Connection;
use super::ids::tell;
use crate::seeds::{SeedOrder, SeedOwner, SeedState};

/// The client id that sees and binds manual orders.
const BINDING_CLIENT: i32 = 0;

impl Connection {
    pub(super) fn on_open_orders(
        &mut self,
        _: OpenOrdersRequest,
        shared: &mut Shared,
        _: Duration,
    ) -> Answer {
        let client_id = self.client_id.unwrap_or_default();
        for order in shared.open_orders() {
            let owner = shared.client_of(order.owner);
            let manual = order.owner == SeedOwner::Manual;
            if owner == client_id && (!manual || client_id == BINDING_CLIENT) {
                self.say_order(order, shared);
            }
        }
        self.say(tell::OPEN_ORDER_END, &OpenOrdersEnd {});
        Ok(())
    }

    pub(super) fn on_all_open_orders(
        &mut self,
        _: AllOpenOrdersRequest,
        shared: &mut Shared,
        _: Duration,
    ) -> Answer {
        for order in shared.open_orders() {
            self.say_order(order, shared);
        }
        self.say(tell::OPEN_ORDER_END, &OpenOrdersEnd {});
        Ok(())
    }

    pub(super) fn on_auto_open_orders(
        &mut self,
        _: AutoOpenOrdersRequest,
        _: &mut Shared,
        _: Duration,
    ) -> Answer {
        if self.client_id == Some(BINDING_CLIENT) {
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
        let by_api = |order: &&SeedOrder| order.owner != SeedOwner::Manual || !body.api_only();
        for order in shared.orders().filter(by_api) {
            let (status, filled) = match order.state {
                SeedState::Submitted => continue,
                SeedState::Filled => ("Filled", order.quantity),
                SeedState::Cancelled => ("Cancelled", 0),
            };
            let completed = shared.unix_seconds(now) - 1800;
            let message = CompletedOrder {
                contract: Some(shared.stock(&order.symbol)),
                order: Some(Order {
                    filled_quantity: Some(filled.to_string()),
                    ..shared.order(order)
                }),
                order_state: Some(OrderState {
                    status: Some(status.to_owned()),
                    completed_time: Some(calendar::date_time(completed)),
                    completed_status: Some(format!("{status} Size: {filled}")),
                    ..Default::default()
                }),
            };
            self.say(tell::COMPLETED_ORDER, &message);
        }
        self.say(tell::COMPLETED_ORDERS_END, &CompletedOrdersEnd {});
        Ok(())
    }

    fn say_order(&mut self, order: &SeedOrder, shared: &Shared) {
        let status = Some("Submitted".to_owned());
        let message = OpenOrder {
            order_id: Some(order.order_id),
            contract: Some(shared.stock(&order.symbol)),
            order: Some(shared.order(order)),
            order_state: Some(OrderState { status: status.clone(), ..Default::default() }),
        };
        self.say(tell::OPEN_ORDER, &message);
        let message = OrderStatus {
            order_id: Some(order.order_id),
            status,
            filled: Some("0".to_owned()),
            remaining: Some(order.quantity.to_string()),
            avg_fill_price: Some(0.0),
            perm_id: Some(order.perm_id),
            parent_id: Some(0),
            last_fill_price: Some(0.0),
            client_id: Some(shared.client_of(order.owner)),
            why_held: None,
            mkt_cap_price: Some(0.0),
        };
        self.say(tell::ORDER_STATUS, &message);
    }
}

impl Shared {
    /// The client id on the orders of an owner. Manual ones have that of the client that binds
    /// them.
    pub(super) fn client_of(&self, owner: SeedOwner) -> i32 {
        match owner {
            SeedOwner::Own => self.own_client_id.unwrap_or_default(),
            SeedOwner::Client(client_id) => client_id,
            SeedOwner::Manual => BINDING_CLIENT,
        }
    }

    /// A stock by its symbol.
    pub(super) fn stock(&self, symbol: &str) -> Contract {
        let wanted = Contract { symbol: Some(symbol.to_owned()), ..Default::default() };
        match self.directory.one(Some(&wanted)) {
            Ok(listing) => self.directory.contract(listing, listing.exchange()),
            Err(_) => wanted,
        }
    }

    fn orders(&self) -> impl Iterator<Item = &SeedOrder> {
        self.config.orders.iter().filter(|order| order.account < self.config.accounts.len())
    }

    fn open_orders(&self) -> impl Iterator<Item = &SeedOrder> {
        self.orders().filter(|order| order.state == SeedState::Submitted)
    }

    fn order(&self, order: &SeedOrder) -> Order {
        let text = |text: &str| Some(text.to_owned());
        Order {
            client_id: Some(self.client_of(order.owner)),
            order_id: Some(order.order_id),
            perm_id: Some(order.perm_id),
            parent_id: Some(0),
            action: text(if order.buy { "BUY" } else { "SELL" }),
            total_quantity: Some(order.quantity.to_string()),
            order_type: text("LMT"),
            lmt_price: Some(order.limit_price),
            aux_price: Some(0.0),
            tif: text("GTC"),
            account: self.config.accounts.get(order.account).cloned(),
            clearing_intent: text("IB"),
            oca_type: Some(3),
            order_ref: text(&order.order_ref),
            transmit: Some(true),
            ..Default::default()
        }
    }
}
