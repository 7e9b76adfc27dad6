//! Orders that have ended, as Gateway lists them: without ids, so that permId or our tag finds them.

use std::time::Instant;

use ibouncer_proto::tws::v1 as tws;

use super::matching::Description;
use super::whose::Whose;
use super::{Raw, Told};
use crate::orders::book::ForeignId;
use crate::orders::{Desk, body};

impl Desk {
    pub(in crate::orders) fn on_completed(
        &mut self,
        told: &tws::CompletedOrder,
        message: &[u8],
        now: Instant,
    ) {
        let order = told.order.clone().unwrap_or_default();
        let state = told.order_state.clone().unwrap_or_default();
        let (order_id, perm_id) = (order.order_id(), order.perm_id());
        self.book.foreign.remove(&ForeignId::new(perm_id, order.client_id(), order_id));
        let description = Description::of_order(&order, told.contract.as_ref());
        let known = self.book.by_perm_id(perm_id).filter(|_| perm_id != 0);
        let (id, whose) = match known
            .or_else(|| self.tagged(order.order_ref(), order.client_id(), &description))
        {
            Some(id) => (id, self.is_it(id, &description)),
            // With its ids, it may be one that the journal has forgotten.
            None => (order_id, self.whose(order_id, order.client_id(), &description)),
        };
        match whose {
            Whose::Ours => {}
            Whose::Another(unlike) => return self.on_another(id, perm_id, unlike),
            Whose::Missing => return self.on_unaccounted(id, perm_id),
            Whose::Foreign | Whose::Unproven => return,
        }
        let told_of = Told {
            filled: order.filled_quantity.as_deref(),
            // Its order is without ids; what was told before says more.
            raw: Raw::of(message, 1, None, 3),
            over: true,
            ..Told::new(state.status(), perm_id)
        };
        self.on_told(id, &told_of, now);
    }

    /// The order whose tag this one has. Anybody can write what looks like one, so the rest of it
    /// must fit as well; but for the permId, which makes two orders of one.
    pub(in crate::orders) fn tagged(
        &self,
        order_ref: &str,
        client_id: i32,
        told: &Description<'_>,
    ) -> Option<i32> {
        let id = body::tagged(order_ref, &self.facts.journal_id)?;
        let fits = match self.is_it(id, told) {
            Whose::Another(unlike) => unlike.is_double(),
            _ => true,
        };
        let same_client = client_id == 0 || client_id == self.client_id;
        (fits && same_client).then_some(id)
    }
}
