//! What owners and people do, at random.

use ibouncer_core::orders::request::OrderRequest;
use ibouncer_proto::api::v1;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::owners::{ADMIN, OWNERS, What};
use crate::world::World;

const SYMBOLS: [&str; 3] = ["AAPL", "MSFT", "NVDA"];

/// What an administrator types.
const CONFIRMATION: &str = "cancel every order of every program";

fn contract(symbol: &str) -> tws::Contract {
    tws::Contract {
        symbol: Some(symbol.into()),
        sec_type: Some("STK".into()),
        exchange: Some("SMART".into()),
        currency: Some("USD".into()),
        ..Default::default()
    }
}

impl World {
    /// One act of a random owner, or of a person.
    pub(crate) fn owner_acts(&mut self) {
        let index = self.rng.usize(..OWNERS.len());
        if self.orders.owners[index].client.is_none() {
            return self.owner_joins(index);
        }
        match self.rng.u8(..100) {
            0..=32 => self.place_one(index),
            33..=34 => self.flood(index),
            35..=42 => self.place_group(index),
            43..=49 => self.repeat(index),
            50..=64 => self.modify(index),
            65..=81 => self.cancel(index),
            82..=85 => {
                let name = self.place_one(index);
                self.cancel_name(index, &name);
                name
            }
            86..=88 => self.preview(index),
            89..=90 => {
                let all = v1::CancelAllOrdersRequest::default();
                self.order_call(index, What::Other, OrderRequest::CancelAll(all));
                String::new()
            }
            91..=92 => {
                self.owner_leaves(index);
                // It may begin its names anew.
                if self.rng.u8(..3) == 0 {
                    self.orders.owners[index].next = 0;
                }
                String::new()
            }
            93..=95 => {
                let calls = self.orders.calls.keys().copied().collect::<Vec<_>>();
                if let Some(call) = self.rng.choice(calls) {
                    self.drop_order_call(call);
                }
                String::new()
            }
            _ => self.person_acts(),
        };
    }

    fn person_acts(&mut self) -> String {
        self.owner_joins(ADMIN);
        let reason = "simulated".to_owned();
        let client = match self.rng.u8(..2) {
            0 => String::new(),
            _ => OWNERS[self.rng.usize(..3)].to_owned(),
        };
        let request = match self.rng.u8(..8) {
            0..=1 => {
                let cancel_open = self.rng.bool();
                OrderRequest::Halt(v1::HaltTradingRequest { client, reason, cancel_open })
            }
            2..=5 => OrderRequest::Resume(v1::ResumeTradingRequest { client, reason }),
            6 => {
                let owner = OWNERS[self.rng.usize(..3)].to_owned();
                OrderRequest::CancelAll(v1::CancelAllOrdersRequest { owner, reason })
            }
            _ => OrderRequest::CancelEvery(v1::CancelEveryOrderRequest {
                confirmation: CONFIRMATION.into(),
                reason,
            }),
        };
        self.trace(&format!("an administrator: {request:?}"));
        self.order_call(ADMIN, What::Other, request);
        String::new()
    }

    fn draw_order(&mut self) -> tws::PlaceOrderRequest {
        let symbol = SYMBOLS[self.rng.usize(..SYMBOLS.len())];
        let buy = self.rng.bool();
        let quantity = self.rng.u32(1..200);
        let market = self.rng.u8(..4) == 0;
        // Half of the limits rest, and half are crossed.
        let price = if buy == self.rng.bool() { 900.0 } else { 10.0 };
        tws::PlaceOrderRequest {
            contract: Some(contract(symbol)),
            order: Some(tws::Order {
                action: Some(if buy { "BUY" } else { "SELL" }.into()),
                order_type: Some(if market { "MKT" } else { "LMT" }.into()),
                total_quantity: Some(quantity.to_string()),
                lmt_price: (!market).then_some(price),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn new_name(&mut self, index: usize) -> String {
        let owner = &mut self.orders.owners[index];
        owner.next += 1;
        format!("o{}", owner.next)
    }

    fn new_order(&mut self, index: usize) -> v1::NewOrder {
        let client_order_id = self.new_name(index);
        let mut request = self.draw_order();
        // Some give a reference of their own, and some leave it to the broker.
        if self.rng.bool()
            && let Some(order) = &mut request.order
        {
            order.order_ref = Some(format!("{}/{client_order_id}", OWNERS[index]));
        }
        v1::NewOrder { client_order_id, request: Some(request), ..Default::default() }
    }

    fn place_one(&mut self, index: usize) -> String {
        let order = self.new_order(index);
        self.place(index, vec![order])
    }

    /// More than its share of the queue, of which something is taken back at once.
    fn flood(&mut self, index: usize) -> String {
        let count = self.rng.usize(9..30);
        let names: Vec<_> = (0..count).map(|_| self.place_one(index)).collect();
        for _ in 0..self.rng.usize(..4) {
            let name = names[self.rng.usize(..count)].clone();
            self.cancel_name(index, &name);
        }
        String::new()
    }

    /// What this owner means by a name is what it asked for first.
    fn place(&mut self, index: usize, orders: Vec<v1::NewOrder>) -> String {
        let mut names = Vec::new();
        for order in &orders {
            let known = self.orders.owners[index].known.entry(order.client_order_id.clone());
            let known = known.or_default();
            if known.request.client_order_id.is_empty() {
                known.request = order.clone();
            }
            known.may_have_left = true;
            names.push(order.client_order_id.clone());
        }
        let first = names[0].clone();
        self.trace(&format!("{} places {names:?}", OWNERS[index]));
        let request = match orders.len() {
            1 => {
                let order = orders.into_iter().next();
                OrderRequest::Place(v1::PlaceOrderRequest { order }.encode_to_vec().into())
            }
            _ => OrderRequest::PlaceGroup(v1::PlaceOrdersRequest { orders }.encode_to_vec().into()),
        };
        self.order_call(index, What::Place(names), request);
        first
    }

    /// A bracket that is transmitted with its last order, or an OCA pair.
    fn place_group(&mut self, index: usize) -> String {
        let mut orders: Vec<_> = (0..3).map(|_| self.new_order(index)).collect();
        let bracket = self.rng.bool();
        let parent = orders[0].clone();
        for (place, order) in orders.iter_mut().enumerate() {
            let own = order.request.as_ref().and_then(|one| one.order.clone());
            order.request.clone_from(&parent.request);
            let Some(request) = order.request.as_mut().and_then(|one| one.order.as_mut()) else {
                continue;
            };
            request.order_ref = own.and_then(|own| own.order_ref);
            if !bracket {
                // The same word at every owner.
                request.oca_group = Some("exit".into());
                request.oca_type = Some(1);
                continue;
            }
            request.transmit = Some(place == 2);
            if place > 0 {
                let up = if request.action() == "BUY" { "SELL" } else { "BUY" };
                request.action = Some(up.into());
                request.order_type = Some("LMT".into());
                request.lmt_price = Some(if up == "SELL" { 900.0 } else { 10.0 });
                order.parent_client_order_id.clone_from(&parent.client_order_id);
            }
        }
        if !bracket {
            orders.truncate(2);
        }
        self.place(index, orders)
    }

    fn some_name(&mut self, index: usize) -> Option<String> {
        let names: Vec<_> = self.orders.owners[index].known.keys().cloned().collect();
        self.rng.choice(names)
    }

    /// The same call again, or the same name for another order.
    fn repeat(&mut self, index: usize) -> String {
        let Some(name) = self.some_name(index) else {
            return String::new();
        };
        let mut order = self.orders.owners[index].known[&name].request.clone();
        if order.client_order_id.is_empty() {
            return String::new();
        }
        if self.rng.u8(..3) == 0 {
            order.request = Some(self.draw_order());
        }
        self.place(index, vec![order])
    }

    fn modify(&mut self, index: usize) -> String {
        let Some(name) = self.some_name(index) else {
            return String::new();
        };
        let Some(known) = self.orders.owners[index].known.get_mut(&name) else {
            return name;
        };
        known.modifies += 1;
        let mut request = known.request.request.clone();
        if let Some(order) = request.as_mut().and_then(|one| one.order.as_mut()) {
            let quantity = self.rng.u32(1..200);
            order.total_quantity = Some(quantity.to_string());
            if let Some(price) = &mut order.lmt_price {
                *price += f64::from(self.rng.u8(..3));
            }
        }
        self.trace(&format!("{} modifies {name}", OWNERS[index]));
        let asked =
            v1::ModifyOrderRequest { client_order_id: name.clone(), request, ..Default::default() };
        let request = OrderRequest::Modify(asked.encode_to_vec().into());
        self.order_call(index, What::Other, request);
        name
    }

    fn cancel(&mut self, index: usize) -> String {
        let Some(name) = self.some_name(index) else {
            return String::new();
        };
        self.cancel_name(index, &name);
        name
    }

    fn cancel_name(&mut self, index: usize, name: &str) {
        let client_order_id = name.to_owned();
        self.trace(&format!("{} cancels {name}", OWNERS[index]));
        let asked = v1::CancelOrderRequest { client_order_id, ..Default::default() };
        self.order_call(index, What::Other, OrderRequest::Cancel(asked.encode_to_vec().into()));
    }

    fn preview(&mut self, index: usize) -> String {
        let request = Some(self.draw_order());
        let asked = v1::PreviewOrderRequest { request };
        let request = OrderRequest::Preview(asked.encode_to_vec().into());
        self.order_call(index, What::Other, request);
        String::new()
    }
}
