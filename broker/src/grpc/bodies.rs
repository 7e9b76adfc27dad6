//! Bodies of our own in the place of tonic's.
//!
//! A body of tonic's copies an answer whole before the client has room for it, and asks a stream
//! for more before it lets go of what it has. Ours hand on what is there: whoever has one puts it
//! into the response's extensions, and [`hand_out`] puts it into its place.

use std::sync::Arc;

use http::{HeaderMap, Response};
use tonic::Status;
use tonic::body::Body;

use super::answers::Held;
use super::events::Events;

/// Puts our body in the place of tonic's, if there is one.
pub fn hand_out(mut response: Response<Body>) -> Response<Body> {
    let extensions = response.extensions_mut();
    let ours = if let Some(held) = extensions.remove::<Arc<Held>>() {
        Body::new(held.body())
    } else if let Some(events) = extensions.remove::<Arc<Events>>() {
        Body::new(events.body())
    } else {
        return response;
    };
    response.map(|_| ours)
}

/// How a body ends.
pub(super) fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        // Our own words always fit into a header; without them the code is enough.
        let _ = Status::new(status.code(), "").add_header(&mut trailers);
    }
    trailers
}
