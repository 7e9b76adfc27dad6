//! The calls of the read side, a file for each service of the schema.
//!
//! A call answers with Gateway's own messages, see [`tws`], and with the warnings that came
//! with them ([`Answer`]). Whatever goes on is a [`Subscription`](crate::Subscription).

mod accounts;
mod contracts;
mod history;
mod news;
mod orders;
mod scanners;
mod session;
mod snapshots;

use std::ops::{Deref, DerefMut};

use crate::error::Error;
use crate::tws;

pub use accounts::{AccountUpdates, Accounts};
pub use contracts::Contracts;
pub use history::{BarRequest, Bars, History, PastTicks};
pub use news::{Headlines, News};
pub use orders::{Executions, OpenOrders, Orders};
pub use scanners::Scanners;
pub use session::Session;

/// An answer of Gateway, and its warnings about the request. Reads like the answer itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer<T> {
    /// The answer.
    pub value: T,
    /// Gateway's warnings; for example that the data is delayed.
    pub notices: Vec<tws::ErrorMessage>,
}

impl<T> Deref for Answer<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Answer<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// A body without which an answer says nothing.
pub(crate) fn present<T>(body: Option<T>, what: &str) -> Result<T, Error> {
    body.ok_or_else(|| Error::bad_answer(format!("the broker answered without {what}")))
}

/// Opens the subscription of a call that streams events.
macro_rules! subscribe {
    ($group:ident, $stub:path, $method:ident, $request:expr) => {{
        let request = $request;
        let open = crate::reconnect::Opener::new(move |service| {
            let (mut stub, request) = ($stub(service), request.clone());
            async move {
                let answer = stub.$method(request).await?;
                Ok(crate::reconnect::answers(answer, |one| one.events))
            }
        });
        crate::subscription::Subscription::open($group.service.clone(), $group.finder.clone(), open)
    }};
}

use subscribe;
