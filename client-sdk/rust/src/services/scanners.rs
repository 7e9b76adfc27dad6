//! Market scanners: ranked lists of contracts.

use super::{Answer, present, subscribe};
use crate::api;
use crate::api::scanner_event::Body;
use crate::client::{LARGEST_ANSWER, Service};
use crate::current::current;
use crate::error::Error;
use crate::reconnect::Finder;
use crate::stubs::scanner_service_client::ScannerServiceClient;
use crate::subscription::Subscription;
use crate::tws;

/// Scanners. Gateway runs ten at a time; equal ones are shared.
#[derive(Debug, Clone)]
pub struct Scanners {
    service: Service,
    finder: Option<Finder>,
}

impl Scanners {
    pub(crate) fn new(service: Service, finder: Option<Finder>) -> Self {
        Self { service, finder }
    }

    /// What can be scanned for, as XML of some megabytes (TWS: reqScannerParameters).
    pub async fn parameters(&self) -> Result<Answer<tws::ScannerParameters>, Error> {
        let request = api::GetScannerParametersRequest {};
        let answer = stub(self.service.clone()).get_scanner_parameters(request).await?;
        let answer = answer.into_inner();
        Ok(Answer { value: present(answer.parameters, "parameters")?, notices: answer.notices })
    }

    /// The list now; [`Error::NOT_READY`] if that cannot be had.
    pub async fn scan(
        &self,
        wanted: tws::ScannerSubscription,
    ) -> Result<Answer<Vec<tws::ScannerDataElement>>, Error> {
        let brief = Self { service: self.service.clone(), finder: None };
        let open = async || brief.stream(wanted.clone()).await;
        let take = |event: api::ScannerEvent, found: &mut Answer<Vec<_>>| match event.body {
            Some(Body::Data(data)) => {
                found.value = data.scanner_data_element;
                true
            }
            Some(Body::Error(notice)) => {
                found.notices.push(notice);
                false
            }
            _ => false,
        };
        current(&self.service, open, take).await
    }

    /// The list, and again whenever it changes (TWS: reqScannerSubscription). Each list is
    /// complete.
    pub async fn stream(
        &self,
        wanted: tws::ScannerSubscription,
    ) -> Result<Subscription<api::ScannerEvent>, Error> {
        let request =
            tws::ScannerSubscriptionRequest { scanner_subscription: Some(wanted), req_id: None };
        let request = api::StreamScannerRequest { request: Some(request) };
        subscribe!(self, stub, stream_scanner, request).await
    }
}

fn stub(service: Service) -> ScannerServiceClient<Service> {
    ScannerServiceClient::new(service).max_decoding_message_size(LARGEST_ANSWER)
}
