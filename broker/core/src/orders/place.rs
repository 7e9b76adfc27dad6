//! Taking orders in: read, known before?, allowed?, given ids, put into the queue.
//!
//! A refusal here leaves nothing behind. What is taken in is one unit: an order, or a group that
//! leaves in one frame. The same name with the same request is the same order; so a caller that
//! does not know whether its call arrived simply makes it again.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ibouncer_proto::api::v1::{self, OrderState as State};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::body::{self, Purpose, UpstreamIds};
use super::brakes::{self, Gate};
use super::journal::{Audit, OrderRecord};
use super::leaving::{Ask, Departure, WAITS, What};
use super::order::Order;
use super::patch::{Put, part, parts, patched};
use super::request::OrderRequest;
use super::rights::{self, Known};
use super::{Caller, Desk, Doing, HIGHEST_ORDER_ID, Surroundings, Waiting};
use crate::checks;
use crate::error::{self, Error};
use crate::ids::CallId;
use crate::pacing::Lane;
use crate::principals::{Principal, WhenAway};
use crate::wire;

/// Most orders of a group: they leave at once, and Gateway takes 50 messages a second.
const LARGEST_GROUP: usize = 10;

/// Most requests that wait for trading to open.
const MOST_WAITING: usize = 1_000;

/// Longest name of an order.
const LONGEST_NAME: usize = 64;

/// Ids that are reserved on disk at once; after a restart the rest of them is skipped.
const FLOOR_STEP: i32 = 64;

/// An order of a request, read and checked by itself.
struct Placement {
    name: String,
    /// As it came.
    body: Vec<u8>,
    request: tws::PlaceOrderRequest,
    parent: String,
    stop_loss: String,
    profit_taker: String,
    fingerprint: Vec<u8>,
}

/// Whether a request is taken now.
enum Admitted {
    Now,
    Later,
}

impl Desk {
    pub(super) fn place(
        &mut self,
        caller: &Caller,
        call: CallId,
        raw: &Bytes,
        group: bool,
        around: Surroundings<'_>,
    ) -> Result<(), Error> {
        let (owner, principal) = self.trader(caller)?;
        let placements = read(raw, group)?;
        let ask = |again| if group { Ask::Group { again } } else { Ask::Place { again } };
        if let Some(known) = self.known(&owner, &placements)? {
            return self.already_placed(call, ask(true), &known);
        }
        let request = if group { OrderRequest::PlaceGroup } else { OrderRequest::Place };
        match self.admit(&owner, &principal, call, caller, || request(raw.clone()))? {
            Admitted::Later => return Ok(()),
            Admitted::Now => {}
        }
        for (index, placement) in placements.iter().enumerate() {
            let contract = placement.request.contract.clone().unwrap_or_default();
            let order = placement.request.order.clone().unwrap_or_default();
            let mut known = self.known_of(&owner, &around, (around.quote)(&contract));
            known.open_orders += index;
            known.last_minute += index;
            rights::check(&self.settings, &principal, known, &contract, &order)?;
        }
        self.take_in(caller, call, &owner, placements, ask(false), around.now)
    }

    pub(super) fn exercise(
        &mut self,
        caller: &Caller,
        call: CallId,
        raw: &Bytes,
        around: Surroundings<'_>,
    ) -> Result<(), Error> {
        let (owner, principal) = self.trader(caller)?;
        let request = v1::ExerciseOptionsRequest::decode(&raw[..]).map_err(unreadable)?;
        let name = checked_name("client_order_id", &request.client_order_id)?;
        let body = part(raw, 2).map_err(unreadable)?.unwrap_or_default();
        let asked = request.request.unwrap_or_default();
        checks::contract(asked.contract.as_ref())?;
        if !matches!(asked.exercise_action(), 1 | 2) || asked.exercise_quantity() <= 0 {
            return Err(error::invalid(
                "request.exercise_action must be 1 (exercise) or 2 (lapse), and \
                 exercise_quantity above 0",
            ));
        }
        let fingerprint = Sha256::digest(raw).to_vec();
        if let Some(known) = self.known_one(&owner, &name, &fingerprint)? {
            return self.already_placed(call, Ask::Exercise { again: true }, &[known]);
        }
        let again = || OrderRequest::Exercise(raw.clone());
        match self.admit(&owner, &principal, call, caller, again)? {
            Admitted::Later => return Ok(()),
            Admitted::Now => {}
        }
        let known = self.known_of(&owner, &around, None);
        rights::check_exercise(&self.settings, &principal, known, &asked)?;
        let order_id = self.take_id()?;
        let frame_body = patched(&body, &[(1, Put::id(order_id))]).map_err(unreadable)?;
        let account = asked.account().to_owned();
        let shown = tws::PlaceOrderRequest {
            contract: asked.contract.clone(),
            order: Some(tws::Order { account: asked.account, ..tws::Order::default() }),
            ..Default::default()
        };
        self.book.add(Order::new(OrderRecord {
            order_id,
            owner: owner.clone(),
            client_order_id: name.clone(),
            fingerprint: fingerprint.into(),
            request: shown.encode_to_vec().into(),
            state: State::Intent.into(),
            exercise: true,
            account,
            created_ms: self.millis(around.now),
            ..OrderRecord::default()
        }));
        let audit = self.audit(caller, What::Exercise, &owner, &name, order_id, &body);
        let departure = Departure::new(What::Exercise, vec![order_id], audit)
            .waiter(Some((call, Ask::Exercise { again: false })));
        let frames = wire::unkeyed(id::EXERCISE_OPTIONS, &frame_body);
        self.push(Lane::Order, caller, departure, frames, ("exerciseOptions", name));
        self.count_sent(&owner, 1, around.now);
        Ok(())
    }

    pub(super) fn preview(
        &mut self,
        caller: &Caller,
        call: CallId,
        raw: &Bytes,
        around: Surroundings<'_>,
    ) -> Result<(), Error> {
        let (owner, principal) = self.trader(caller)?;
        let body = part(raw, 1).map_err(unreadable)?.unwrap_or_default();
        let request = body::checked(&body)?;
        let again = || OrderRequest::Preview(raw.clone());
        match self.admit(&owner, &principal, call, caller, again)? {
            Admitted::Later => return Ok(()),
            Admitted::Now => {}
        }
        let contract = request.contract.unwrap_or_default();
        let order = request.order.unwrap_or_default();
        let known = self.known_of(&owner, &around, (around.quote)(&contract));
        rights::check(&self.settings, &principal, known, &contract, &order)?;
        // An id of its own: it can be no change of an order that lives.
        let order_id = self.take_id()?;
        let ids = UpstreamIds { order: order_id, ..UpstreamIds::default() };
        let frame_body =
            body::upstream(&body, ids, &owner, "", Purpose::WhatIf).map_err(unreadable)?;
        if !body::asks_only(&frame_body) {
            return Err(error::invalid("the preview could not be made one; nothing was sent"));
        }
        self.previews.insert(order_id, (call, around.now + WAITS));
        let audit = self.audit(caller, What::Preview, &owner, "", order_id, &body);
        let departure = Departure::new(What::Preview, vec![order_id], audit);
        let label = checks::label(&contract);
        let frames = wire::unkeyed(id::PLACE_ORDER, &frame_body);
        self.push(Lane::Order, caller, departure, frames, ("whatIf", label));
        self.count_sent(&owner, 1, around.now);
        Ok(())
    }

    /// The principal of a caller who may send orders, and its name.
    pub(super) fn trader(&self, caller: &Caller) -> Result<(String, Principal), Error> {
        let named = caller.principal.as_deref();
        let known = named.and_then(|name| Some((name, self.principals.get(name)?)));
        let principal = rights::may_trade(&self.settings, known)?.clone();
        Ok((named.unwrap_or_default().to_owned(), principal))
    }

    /// Whether what is new is taken now, waits, or is refused.
    fn admit(
        &mut self,
        owner: &str,
        principal: &Principal,
        call: CallId,
        caller: &Caller,
        request: impl FnOnce() -> OrderRequest,
    ) -> Result<Admitted, Error> {
        match self.gate(owner, principal.when_away) {
            Gate::Open => Ok(Admitted::Now),
            Gate::Closed(error) => Err(error),
            Gate::Wait if self.waiting.len() >= MOST_WAITING => {
                Err(error::not_sent(error::too_many("orders that wait", MOST_WAITING, "nothing")))
            }
            Gate::Wait => {
                self.waiting.push_back(Waiting {
                    call,
                    caller: caller.clone(),
                    request: request(),
                });
                Ok(Admitted::Later)
            }
        }
    }

    /// Halts and everything else that can close trading for this owner.
    pub(super) fn gate(&self, owner: &str, when_away: WhenAway) -> Gate {
        for (who, name) in [("all clients", ""), ("this client", owner)] {
            if let Some(halt) = self.facts.halts.get(name) {
                let because = format!(
                    "trading of {who} is halted by {}: {}; `ibouncer trading resume` ends that",
                    halt.by, halt.reason
                );
                return Gate::Closed(brakes::halted(&because));
            }
        }
        self.brakes.gate(when_away)
    }

    fn known_of<'a>(
        &self,
        owner: &'a str,
        around: &Surroundings<'a>,
        quote: Option<f64>,
    ) -> Known<'a> {
        let minute = Duration::from_secs(60);
        let lately = self.sent_lately.get(owner);
        let in_minute = |at: &&Instant| around.now.saturating_duration_since(**at) < minute;
        Known {
            name: owner,
            accounts: around.accounts,
            open_orders: self.book.live_count(owner),
            last_minute: lately.map_or(0, |sent| sent.iter().filter(in_minute).count()),
            quote,
        }
    }

    /// Orders of an earlier call, if this is the same one.
    fn known(&mut self, owner: &str, all: &[Placement]) -> Result<Option<Vec<i32>>, Error> {
        let mut known = Vec::new();
        for one in all {
            known.extend(self.known_one(owner, &one.name, &one.fingerprint)?);
        }
        match known.len() {
            0 => Ok(None),
            count if count == all.len() => Ok(Some(known)),
            _ => Err(error::order(
                "ORDER_EXISTS",
                "some orders of this group were placed by another call, and some were not: give \
                 the group new names",
            )),
        }
    }

    fn known_one(
        &mut self,
        owner: &str,
        name: &str,
        fingerprint: &[u8],
    ) -> Result<Option<i32>, Error> {
        let Some(order) = self.book.named(owner, name).and_then(|id| self.book.get(id)) else {
            return Ok(None);
        };
        if order.record.fingerprint != fingerprint {
            return Err(error::order(
                "ORDER_EXISTS",
                format!(
                    "client_order_id {name:?} is another order's ({}): each order needs a name of \
                     its own, ModifyOrder changes one",
                    order.state().as_str_name().trim_start_matches("ORDER_STATE_")
                ),
            ));
        }
        // It never left, and its owner did not end it: the same call may send it after all.
        if order.state() == State::NotSent && order.record.change.is_none() {
            let id = order.record.order_id;
            self.book.forget(id);
            return Ok(None);
        }
        Ok(Some(order.record.order_id))
    }

    fn already_placed(&mut self, call: CallId, ask: Ask, known: &[i32]) -> Result<(), Error> {
        let waits = self.departures.values_mut().find(|one| known.iter().any(|id| one.holds(*id)));
        match waits {
            Some(departure) if departure.what == What::Place => {
                departure.waiters.push((call, ask));
            }
            _ => self.answer_left(call, ask, known),
        }
        Ok(())
    }

    fn take_in(
        &mut self,
        caller: &Caller,
        call: CallId,
        owner: &str,
        placements: Vec<Placement>,
        ask: Ask,
        now: Instant,
    ) -> Result<(), Error> {
        let mut taken: Vec<(String, i32)> = Vec::new();
        let mut records = Vec::new();
        let mut frames = BytesMut::new();
        let messages = placements.len();
        for placement in &placements {
            let parent = self.parent_id(owner, &placement.parent, &taken)?;
            let mut ids = UpstreamIds { order: self.take_id()?, parent, ..UpstreamIds::default() };
            let attached = placement.request.attached_orders.clone().unwrap_or_default();
            records.push(self.record(owner, placement, ids, now));
            for (wanted, name, id, suffix) in [
                (attached.sl_order_type(), &placement.stop_loss, &mut ids.stop_loss, "sl"),
                (attached.pt_order_type(), &placement.profit_taker, &mut ids.profit_taker, "pt"),
            ] {
                if wanted.is_empty() {
                    continue;
                }
                let name = match name.as_str() {
                    "" => format!("{}.{suffix}", placement.name),
                    name => name.to_owned(),
                };
                if self.book.named(owner, &name).is_some() {
                    let what = format!("client_order_id {name:?} is another order's");
                    return Err(error::order("ORDER_EXISTS", what));
                }
                *id = self.take_id()?;
                records.push(self.attached_record(
                    owner,
                    placement,
                    (*id, ids.order),
                    &name,
                    wanted,
                    now,
                ));
            }
            let tag = body::tag(&self.facts.journal_id, ids.order);
            let body = body::upstream(&placement.body, ids, owner, &tag, Purpose::Place)
                .map_err(unreadable)?;
            if body::asks_only(&body) {
                return Err(error::invalid("the order could not be told from a preview"));
            }
            frames.extend_from_slice(&wire::unkeyed(id::PLACE_ORDER, &body));
            taken.push((placement.name.clone(), ids.order));
        }
        let key = taken[0].1;
        let group = if messages > 1 { format!("group-{key}") } else { String::new() };
        let orders: Vec<i32> = records.iter().map(|record| record.order_id).collect();
        for mut record in records {
            record.group.clone_from(&group);
            self.book.add(Order::new(record));
        }
        let first = &placements[0];
        let audit = self.audit(caller, What::Place, owner, &first.name, key, &first.body);
        let mut departure = Departure::new(What::Place, orders, audit).waiter(Some((call, ask)));
        departure.messages = messages;
        let label = first.request.contract.as_ref().map(checks::label).unwrap_or_default();
        self.push(Lane::Order, caller, departure, frames.freeze(), ("placeOrder", label));
        self.count_sent(owner, messages, now);
        Ok(())
    }

    fn record(
        &self,
        owner: &str,
        placement: &Placement,
        ids: UpstreamIds,
        now: Instant,
    ) -> OrderRecord {
        let order = placement.request.order.clone().unwrap_or_default();
        OrderRecord {
            order_id: ids.order,
            owner: owner.to_owned(),
            client_order_id: placement.name.clone(),
            fingerprint: placement.fingerprint.clone().into(),
            request: placement.body.clone().into(),
            state: State::Intent.into(),
            parent_id: ids.parent,
            parent_client_order_id: placement.parent.clone(),
            created_ms: self.millis(now),
            account: order.account().to_owned(),
            ..OrderRecord::default()
        }
    }

    /// An order that Gateway makes of another one, under an id that we reserve.
    fn attached_record(
        &self,
        owner: &str,
        placement: &Placement,
        (order_id, parent_id): (i32, i32),
        name: &str,
        order_type: &str,
        now: Instant,
    ) -> OrderRecord {
        let parent = placement.request.order.clone().unwrap_or_default();
        let action = if parent.action() == "BUY" { "SELL" } else { "BUY" };
        let request = tws::PlaceOrderRequest {
            contract: placement.request.contract.clone(),
            order: Some(tws::Order {
                action: Some(action.into()),
                order_type: Some(order_type.into()),
                total_quantity: parent.total_quantity.clone(),
                account: parent.account.clone(),
                ..tws::Order::default()
            }),
            ..Default::default()
        };
        OrderRecord {
            order_id,
            owner: owner.to_owned(),
            client_order_id: name.to_owned(),
            fingerprint: placement.fingerprint.clone().into(),
            request: request.encode_to_vec().into(),
            state: State::Intent.into(),
            parent_id,
            parent_client_order_id: placement.name.clone(),
            attached_to: parent_id,
            created_ms: self.millis(now),
            account: parent.account().to_owned(),
            ..OrderRecord::default()
        }
    }

    fn parent_id(&self, owner: &str, parent: &str, group: &[(String, i32)]) -> Result<i32, Error> {
        if parent.is_empty() {
            return Ok(0);
        }
        if let Some((_, id)) = group.iter().find(|(name, _)| name == parent) {
            return Ok(*id);
        }
        let id = self.book.named(owner, parent).filter(|id| {
            self.book.get(*id).is_some_and(|order| order.is_live() && order.has_left())
        });
        id.ok_or_else(|| {
            error::order(
                "ORDER_NOT_FOUND",
                format!(
                    "parent_client_order_id {parent:?} names no earlier order of this group and \
                     no live order of this client"
                ),
            )
        })
    }

    /// The next order id. What is given out is below the floor on disk before it leaves.
    pub(super) fn take_id(&mut self) -> Result<i32, Error> {
        if self.next_id >= HIGHEST_ORDER_ID {
            return Err(error::order_later(
                "TRADING_HALTED",
                "order ids are used up: reset them in Gateway (API settings, Reset API order ID \
                 sequence) while no API order is open",
            ));
        }
        let id = self.next_id;
        self.next_id += 1;
        if id > self.facts.floor {
            self.facts.floor = id + FLOOR_STEP - 1;
            self.save_facts();
        }
        Ok(id)
    }

    pub(super) fn push(
        &mut self,
        lane: Lane,
        caller: &Caller,
        departure: Departure,
        frames: Bytes,
        what: (&'static str, String),
    ) {
        // Far below the ids of requests, which wait in the same queue.
        self.next_key = self.next_key % HIGHEST_ORDER_ID + 1;
        let key = self.next_key;
        self.departures.insert(key, departure);
        self.doings.push_back(Doing::Push { lane, client: caller.client, key, frames, what });
    }

    pub(super) fn count_sent(&mut self, owner: &str, count: usize, now: Instant) {
        let lately = self.sent_lately.entry(owner.to_owned()).or_default();
        while lately.front().is_some_and(|at| now.saturating_duration_since(*at).as_secs() >= 60) {
            lately.pop_front();
        }
        // No limit that could be set needs more of them.
        if lately.len() < 100_000 {
            lately.extend(std::iter::repeat_n(now, count));
        }
    }

    pub(super) fn audit(
        &self,
        caller: &Caller,
        what: What,
        owner: &str,
        name: &str,
        order_id: i32,
        body: &[u8],
    ) -> Audit {
        Audit {
            client: caller.name.clone(),
            principal: caller.principal.clone().unwrap_or_default(),
            what: what.name(),
            client_order_id: name.to_owned(),
            owner: owner.to_owned(),
            order_id,
            perm_id: self.book.get(order_id).map_or(0, |order| order.record.perm_id),
            body_sha256: if body.is_empty() { String::new() } else { hex(&Sha256::digest(body)) },
            ..Audit::default()
        }
    }
}

fn read(raw: &Bytes, group: bool) -> Result<Vec<Placement>, Error> {
    let orders = parts(raw, 1).map_err(unreadable)?;
    if orders.is_empty() {
        return Err(error::invalid("the request has no order"));
    }
    if group && orders.len() > LARGEST_GROUP {
        return Err(error::invalid(format!(
            "a group has {} orders; at most {LARGEST_GROUP} leave in one piece",
            orders.len()
        )));
    }
    let mut placements: Vec<Placement> = Vec::new();
    let orders = if group { orders } else { vec![orders[orders.len() - 1]] };
    for order in orders {
        let new = v1::NewOrder::decode(order).map_err(unreadable)?;
        let name = checked_name("client_order_id", &new.client_order_id)?;
        if placements.iter().any(|one| one.name == name) {
            return Err(error::invalid(format!("client_order_id {name:?} is there twice")));
        }
        for (field, value) in [
            ("stop_loss_client_order_id", &new.stop_loss_client_order_id),
            ("profit_taker_client_order_id", &new.profit_taker_client_order_id),
        ] {
            if !value.is_empty() {
                checked_name(field, value)?;
            }
        }
        let body = part(order, 2).map_err(unreadable)?.unwrap_or_default();
        let request = body::checked(&body)?;
        placements.push(Placement {
            name,
            body,
            request,
            parent: new.parent_client_order_id,
            stop_loss: new.stop_loss_client_order_id,
            profit_taker: new.profit_taker_client_order_id,
            fingerprint: Sha256::digest(order).to_vec(),
        });
    }
    Ok(placements)
}

fn checked_name(field: &str, name: &str) -> Result<String, Error> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/".contains(&byte);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(good) {
        let shown: String = name.chars().take(LONGEST_NAME).collect();
        return Err(error::invalid(format!(
            "{field} {shown:?} is not allowed: use 1 to {LONGEST_NAME} of letters, digits and \
             . _ - : /"
        )));
    }
    Ok(name.to_owned())
}

pub(super) fn unreadable(error: prost::DecodeError) -> Error {
    error::invalid(format!("the request could not be read: {error}"))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
