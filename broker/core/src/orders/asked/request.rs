//! What a client or an operator asks of the desk. Bodies of orders come as they were sent,
//! because what this build does not know of them goes on to Gateway as well.

use bytes::Bytes;
use ibouncer_proto::api::v1::{
    AdoptTradingStateRequest, CancelAllOrdersRequest, CancelEveryOrderRequest, GetOrderRequest,
    HaltTradingRequest, ListOrdersRequest, OrderScope, ResolveOrderRequest, ResumeTradingRequest,
};

use crate::error::{self, Error};

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderRequest {
    /// An encoded `PlaceOrderRequest`.
    Place(Bytes),
    /// An encoded `PlaceOrdersRequest`.
    PlaceGroup(Bytes),
    /// An encoded `ModifyOrderRequest`.
    Modify(Bytes),
    /// An encoded `PreviewOrderRequest`.
    Preview(Bytes),
    /// An encoded `ExerciseOptionsRequest`.
    Exercise(Bytes),
    /// An encoded `CancelOrderRequest`.
    Cancel(Bytes),
    /// Cancel all of one owner.
    CancelAll(CancelAllOrdersRequest),
    /// Show one.
    Get(GetOrderRequest),
    /// Show all.
    List(ListOrdersRequest),
    /// Begin a watch, with or without the orders as they are now.
    Watch {
        /// Whose.
        scope: OrderScope,
        /// The live orders come first.
        snapshot: bool,
    },
    /// Who am I?
    WhoAmI,
    /// An operator's orders.
    Halt(HaltTradingRequest),
    /// Ends a halt.
    Resume(ResumeTradingRequest),
    /// The journal holds for these accounts.
    AdoptState(AdoptTradingStateRequest),
    /// What became of an order.
    Resolve(ResolveOrderRequest),
    /// Everything of everybody.
    CancelEvery(CancelEveryOrderRequest),
}

/// The scope of this number. One that is not known is not taken for all of the login.
pub fn scope(number: i32) -> Result<OrderScope, Error> {
    OrderScope::try_from(number).map_err(|_| {
        error::invalid(format!("scope is {number}: use 1 (all), 2 (session) or 3 (own)"))
    })
}

/// Which orders and events somebody is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// Who looks: what is its own is shown whatever its account. Empty if it is no client.
    pub own: String,
    /// Only of this owner; none: of all.
    pub owner: Option<String>,
    /// Only of these accounts; none: of all.
    pub accounts: Vec<String>,
}

impl View {
    /// Does it show this?
    pub fn shows(&self, owner: &str, account: &str) -> bool {
        let own = !self.own.is_empty() && self.own == owner;
        let sees = self.accounts.is_empty() || self.accounts.iter().any(|one| one == account);
        self.owner.as_ref().is_none_or(|one| one == owner) && (own || sees)
    }
}
