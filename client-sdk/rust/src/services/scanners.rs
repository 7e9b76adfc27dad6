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

    /// The list now, empty if Gateway says that nothing matches (165); [`Error::NOT_READY`] if that
    /// cannot be had.
    pub async fn scan(
        &self,
        wanted: tws::ScannerSubscription,
    ) -> Result<Answer<Vec<tws::ScannerDataElement>>, Error> {
        let brief = Self { service: self.service.clone(), finder: None };
        let open = async || brief.stream(wanted.clone()).await;
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

/// True with the list, or with the word that there is none.
fn take(event: api::ScannerEvent, found: &mut Answer<Vec<tws::ScannerDataElement>>) -> bool {
    match event.body {
        Some(Body::Data(data)) => {
            found.value = data.scanner_data_element;
            true
        }
        Some(Body::Error(notice)) => {
            let is_all = is_empty_list(&notice);
            found.notices.push(notice);
            is_all
        }
        _ => false,
    }
}

/// Gateway sends no list without a row, only this. Under the same code it says other things, after
/// which a list still comes.
fn is_empty_list(notice: &tws::ErrorMessage) -> bool {
    notice.error_code() == 165
        && notice.error_msg().to_ascii_lowercase().contains("no items retrieved")
}

fn stub(service: Service) -> ScannerServiceClient<Service> {
    ScannerServiceClient::new(service).max_decoding_message_size(LARGEST_ANSWER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_without_a_row_is_a_whole_answer_and_other_words_are_none() {
        for (code, message, whole) in [
            (165, "Historical Market Data Service query message:No items retrieved", true),
            (165, "HMDS server connection was successful", false),
            (2104, "no items retrieved", false),
        ] {
            let notice = tws::ErrorMessage {
                error_code: Some(code),
                error_msg: Some(message.into()),
                ..Default::default()
            };
            let body = Some(Body::Error(notice));
            let mut found = Answer::default();
            let event = api::ScannerEvent { body, ..Default::default() };
            assert_eq!(take(event, &mut found), whole, "{code} {message}");
            assert_eq!((found.value.len(), found.notices.len()), (0, 1));
        }
    }
}
