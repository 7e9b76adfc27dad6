//! Refusals that several calls share.

use ibouncer_proto::api::v1::OrderState as State;

use crate::error::{self, Error};

pub(super) fn not_found(name: &str) -> Error {
    error::order("ORDER_NOT_FOUND", format!("this client has no order {name:?}"))
}

pub(super) fn ended(name: &str, state: State) -> Error {
    let state = state.as_str_name().trim_start_matches("ORDER_STATE_");
    error::order("ORDER_ENDED", format!("order {name:?} has ended: it is {state}"))
}
