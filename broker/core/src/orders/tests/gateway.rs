//! What Gateway tells the desk.

use super::*;

impl Floor {
    /// Gateway says something.
    pub(super) fn hear(&mut self, message_id: u32, body: &impl prost::Message) {
        assert!(self.desk.on_message(message_id, &body.encode_to_vec(), self.now));
        self.settle();
    }

    pub(super) fn told(&mut self, order_id: i32, status: &str) {
        let status = tws::OrderStatus {
            order_id: Some(order_id),
            status: Some(status.into()),
            perm_id: Some(i64::from(order_id) + 1_000_000),
            client_id: Some(CLIENT_ID),
            ..Default::default()
        };
        self.hear(id::ORDER_STATUS, &status);
    }

    pub(super) fn opened(&mut self, order_id: i32, status: &str, price: f64) {
        let open = self.open_order(order_id, status, price);
        self.hear(id::OPEN_ORDER, &open);
    }

    /// One that was placed as [`limit`] says, as Gateway shows it.
    pub(super) fn open_order(&self, order_id: i32, status: &str, price: f64) -> tws::OpenOrder {
        tws::OpenOrder {
            order_id: Some(order_id),
            contract: Some(tws::Contract { con_id: Some(265_598), ..stock() }),
            order: Some(tws::Order {
                client_id: Some(CLIENT_ID),
                order_id: Some(order_id),
                perm_id: Some(i64::from(order_id) + 1_000_000),
                order_ref: Some(self.tag(order_id)),
                ..limit(price).order.unwrap()
            }),
            order_state: Some(tws::OrderState {
                status: Some(status.into()),
                ..Default::default()
            }),
        }
    }

    pub(super) fn tag(&self, order_id: i32) -> String {
        body::tag(&self.desk.facts.journal_id, order_id)
    }

    pub(super) fn executed(&mut self, order_id: i32, exec_id: &str, cum_qty: &str) {
        let told = self.execution(order_id, exec_id, cum_qty);
        self.hear(id::EXECUTION_DATA, &told);
    }

    /// One that comes as it happens.
    pub(super) fn execution(
        &self,
        order_id: i32,
        exec_id: &str,
        cum_qty: &str,
    ) -> tws::ExecutionDetails {
        tws::ExecutionDetails {
            req_id: Some(-1),
            contract: Some(stock()),
            execution: Some(tws::Execution {
                order_id: Some(order_id),
                client_id: Some(CLIENT_ID),
                perm_id: Some(i64::from(order_id) + 1_000_000),
                order_ref: Some(self.tag(order_id)),
                side: Some("BOT".into()),
                exec_id: Some(exec_id.into()),
                shares: Some(cum_qty.into()),
                cum_qty: Some(cum_qty.into()),
                ..Default::default()
            }),
        }
    }

    pub(super) fn failed(&mut self, order_id: i32, code: i32) {
        let told = tws::ErrorMessage {
            id: Some(order_id),
            error_code: Some(code),
            error_msg: Some("no".into()),
            ..Default::default()
        };
        self.desk.on_error(order_id, &told, self.now);
        self.settle();
    }
}
