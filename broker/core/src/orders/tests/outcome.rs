//! What has come of it all: events, and placements that left.

use super::*;

impl Floor {
    pub(super) fn order_events(&self) -> Vec<OrderEvent> {
        let orders = self.events.iter().filter_map(|event| match &event.event {
            Some(Event::Order(body)) => Some(OrderEvent::decode(body.clone()).unwrap()),
            _ => None,
        });
        orders.collect()
    }

    pub(super) fn execution_events(&self) -> Vec<ExecutionEvent> {
        let executions = self.events.iter().filter_map(|event| match &event.event {
            Some(Event::Execution(body)) => Some(ExecutionEvent::decode(body.clone()).unwrap()),
            _ => None,
        });
        executions.collect()
    }

    /// Order ids of the placements that left.
    pub(super) fn placements(&self) -> Vec<i32> {
        let placed = self.left.iter().filter(|(message, _)| *message == id::PLACE_ORDER);
        placed
            .map(|(_, body)| tws::PlaceOrderRequest::decode(body.clone()).unwrap().order_id())
            .collect()
    }
}
