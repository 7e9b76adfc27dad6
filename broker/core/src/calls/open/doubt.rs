//! Requests without an id of which Gateway may have taken none, because it said so of something that it
//! did not name (error 100). Their answers could not be told from those to another request, so they are
//! not made again before nothing has come for a while.

use std::time::Instant;

use super::OpenCalls;
use crate::ids::RequestId;

impl OpenCalls {
    /// Gateway may not have taken it; if nothing has come of it until then, it has not.
    pub fn doubt(&mut self, request: RequestId, until: Instant) {
        if let Some(open) = self.open.get_mut(&request)
            && open.deadline.is_some_and(|deadline| until < deadline)
        {
            open.doubted = true;
            self.set_deadline(request, until);
        }
    }

    /// Is its deadline that of a doubt?
    pub fn is_doubted(&self, request: RequestId) -> bool {
        self.open.get(&request).is_some_and(|open| open.doubted)
    }

    /// The doubt is over. True if nothing has come; otherwise it has its time.
    pub fn end_doubt(&mut self, request: RequestId) -> bool {
        let Some(open) = self.open.get_mut(&request) else {
            return false;
        };
        open.doubted = false;
        let left = open.left.filter(|_| !open.is_unanswered());
        let deadline = left.map(|left| left + open.asked.kind.deadline);
        if let Some(deadline) = deadline {
            self.set_deadline(request, deadline);
        }
        deadline.is_none()
    }
}
