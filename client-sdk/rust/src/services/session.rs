//! Beside the status: what waits for its turn, and Gateway's own clock and settings.

use super::{Answer, present};
use crate::api;
use crate::client::{LARGEST_ANSWER, Service};
use crate::error::Error;
use crate::stubs::session_service_client::SessionServiceClient;
use crate::tws;

/// Questions about the session. Its status is asked of the [`Client`](crate::Client) itself.
#[derive(Debug, Clone)]
pub struct Session {
    stub: SessionServiceClient<Service>,
}

impl Session {
    pub(crate) fn new(service: Service) -> Self {
        let stub = SessionServiceClient::new(service).max_decoding_message_size(LARGEST_ANSWER);
        Self { stub }
    }

    /// Requests that wait for their turn to leave for Gateway, in the order in which they will:
    /// all of them, or those of one client by its name.
    pub async fn queue(&self, client: Option<&str>) -> Result<api::GetQueueResponse, Error> {
        let request = api::GetQueueRequest { client: client.unwrap_or_default().to_owned() };
        Ok(self.stub.clone().get_queue(request).await?.into_inner())
    }

    /// Gateway's clock (TWS: reqCurrentTime, reqCurrentTimeInMillis).
    pub async fn current_time(&self) -> Result<Answer<tws::CurrentTimeInMillis>, Error> {
        let answer = self.stub.clone().get_current_time(api::GetCurrentTimeRequest {}).await?;
        let answer = answer.into_inner();
        Ok(Answer { value: present(answer.current_time, "a time")?, notices: answer.notices })
    }

    /// Gateway's own API settings, read only (TWS: reqConfig; Gateway 219 and later).
    pub async fn gateway_configuration(&self) -> Result<Answer<tws::ConfigResponse>, Error> {
        let request = api::GetGatewayConfigurationRequest {};
        let answer = self.stub.clone().get_gateway_configuration(request).await?.into_inner();
        let value = present(answer.configuration, "a configuration")?;
        Ok(Answer { value, notices: answer.notices })
    }
}
