//! Orders: placed, changed, cancelled, and watched to their end.
//!
//! An order has a name of its owner's (`client_order_id`), chosen before the call. So every call
//! can be made again: the same name with the same request is the same order. An error says whether
//! what was to be sent has left ([`Error::delivery`]).

mod handle;
mod watch;

use crate::api::{self, NewOrder};
use crate::error::Error;
use crate::services::{Orders, present};
use crate::tws;

pub use handle::{OrderHandle, Outcome};
pub use watch::{ExecutionStream, OrderStream};

impl Orders {
    /// Places an order, and answers once it has left for Gateway.
    ///
    /// What becomes of it is told by the handle. If the error's
    /// [`delivery`](Error::delivery) is [`MaybeSent`](crate::Delivery::MaybeSent), make the same
    /// call again, or look with [`Self::get`].
    pub async fn place(&self, order: NewOrder) -> Result<OrderHandle, Error> {
        let request = api::PlaceOrderRequest { order: Some(order) };
        // An order has some two hundred fields.
        let mut stub = self.stub();
        let answer = Box::pin(stub.place_order(request)).await.map_err(Error::of_sending)?;
        let order = present(answer.into_inner().order, "an order")?;
        Ok(OrderHandle::new(self.clone(), order))
    }

    /// Places a group (bracket, OCA) as one unit: parents before their children, at most 10.
    pub async fn place_group(&self, orders: Vec<NewOrder>) -> Result<Vec<OrderHandle>, Error> {
        let request = api::PlaceOrdersRequest { orders };
        let answer = self.stub().place_orders(request).await.map_err(Error::of_sending)?;
        let orders = answer.into_inner().orders.into_iter();
        Ok(orders.map(|order| OrderHandle::new(self.clone(), order)).collect())
    }

    /// Changes a live order to what the request says; contract and side stay. Answers once the
    /// change has left.
    pub async fn modify(
        &self,
        client_order_id: impl Into<String>,
        request: tws::PlaceOrderRequest,
    ) -> Result<api::Order, Error> {
        let request = api::ModifyOrderRequest {
            client_order_id: client_order_id.into(),
            request: Some(request),
            ..Default::default()
        };
        self.modify_with(request).await
    }

    /// Changes with all that can be said: another client's order (for administrators, with a
    /// reason, and within that client's limits).
    pub async fn modify_with(&self, request: api::ModifyOrderRequest) -> Result<api::Order, Error> {
        let mut stub = self.stub();
        let answer = Box::pin(stub.modify_order(request)).await.map_err(Error::of_sending)?;
        present(answer.into_inner().order, "an order")
    }

    /// Margin and commission of an order that is not placed (TWS: whatIf).
    pub async fn preview(&self, request: tws::PlaceOrderRequest) -> Result<tws::OpenOrder, Error> {
        let request = api::PreviewOrderRequest { request: Some(request) };
        let mut stub = self.stub();
        let answer = Box::pin(stub.preview_order(request)).await?;
        present(answer.into_inner().preview, "a preview")
    }

    /// Cancels an order of ours. One that has not left never leaves.
    pub async fn cancel(&self, client_order_id: impl Into<String>) -> Result<api::Order, Error> {
        let request = api::CancelOrderRequest {
            client_order_id: client_order_id.into(),
            ..Default::default()
        };
        self.cancel_with(request).await
    }

    /// Cancels with all that can be said: another client's order (for administrators, with a
    /// reason), regulatory details.
    pub async fn cancel_with(&self, request: api::CancelOrderRequest) -> Result<api::Order, Error> {
        let answer = self.stub().cancel_order(request).await.map_err(Error::of_sending)?;
        present(answer.into_inner().order, "an order")
    }

    /// Cancels all live orders of ours, or of `owner` (for administrators, with a reason). Those that
    /// live on, since a cancel would not reach them, are in `spared`.
    pub async fn cancel_all(
        &self,
        owner: impl Into<String>,
        reason: impl Into<String>,
    ) -> Result<api::CancelAllOrdersResponse, Error> {
        let request = api::CancelAllOrdersRequest { owner: owner.into(), reason: reason.into() };
        let answer = self.stub().cancel_all_orders(request).await.map_err(Error::of_sending)?;
        Ok(answer.into_inner())
    }

    /// Exercises options, or lets them lapse (TWS: exerciseOptions).
    pub async fn exercise(
        &self,
        client_order_id: impl Into<String>,
        request: tws::ExerciseOptionsRequest,
    ) -> Result<OrderHandle, Error> {
        let request = api::ExerciseOptionsRequest {
            client_order_id: client_order_id.into(),
            request: Some(request),
        };
        let answer = self.stub().exercise_options(request).await.map_err(Error::of_sending)?;
        let order = present(answer.into_inner().order, "an order")?;
        Ok(OrderHandle::new(self.clone(), order))
    }

    /// One order of ours, or of `owner`.
    pub async fn get(
        &self,
        owner: impl Into<String>,
        client_order_id: impl Into<String>,
    ) -> Result<api::Order, Error> {
        let request =
            api::GetOrderRequest { owner: owner.into(), client_order_id: client_order_id.into() };
        present(self.stub().get_order(request).await?.into_inner().order, "an order")
    }

    /// A handle for an order that was placed before, by this program or by an earlier one.
    pub async fn handle(&self, client_order_id: impl Into<String>) -> Result<OrderHandle, Error> {
        Ok(OrderHandle::new(self.clone(), self.get("", client_order_id).await?))
    }

    /// Orders that the broker knows, and the number of the event behind which to watch on.
    pub async fn list(
        &self,
        scope: api::OrderScope,
        ended: bool,
    ) -> Result<(Vec<api::Order>, u64), Error> {
        let request = api::ListOrdersRequest { scope: scope.into(), ended };
        let answer = self.stub().list_orders(request).await?.into_inner();
        Ok((answer.orders, answer.through_sequence))
    }

    /// What happens to orders: everything after the event of this number, or first the live orders
    /// as they are. Nothing is left out and nothing comes twice, over restarts of the broker too.
    pub async fn watch(
        &self,
        after: Option<u64>,
        scope: api::OrderScope,
    ) -> Result<OrderStream, Error> {
        OrderStream::open(self, after, scope).await
    }

    /// Executions with their commissions, in the same way; without a number only those that
    /// happen from now on.
    pub async fn watch_executions(
        &self,
        after: Option<u64>,
        scope: api::OrderScope,
    ) -> Result<ExecutionStream, Error> {
        ExecutionStream::open(self, after, scope).await
    }
}
