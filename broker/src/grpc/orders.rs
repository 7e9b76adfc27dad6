//! `OrderService`: what is asked goes to the desk in the hub; what it says goes back as it is.

use std::pin::Pin;

use ibouncer_core::calls::Asked;
use ibouncer_core::hub::{Input, Reply};
use ibouncer_core::orders::request::OrderRequest;
use ibouncer_proto::api::v1::{self as api, OrderScope};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::admin::unexpected;
use super::codec::Answer;
use super::raw::Raw;
use super::reader::Reader;
use super::servers::order_service_server::OrderService;
use super::status::status;

/// The service.
#[derive(Debug, Clone)]
pub struct Orders {
    /// Checks callers, and knows the way to the driver.
    pub reader: Reader,
}

type Watched = Pin<Box<dyn Stream<Item = Result<Answer, Status>> + Send>>;

macro_rules! service {
    ($(desk $call:ident($asks:ty): $ask:expr;)* $(also $also:item)*) => {
        #[tonic::async_trait]
        impl OrderService for Orders {
            $(async fn $call(&self, request: Request<$asks>) -> Result<Response<Answer>, Status> {
                self.reader.order(request, $ask).await
            })*

            $($also)*
        }
    };
}

service! {
    desk place_order(Raw): |raw| OrderRequest::Place(raw.0);
    desk place_orders(Raw): |raw| OrderRequest::PlaceGroup(raw.0);
    desk modify_order(Raw): |raw| OrderRequest::Modify(raw.0);
    desk preview_order(Raw): |raw| OrderRequest::Preview(raw.0);
    desk exercise_options(Raw): |raw| OrderRequest::Exercise(raw.0);
    desk cancel_order(api::CancelOrderRequest): OrderRequest::Cancel;
    desk cancel_all_orders(api::CancelAllOrdersRequest): OrderRequest::CancelAll;
    desk get_order(api::GetOrderRequest): OrderRequest::Get;
    desk list_orders(api::ListOrdersRequest): OrderRequest::List;

    also type WatchOrdersStream = Watched;

    also async fn watch_orders(
        &self,
        request: Request<api::WatchOrdersRequest>,
    ) -> Result<Response<Watched>, Status> {
        let caller = self.reader.doorkeeper.admit(&request).await?;
        let asked = request.into_inner();
        let request =
            OrderRequest::Watch { scope: asked.scope(), snapshot: asked.after_sequence.is_none() };
        let made = |call| Input::Order { client: caller.client, call, request };
        match self.reader.handle.call(made).await.map_err(|error| status(&error))? {
            Reply::Watch(..) => Err(Status::unimplemented("not yet")),
            other => Err(unexpected(&other)),
        }
    }

    also type WatchExecutionsStream = Watched;

    also async fn watch_executions(
        &self,
        _request: Request<api::WatchExecutionsRequest>,
    ) -> Result<Response<Watched>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    also async fn list_open_orders(
        &self,
        request: Request<api::ListOpenOrdersRequest>,
    ) -> Result<Response<Answer>, Status> {
        let ask = |asked: api::ListOpenOrdersRequest| {
            Ok(Asked::open_orders(asked.scope() == OrderScope::Session))
        };
        self.reader.answer(request, ask).await
    }

    also async fn list_completed_orders(
        &self,
        request: Request<api::ListCompletedOrdersRequest>,
    ) -> Result<Response<Answer>, Status> {
        let ask = |asked: api::ListCompletedOrdersRequest| {
            Ok(Asked::completed_orders(asked.request.unwrap_or_default()))
        };
        self.reader.answer(request, ask).await
    }

    also async fn list_executions(
        &self,
        request: Request<api::ListExecutionsRequest>,
    ) -> Result<Response<Answer>, Status> {
        let ask = |asked: api::ListExecutionsRequest| {
            let own_only = asked.scope() == OrderScope::Session;
            Asked::executions(asked.request.unwrap_or_default(), own_only)
        };
        self.reader.answer(request, ask).await
    }
}
