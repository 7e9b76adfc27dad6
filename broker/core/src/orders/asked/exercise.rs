//! Exercising options, or letting them lapse: an order in all but its body, under a right of its own.

use bytes::Bytes;
use ibouncer_proto::api::v1::{self, OrderState as State};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::place::Admitted;
use super::placement::{checked_name, unreadable};
use super::request::OrderRequest;
use crate::checks;
use crate::error::{self, Error};
use crate::ids::CallId;
use crate::orders::body::figures;
use crate::orders::body::patch::{Put, part, patched};
use crate::orders::book::order::Order;
use crate::orders::journal::OrderRecord;
use crate::orders::leaving::departures::{Ask, Departure, What};
use crate::orders::{Caller, Desk, Surroundings, rights};
use crate::pacing::Lane;
use crate::wire;

impl Desk {
    pub(in crate::orders) fn exercise(
        &mut self,
        caller: &Caller,
        call: CallId,
        raw: &Bytes,
        around: Surroundings<'_>,
    ) -> Result<(), Error> {
        let request = v1::ExerciseOptionsRequest::decode(&raw[..]).map_err(unreadable)?;
        let name = checked_name("client_order_id", &request.client_order_id)?;
        let body = part(raw, 2).map_err(unreadable)?.unwrap_or_default();
        let asked = request.request.unwrap_or_default();
        figures::contract(checks::contract(asked.contract.as_ref())?)?;
        if !matches!(asked.exercise_action(), 1 | 2) || asked.exercise_quantity() <= 0 {
            return Err(error::invalid(
                "request.exercise_action must be 1 (exercise) or 2 (lapse), and \
                 exercise_quantity above 0",
            ));
        }
        let fingerprint = Sha256::digest(raw).to_vec();
        // Whatever it may do now: of what it has sent before it must not hear that it never left.
        if let Some(owner) = &caller.principal
            && let Some(known) = self.known_one(owner, &name, &fingerprint)?
        {
            self.repeated(self.audit(caller, What::Exercise, owner, &name, known, &body));
            return self.already_placed(call, Ask::Exercise { again: true }, &[known]);
        }
        let (owner, principal) = self.trader(caller)?;
        let again = || OrderRequest::Exercise(raw.clone());
        match self.admit(&owner, principal.when_away, call, caller, vec![name.clone()], again)? {
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
            // What the rights to it depend on.
            order: Some(tws::Order {
                account: asked.account,
                customer_account: asked.customer_account,
                ..tws::Order::default()
            }),
            ..Default::default()
        };
        self.free_name(&owner, &name, around.now);
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
        self.pace.count(&owner, 1, around.now);
        Ok(())
    }
}
