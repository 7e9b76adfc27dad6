//! Taking orders in: read, known before?, allowed?, given ids, put into the queue.
//!
//! A refusal here leaves nothing behind. What is taken in is one unit: an order, or a group that
//! leaves in one frame. The same name with the same request is the same order; so a caller that
//! does not know whether its call arrived simply makes it again.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use ibouncer_proto::tws::messages::id;
use sha2::{Digest as _, Sha256};

use super::placement::{Placement, Role, is_held, read, unreadable};
use super::request::OrderRequest;
use super::waiting::Waiting;
use crate::checks;
use crate::error::{self, Error, Retry};
use crate::ids::CallId;
use crate::orders::body::{self, Purpose, UpstreamIds, versions};
use crate::orders::book::order::Order;
use crate::orders::brakes::Gate;
use crate::orders::journal::{Audit, OrderRecord};
use crate::orders::leaving::departures::{Ask, Departure, What};
use crate::orders::rights::{self, Known};
use crate::orders::{Caller, Desk, Doing, HIGHEST_ORDER_ID, Surroundings};
use crate::pacing::Lane;
use crate::principals::WhenAway;
use crate::wire;

/// Most requests of one client that wait, for trading to open or for their share.
const MOST_WAITING: usize = 1_000;

/// Ids that are reserved on disk at once; after a restart the rest of them is skipped.
const FLOOR_STEP: i32 = 64;

/// Whether a request is taken now.
pub(in crate::orders) enum Admitted {
    Now,
    Later,
}

impl Desk {
    pub(in crate::orders) fn place(
        &mut self,
        caller: &Caller,
        call: CallId,
        raw: &Bytes,
        group: bool,
        around: Surroundings<'_>,
    ) -> Result<(), Error> {
        let placements = read(raw, group);
        let ask = |again| if group { Ask::Group { again } } else { Ask::Place { again } };
        // Whatever it may do now: of what it has placed before it must not hear that it never left.
        if let (Some(owner), Ok(placements)) = (&caller.principal, &placements)
            && let Some(known) = self.known(owner, placements)?
        {
            for placement in placements {
                let (name, id) = (&placement.name, self.book.named(owner, &placement.name));
                let id = id.unwrap_or_default();
                self.repeated(self.audit(caller, What::Place, owner, name, id, &placement.body));
            }
            return self.already_placed(call, ask(true), &known);
        }
        let (owner, principal) = self.trader(caller)?;
        let placements = placements?;
        let request = if group { OrderRequest::PlaceGroup } else { OrderRequest::Place };
        let names = placements.iter().flat_map(Placement::names).map(str::to_owned).collect();
        match self
            .admit(&owner, principal.when_away, call, caller, names, || request(raw.clone()))?
        {
            Admitted::Later => return Ok(()),
            Admitted::Now => {}
        }
        let mut before = 0;
        for (index, placement) in placements.iter().enumerate() {
            versions::check(&placement.request, around.server_version)?;
            let contract = placement.request.contract.clone().unwrap_or_default();
            let order = placement.request.order.clone().unwrap_or_default();
            let mut known = self.known_of(&owner, &around, (around.quote)(&contract));
            known.open_orders += before + placement.attached.len();
            known.last_minute += index;
            let allowed = rights::check(&self.settings, &principal, known, &contract, &order);
            let allowed = allowed.and_then(|()| match placement.request.attached_orders {
                Some(_) => rights::check_attached(&principal, known),
                None => Ok(()),
            });
            allowed.map_err(|error| {
                let which =
                    if group { format!("order {:?}: ", placement.name) } else { String::new() };
                Error { message: which + &error.message, ..error }
            })?;
            before += placement.names().count();
        }
        self.take_in(caller, call, &owner, placements, ask(false), around.now)
    }

    /// Whether what is new is taken now, waits, or is refused.
    pub(in crate::orders) fn admit(
        &mut self,
        owner: &str,
        when_away: WhenAway,
        call: CallId,
        caller: &Caller,
        names: Vec<String>,
        request: impl FnOnce() -> OrderRequest,
    ) -> Result<Admitted, Error> {
        let gate = self.gate(owner, when_away);
        let crowded = self.departures.count_of(owner) >= self.settings.share;
        match gate {
            Gate::Closed(error) => return Err(self.as_seen_by(caller, error)),
            Gate::Open if !crowded => return Ok(Admitted::Now),
            Gate::Open | Gate::Wait => {}
        }
        if self.waiting.count_of(owner) >= MOST_WAITING {
            let error = error::too_many("orders that wait", MOST_WAITING, "nothing");
            return Err(error::not_sent(error));
        }
        let (caller, owner) = (caller.clone(), owner.to_owned());
        let waiting = Waiting { call, caller, request: request(), owner, names };
        match gate {
            Gate::Open => self.waiting.wait_for_share(waiting),
            _ => self.waiting.wait_for_opening(waiting),
        }
        Ok(Admitted::Later)
    }

    pub(in crate::orders) fn known_of<'a>(
        &self,
        owner: &'a str,
        around: &Surroundings<'a>,
        quote: Option<f64>,
    ) -> Known<'a> {
        Known {
            name: owner,
            accounts: around.accounts,
            open_orders: self.book.live_count(owner),
            last_minute: self.pace.of_last_minute(owner, around.now),
            quote,
            contracts: around.contracts,
        }
    }

    /// Orders of an earlier call, if this is the same one.
    fn known(&self, owner: &str, all: &[Placement]) -> Result<Option<Vec<i32>>, Error> {
        let mut known = Vec::new();
        let mut count = 0;
        for one in all {
            let Some(id) = self.known_one(owner, &one.name, &one.fingerprint)? else {
                continue;
            };
            count += 1;
            known.push(id);
            let attached = one.attached.iter();
            known.extend(attached.filter_map(|attached| self.book.named(owner, &attached.name)));
        }
        match count {
            0 => Ok(None),
            count if count == all.len() => Ok(Some(known)),
            _ => Err(error::order(
                "ORDER_EXISTS",
                "some orders of this group were placed by another call, and some were not: give \
                 the group new names",
            )),
        }
    }

    /// The order of this name, if the same request has placed it. None if there is none, or if it
    /// never left and its owner did not end it: the same call may send it after all.
    pub(in crate::orders) fn known_one(
        &self,
        owner: &str,
        name: &str,
        fingerprint: &[u8],
    ) -> Result<Option<i32>, Error> {
        let Some(order) = self.book.named(owner, name).and_then(|id| self.book.get(id)) else {
            return Ok(None);
        };
        if order.record.fingerprint.is_empty() {
            return Err(is_damaged(&order.record));
        }
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
        Ok((!order.may_leave_after_all()).then_some(order.record.order_id))
    }

    /// The names of a placement that is taken now are free, or those of orders that never left and
    /// are placed anew.
    fn check_attached(&self, owner: &str, placement: &Placement) -> Result<(), Error> {
        for attached in &placement.attached {
            if self.known_one(owner, &attached.name, &placement.fingerprint)?.is_some() {
                let what = format!("client_order_id {:?} is another order's", attached.name);
                return Err(error::order("ORDER_EXISTS", what));
            }
        }
        Ok(())
    }

    pub(in crate::orders) fn already_placed(
        &mut self,
        call: CallId,
        ask: Ask,
        known: &[i32],
    ) -> Result<(), Error> {
        let waits = self
            .departures
            .iter_mut()
            .map(|(_, one)| one)
            .find(|one| known.iter().any(|id| one.holds(*id)));
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
            self.check_attached(owner, placement)?;
            let parent = self.parent_id(owner, &placement.parent, &taken)?;
            let mut ids = UpstreamIds { order: self.take_id()?, parent, ..UpstreamIds::default() };
            records.push(self.record(owner, placement, ids, now));
            for attached in &placement.attached {
                let id = self.take_id()?;
                match attached.role {
                    Role::StopLoss => ids.stop_loss = id,
                    Role::ProfitTaker => ids.profit_taker = id,
                }
                let of = (id, ids.order);
                records.push(self.attached_record(owner, placement, of, attached, now));
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
            self.free_name(owner, &record.client_order_id, now);
            self.book.add(Order::new(record));
        }
        let first = &placements[0];
        let audit = self.audit(caller, What::Place, owner, &first.name, key, &first.body);
        let mut departure = Departure::new(What::Place, orders, audit).waiter(Some((call, ask)));
        departure.messages = messages;
        departure.held = placements.last().is_some_and(|last| is_held(&last.request));
        let label = first.request.contract.as_ref().map(checks::label).unwrap_or_default();
        self.push(Lane::Order, caller, departure, frames.freeze(), ("placeOrder", label));
        self.pace.count(owner, messages, now);
        Ok(())
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
        let id = id.ok_or_else(|| {
            error::order(
                "ORDER_NOT_FOUND",
                format!(
                    "parent_client_order_id {parent:?} names no earlier order of this group and \
                     no live order of this client"
                ),
            )
        })?;
        self.away(id).or_else(|| self.is_contested(id)).map_or(Ok(id), Err)
    }

    /// The next order id. What is given out is below the floor on disk before it leaves.
    pub(in crate::orders) fn take_id(&mut self) -> Result<i32, Error> {
        if let Some(error) = self.ids_are_used_up() {
            return Err(error);
        }
        let id = self.next_id;
        self.next_id += 1;
        if id > self.facts.floor {
            self.facts.floor = id + FLOOR_STEP - 1;
            self.save_facts();
        }
        Ok(id)
    }

    pub(in crate::orders) fn ids_are_used_up(&self) -> Option<Error> {
        (self.next_id >= HIGHEST_ORDER_ID).then(|| {
            error::order_later(
                "TRADING_HALTED",
                "order ids are used up: reset them in Gateway (API settings, Reset API order ID \
                 sequence) while no API order is open",
            )
        })
    }

    pub(in crate::orders) fn push(
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
        let departure = Departure { caller: caller.clone(), ..departure };
        self.departures.insert(key, departure);
        self.doings.push_back(Doing::Push { lane, client: caller.client, key, frames, what });
    }

    pub(in crate::orders) fn audit(
        &self,
        caller: &Caller,
        what: What,
        owner: &str,
        name: &str,
        order_id: i32,
        body: &[u8],
    ) -> Audit {
        Audit {
            what: what.name(),
            client_order_id: name.to_owned(),
            owner: owner.to_owned(),
            order_id,
            perm_id: self.book.get(order_id).map_or(0, |order| order.record.perm_id),
            body_sha256: sha256(body),
            ..Audit::by(caller)
        }
    }
}

/// What was placed under this name stands in a row that is not what was written.
fn is_damaged(record: &OrderRecord) -> Error {
    let what = format!(
        "the row of order {:?} (id {}) in the journal is damaged, so that it is not known whether it \
         is this one, and it may have left: see `ibouncer trading status`, `GetOrder`",
        record.client_order_id, record.order_id
    );
    error::maybe_sent(error::trading_closed("JOURNAL_DAMAGED", Retry::Never, &what))
}

/// In hex; empty if there is nothing.
pub(in crate::orders) fn sha256(body: &[u8]) -> String {
    use std::fmt::Write as _;
    if body.is_empty() {
        return String::new();
    }
    Sha256::digest(body).iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
