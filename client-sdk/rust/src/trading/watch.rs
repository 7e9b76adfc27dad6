//! Numbered events, from one broker and from the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::api::{self, OrderScope};
use crate::client::LARGEST_ANSWER;
use crate::error::Error;
use crate::reconnect::{Opener, Returning, Step, answers};
use crate::services::Orders;
use crate::stubs::order_service_client::OrderServiceClient;

/// No event is known yet: the first response says from where to go on.
const FROM_THE_START: u64 = u64::MAX;

macro_rules! stream {
    ($(#[$doc:meta])* $name:ident, $event:ty, $response:ident, $call:ident, $request:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            source: Returning<api::$response>,
            newest: Arc<AtomicU64>,
        }

        impl $name {
            pub(super) async fn open(
                orders: &Orders,
                after: Option<u64>,
                scope: OrderScope,
            ) -> Result<Self, Error> {
                let newest = Arc::new(AtomicU64::new(after.unwrap_or(FROM_THE_START)));
                let seen = Arc::clone(&newest);
                let open = Opener::new(move |service| {
                    let after = seen.load(Ordering::Relaxed);
                    async move {
                        let request = api::$request {
                            after_sequence: Some(after).filter(|one| *one != FROM_THE_START),
                            scope: scope.into(),
                        };
                        let mut stub = OrderServiceClient::new(service)
                            .max_decoding_message_size(LARGEST_ANSWER);
                        Ok(answers(stub.$call(request).await?, |one| one))
                    }
                });
                let (service, finder) = (orders.service(), orders.finder());
                Ok(Self { source: Returning::open(service, finder, open).await?, newest })
            }

            /// The next ones, oldest first; `None` when there will be no more.
            pub async fn next(&mut self) -> Result<Option<Vec<$event>>, Error> {
                loop {
                    match self.source.next().await? {
                        Step::Answer(answer) => {
                            self.newest.store(answer.through_sequence, Ordering::Relaxed);
                            if !answer.events.is_empty() {
                                return Ok(Some(answer.events));
                            }
                        }
                        Step::Lost(_) => {}
                        Step::End => return Ok(None),
                    }
                }
            }

            /// Everything up to this event was handed out: keep it, and watch on from here.
            pub fn through(&self) -> Option<u64> {
                Some(self.newest.load(Ordering::Relaxed)).filter(|one| *one != FROM_THE_START)
            }
        }
    };
}

stream!(
    /// What happens to orders. It outlives its broker, see
    /// [`Options::reconnect`](crate::Options::reconnect).
    OrderStream, api::OrderEvent, WatchOrdersResponse, watch_orders, WatchOrdersRequest
);
stream!(
    /// Executions. It outlives its broker, see [`Options::reconnect`](crate::Options::reconnect).
    ExecutionStream, api::ExecutionEvent, WatchExecutionsResponse, watch_executions,
    WatchExecutionsRequest
);
