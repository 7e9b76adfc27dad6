//! What the ids that Gateway tells of mean for the next ones, and for the journal.
//!
//! An id that was used is never used again. What of that no order in the journal says stands in its
//! facts: ids of previews and of other programs, and how far Gateway itself has counted. Source:
//! protocol fact sheet, section 7.

use crate::notes::Severity;
use crate::orders::brakes::{Doubt, Road};
use crate::orders::{Desk, HIGHEST_ORDER_ID};

/// Gateway writes this where there is no order id.
pub(super) const NO_ORDER_ID: i32 = i32::MAX;

impl Desk {
    /// Ids that Gateway has seen are not used again; those near the ids of requests end trading,
    /// until a person has accepted the order.
    pub(in crate::orders) fn see_id(&mut self, order_id: i32, client_id: i32, perm_id: i64) {
        if order_id <= 0 || order_id == NO_ORDER_ID {
            return;
        }
        if order_id >= HIGHEST_ORDER_ID {
            if !self.is_doubtful(order_id, perm_id) {
                return;
            }
            let what = format!(
                "API client {client_id} has an order with id {order_id}, and ids above \
                 {HIGHEST_ORDER_ID} are for requests: new ids would have to be higher still. Let \
                 it use lower ids, and reset the ids in Gateway while no API order is open; or, if \
                 Gateway takes lower ones all the same, `ibouncer trading adopt-state`"
            );
            return self.doubt(Doubt::HighId, what);
        }
        self.next_id = self.next_id.max(order_id + 1);
        if order_id > self.highest_used() {
            self.note_used(order_id);
        }
    }

    /// The highest id that is known to be used at Gateway.
    pub(in crate::orders) fn highest_used(&self) -> i32 {
        self.facts.used.max(self.book.highest_id())
    }

    /// Somebody uses this id, and no order in the journal says so.
    pub(in crate::orders) fn note_used(&mut self, order_id: i32) {
        if self.active && order_id > self.facts.used {
            self.facts.used = order_id;
            self.save_facts();
        }
    }

    /// Gateway's own counter at READY.
    pub(in crate::orders) fn on_counter(&mut self, order_id: i32) {
        self.raise_next_id(order_id);
        let is_main = self.brakes.road != Road::Alternate;
        let counts = is_main && (1..HIGHEST_ORDER_ID).contains(&order_id);
        self.counter = counts.then_some(order_id);
    }

    /// The counter is one above all ids that our client id has used there, and it does not rise by
    /// itself. So if it is beyond what the journal knows, once all lists were read, orders are missing
    /// from that, also where none of them is open any more. Lower it may be: Gateway sets it back.
    pub(in crate::orders) fn check_counter(&mut self) {
        let Some(counter) = self.counter.filter(|_| self.is_journals_login()) else {
            return;
        };
        let known = self.highest_used();
        // Orders by hand that are bound to client 0 take their ids from its counter.
        if self.facts.counted && self.client_id != 0 && counter > known + 1 {
            let what = format!(
                "Gateway's next order id of our client id {} is {counter}, and the journal knows \
                 of none above {known}: it is older than orders that were placed since (a backup, \
                 a lost disk), or another program used this client id. A client that repeats a call \
                 would place its order again. Look at the orders and trades of these days in TWS, \
                 then `ibouncer trading adopt-state --reason …`",
                self.client_id
            );
            return self.doubt(Doubt::Unaccounted, what);
        }
        self.accept_counter();
    }

    /// What Gateway has counted is known from now on.
    pub(in crate::orders) fn accept_counter(&mut self) {
        let Some(counter) = self.counter else {
            return;
        };
        if !self.facts.counted || counter - 1 > self.highest_used() {
            self.facts.counted = true;
            self.facts.used = self.facts.used.max(counter - 1);
            self.save_facts();
        }
    }

    fn raise_next_id(&mut self, order_id: i32) {
        if (1..HIGHEST_ORDER_ID).contains(&order_id) {
            self.next_id = self.next_id.max(order_id);
        } else if order_id >= HIGHEST_ORDER_ID && self.active {
            let text = format!(
                "Gateway's next order id is {order_id}, and ids above {HIGHEST_ORDER_ID} are for \
                 requests: orders go on from {}. If Gateway refuses them (103), reset its order \
                 ids (API settings, Reset API order ID sequence) while no API order is open",
                self.next_id
            );
            self.note(Severity::Warning, text);
        }
    }
}
