//! An image of things that each have an identity, and the end of its first load.
//!
//! What does not come again once it was asked for anew is gone, unless something of that load
//! could not be read.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Remembered;
use super::identity::{self, Identity, identity_of};

/// Things beyond which the oldest is forgotten: no account has so many values, and no session so
/// many bulletins.
const MOST_THINGS: usize = 20_000;

/// Each thing once.
#[derive(Debug, Default)]
pub(super) struct Image {
    things: BTreeMap<Identity, Thing>,
    end: Option<Remembered>,
    /// Something could not be read since it was asked for.
    left_out: bool,
}

#[derive(Debug)]
struct Thing {
    value: Remembered,
    /// It came since the line was asked for last.
    confirmed: bool,
}

impl Image {
    pub(super) fn remember(&mut self, field: u8, sequence: u64, body: &[u8]) {
        let value = Remembered { field, sequence, body: Bytes::copy_from_slice(body) };
        if identity::is_whole(field) {
            self.left_out = false;
        }
        match identity_of(field, body) {
            Some(Identity::End) => self.end = Some(value),
            Some(identity) if identity::is_gone(field, body) => drop(self.things.remove(&identity)),
            Some(identity) => {
                self.things.insert(identity, Thing { value, confirmed: true });
                if self.things.len() > MOST_THINGS {
                    let oldest = self.things.iter().min_by_key(|(_, one)| one.value.sequence);
                    if let Some(oldest) = oldest.map(|(identity, _)| identity.clone()) {
                        self.things.remove(&oldest);
                    }
                }
            }
            None => {}
        }
    }

    /// It is asked for anew.
    pub(super) fn on_asked(&mut self) {
        self.end = None;
        self.left_out = false;
        self.things.values_mut().for_each(|thing| thing.confirmed = false);
    }

    pub(super) fn on_left_out(&mut self) {
        self.left_out = true;
    }

    /// Nothing of it is missing, as far as is known.
    pub(super) const fn is_whole(&self) -> bool {
        !self.left_out
    }

    /// The load is complete: what did not come again.
    pub(super) fn vanished(&mut self) -> Vec<Remembered> {
        let mut gone = Vec::new();
        if self.left_out {
            return gone;
        }
        self.things.retain(|_, thing| {
            let old = &thing.value;
            if !thing.confirmed && !identity::is_nothing(old.field, &old.body) {
                gone.push(old.clone());
            }
            thing.confirmed
        });
        gone
    }

    /// In order of arrival, the end behind all, because readers wait for it.
    pub(super) fn replay(&self) -> Vec<Remembered> {
        let mut all: Vec<_> = self.things.values().map(|thing| thing.value.clone()).collect();
        all.sort_by_key(|value| value.sequence);
        all.extend(self.end.clone());
        all
    }
}
