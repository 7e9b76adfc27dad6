//! Previews (TWS: whatIf): an order that is asked about and not placed.
//!
//! A preview has an id of its own, so that it can be no change of an order that lives, and its frame
//! is looked at once more before it is let go.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;

use super::place::Admitted;
use super::placement::unreadable;
use super::request::OrderRequest;
use crate::checks;
use crate::error::{self, Error};
use crate::ids::CallId;
use crate::orders::body::patch::part;
use crate::orders::body::{self, Purpose, UpstreamIds, versions};
use crate::orders::leaving::PREVIEW;
use crate::orders::leaving::departures::{Departure, What};
use crate::orders::{Caller, Desk, Surroundings, rights};
use crate::pacing::Lane;
use crate::wire;

/// While it waits for its turn, a preview has no deadline that matters.
const WAITS: Duration = Duration::from_secs(3600);

/// One that waits for its turn, or for Gateway.
#[derive(Debug)]
pub(in crate::orders) struct Previewing {
    pub call: CallId,
    pub deadline: Instant,
    pub caller: Caller,
    /// Its contract and order: what is told of them depends on the rights to them.
    pub request: Box<tws::PlaceOrderRequest>,
}

impl Desk {
    pub(in crate::orders) fn preview(
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
        match self.admit(&owner, principal.when_away, call, caller, Vec::new(), again)? {
            Admitted::Later => return Ok(()),
            Admitted::Now => {}
        }
        versions::check(&request, around.server_version)?;
        let contract = request.contract.clone().unwrap_or_default();
        let order = request.order.clone().unwrap_or_default();
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
        let (caller_of, deadline) = (caller.clone(), around.now + WAITS);
        let request = Box::new(request);
        self.previews.insert(order_id, Previewing { call, deadline, caller: caller_of, request });
        let audit = self.audit(caller, What::Preview, &owner, "", order_id, &body);
        let departure = Departure::new(What::Preview, vec![order_id], audit);
        let label = checks::label(&contract);
        let frames = wire::unkeyed(id::PLACE_ORDER, &frame_body);
        self.push(Lane::Order, caller, departure, frames, ("whatIf", label));
        self.pace.count(&owner, 1, around.now);
        Ok(())
    }

    pub(in crate::orders) fn expire_previews(&mut self, now: Instant) {
        for (_, one) in
            self.previews.extract_if(.., |_, one| one.deadline <= now).collect::<Vec<_>>()
        {
            let error = error::deadline("the preview", PREVIEW.as_secs_f64());
            self.reply(one.call, Err(error));
        }
    }
}
