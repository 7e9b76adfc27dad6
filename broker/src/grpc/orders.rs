//! `OrderService`: what is asked goes to the desk in the hub; what it says goes back as it is.
//! Watches read the log of events from where the hub says; read on in `orders/watch.rs`.

mod watch;

use std::pin::Pin;
use std::sync::Arc;

use ibouncer_core::calls::Asked;
use ibouncer_core::error;
use ibouncer_core::hub::{Input, Reply};
use ibouncer_core::orders::request::{OrderRequest, scope as scope_of};
use ibouncer_proto::api::v1::{self as api, OrderScope};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::admin::unexpected;
use super::codec::Answer;
use super::raw::Raw;
use super::reader::Reader;
use super::servers::order_service_server::OrderService;
use super::standing::WhileItStands;
use super::status::status;
use crate::order_log::{Kind, OrderLog};
use watch::{Cursor, Watch, unreadable};

/// The service.
#[derive(Debug, Clone)]
pub struct Orders {
    /// Checks callers, and knows the way to the driver.
    pub reader: Reader,
    /// What happened.
    pub log: Arc<OrderLog>,
}

impl Orders {
    /// Begins a watch behind a number, or with what the hub says first.
    async fn watch<T>(
        &self,
        request: Request<T>,
        kind: Kind,
        asked: impl FnOnce(T) -> (i32, Option<u64>),
    ) -> Result<Response<Watched>, Status> {
        let caller = self.reader.doorkeeper.admit(&request).await?;
        let (scope, after) = asked(request.into_inner());
        let scope = scope_of(scope).map_err(|error| status(&error))?;
        let snapshot = kind == Kind::Orders && after.is_none();
        let request = OrderRequest::Watch { scope, snapshot };
        let made = |call| Input::Order { client: caller.client, call, request };
        let reply = self.reader.handle.call(made).await.map_err(|error| status(&error))?;
        let Reply::Watch(first, through, view) = reply else {
            return Err(unexpected(&reply));
        };
        if let Some(after) = after {
            let known = self.log.knows(after).await.map_err(|error| unreadable(&error))?;
            if !known {
                let what = format!(
                    "after_sequence {after} is no event's number here, the newest is {through}: it \
                     is not of this journal, or was never on its disk; begin again without it"
                );
                return Err(status(&error::invalid(what)));
            }
        }
        let first = snapshot.then_some(Answer(first));
        let at = after.unwrap_or(through);
        let lost = caller.lost();
        let cursor = Cursor::new(Arc::clone(&self.log), view, kind, at, Some(caller));
        Ok(Response::new(Box::pin(WhileItStands::new(Watch::new(first, cursor), lost))))
    }
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
    desk cancel_order(Raw): |raw| OrderRequest::Cancel(raw.0);
    desk cancel_all_orders(api::CancelAllOrdersRequest): OrderRequest::CancelAll;
    desk get_order(api::GetOrderRequest): OrderRequest::Get;
    desk list_orders(api::ListOrdersRequest): OrderRequest::List;

    also type WatchOrdersStream = Watched;

    also async fn watch_orders(
        &self,
        request: Request<api::WatchOrdersRequest>,
    ) -> Result<Response<Watched>, Status> {
        let asked = |asked: api::WatchOrdersRequest| (asked.scope, asked.after_sequence);
        self.watch(request, Kind::Orders, asked).await
    }

    also type WatchExecutionsStream = Watched;

    also async fn watch_executions(
        &self,
        request: Request<api::WatchExecutionsRequest>,
    ) -> Result<Response<Watched>, Status> {
        let asked = |asked: api::WatchExecutionsRequest| (asked.scope, asked.after_sequence);
        self.watch(request, Kind::Executions, asked).await
    }

    also async fn list_open_orders(
        &self,
        request: Request<api::ListOpenOrdersRequest>,
    ) -> Result<Response<Answer>, Status> {
        let ask = |asked: api::ListOpenOrdersRequest| {
            let scope = scope_of(asked.scope)?;
            let own = scope == OrderScope::Own;
            Ok(Asked::open_orders(own || scope == OrderScope::Session).for_owner(own))
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
            let scope = scope_of(asked.scope)?;
            let own = scope == OrderScope::Own;
            let own_only = scope == OrderScope::Session;
            let request = asked.request.unwrap_or_default();
            Ok(Asked::executions(request, own_only)?.for_owner(own))
        };
        self.reader.answer(request, ask).await
    }
}
