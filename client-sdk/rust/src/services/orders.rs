//! Orders and executions of the login as Gateway lists them. Those of the broker, and all that
//! sends, are in `trading.rs`.

use super::Answer;
use crate::api::{self, OrderScope};
use crate::client::{LARGEST_ANSWER, Service};
use crate::error::Error;
use crate::reconnect::Finder;
use crate::stubs::order_service_client::OrderServiceClient;
use crate::tws;

/// Orders: placed, changed, cancelled, watched; and as Gateway lists them.
#[derive(Debug, Clone)]
pub struct Orders {
    service: Service,
    finder: Option<Finder>,
}

/// Open orders, and how far they have come.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OpenOrders {
    /// The orders.
    pub orders: Vec<tws::OpenOrder>,
    /// Their fills so far; by `order_id`, or `perm_id` where that is 0.
    pub statuses: Vec<tws::OrderStatus>,
}

/// Executions, and what they cost.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Executions {
    /// The executions.
    pub executions: Vec<tws::ExecutionDetails>,
    /// Commissions and fees, by `exec_id`.
    pub commissions: Vec<tws::CommissionAndFeesReport>,
}

impl Orders {
    pub(crate) fn new(service: Service, finder: Option<Finder>) -> Self {
        Self { service, finder }
    }

    pub(crate) fn stub(&self) -> OrderServiceClient<Service> {
        OrderServiceClient::new(self.service()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn service(&self) -> Service {
        self.service.clone()
    }

    pub(crate) fn finder(&self) -> Option<Finder> {
        self.finder.clone()
    }

    /// Open orders, whoever placed them, or only those of this session's client id (TWS:
    /// reqAllOpenOrders, reqOpenOrders).
    pub async fn open(&self, scope: OrderScope) -> Result<Answer<OpenOrders>, Error> {
        let request = api::ListOpenOrdersRequest { scope: scope.into() };
        let answer = self.stub().list_open_orders(request).await?.into_inner();
        let value = OpenOrders { orders: answer.open_orders, statuses: answer.order_statuses };
        Ok(Answer { value, notices: answer.notices })
    }

    /// Orders that are filled or cancelled (TWS: reqCompletedOrders); with `api_only` without
    /// those that were placed by hand.
    pub async fn completed(
        &self,
        api_only: bool,
    ) -> Result<Answer<Vec<tws::CompletedOrder>>, Error> {
        let request = tws::CompletedOrdersRequest { api_only: Some(api_only) };
        let request = api::ListCompletedOrdersRequest { request: Some(request) };
        let answer = self.stub().list_completed_orders(request).await?.into_inner();
        Ok(Answer { value: answer.completed_orders, notices: answer.notices })
    }

    /// Executions: today's, unless the filter says other days (TWS: reqExecutions).
    pub async fn executions(
        &self,
        filter: tws::ExecutionFilter,
        scope: OrderScope,
    ) -> Result<Answer<Executions>, Error> {
        let request = tws::ExecutionRequest { execution_filter: Some(filter), req_id: None };
        let request = api::ListExecutionsRequest { request: Some(request), scope: scope.into() };
        let answer = self.stub().list_executions(request).await?.into_inner();
        let value = Executions { executions: answer.executions, commissions: answer.commissions };
        Ok(Answer { value, notices: answer.notices })
    }
}
