//! News, and the Wall Street Horizon calendar. Headlines as they come are generic tick 292 of
//! market data.

use super::{Answer, present, subscribe};
use crate::api;
use crate::client::{LARGEST_ANSWER, Service};
use crate::error::Error;
use crate::reconnect::Finder;
use crate::stubs::news_service_client::NewsServiceClient;
use crate::subscription::Subscription;
use crate::tws;

/// Headlines, articles, bulletins, corporate events.
#[derive(Debug, Clone)]
pub struct News {
    service: Service,
    finder: Option<Finder>,
}

/// Past headlines.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Headlines {
    /// The headlines.
    pub headlines: Vec<tws::HistoricalNews>,
    /// There are more than were asked for.
    pub has_more: bool,
}

impl News {
    pub(crate) fn new(service: Service, finder: Option<Finder>) -> Self {
        Self { service, finder }
    }

    /// Providers that the login may read (TWS: reqNewsProviders).
    pub async fn providers(&self) -> Result<Answer<Vec<tws::NewsProvider>>, Error> {
        let answer = self.stub().get_news_providers(api::GetNewsProvidersRequest {}).await?;
        let answer = answer.into_inner();
        let value = answer.providers.unwrap_or_default().news_providers;
        Ok(Answer { value, notices: answer.notices })
    }

    /// One article (TWS: reqNewsArticle).
    pub async fn article(
        &self,
        provider_code: impl Into<String>,
        article_id: impl Into<String>,
    ) -> Result<Answer<tws::NewsArticle>, Error> {
        let request = tws::NewsArticleRequest {
            provider_code: Some(provider_code.into()),
            article_id: Some(article_id.into()),
            ..Default::default()
        };
        let request = api::GetNewsArticleRequest { request: Some(request) };
        let answer = self.stub().get_news_article(request).await?.into_inner();
        Ok(Answer { value: present(answer.article, "an article")?, notices: answer.notices })
    }

    /// Past headlines about a contract (TWS: reqHistoricalNews).
    pub async fn headlines(
        &self,
        request: tws::HistoricalNewsRequest,
    ) -> Result<Answer<Headlines>, Error> {
        let request = api::GetHistoricalNewsRequest { request: Some(request) };
        let answer = self.stub().get_historical_news(request).await?.into_inner();
        let has_more = answer.end.unwrap_or_default().has_more();
        let value = Headlines { headlines: answer.headlines, has_more };
        Ok(Answer { value, notices: answer.notices })
    }

    /// Bulletins of exchanges and of IB, those of the session so far first (TWS:
    /// reqNewsBulletins).
    pub async fn stream_bulletins(&self) -> Result<Subscription<api::NewsEvent>, Error> {
        subscribe!(self, stub, stream_news_bulletins, api::StreamNewsBulletinsRequest {}).await
    }

    /// Filters and event types of the calendar, as JSON (TWS: reqWshMetaData).
    pub async fn calendar_meta_data(&self) -> Result<Answer<tws::WshMetaData>, Error> {
        let answer = self.stub().get_wsh_meta_data(api::GetWshMetaDataRequest {}).await?;
        let answer = answer.into_inner();
        Ok(Answer { value: present(answer.meta_data, "meta data")?, notices: answer.notices })
    }

    /// Events of the calendar, as JSON (TWS: reqWshEventData). The broker asks for the meta data
    /// first.
    pub async fn calendar_events(
        &self,
        request: tws::WshEventDataRequest,
    ) -> Result<Answer<tws::WshEventData>, Error> {
        let request = api::GetWshEventDataRequest { request: Some(request) };
        let answer = self.stub().get_wsh_event_data(request).await?.into_inner();
        Ok(Answer { value: present(answer.event_data, "events")?, notices: answer.notices })
    }

    fn stub(&self) -> NewsServiceClient<Service> {
        stub(self.service.clone())
    }
}

fn stub(service: Service) -> NewsServiceClient<Service> {
    NewsServiceClient::new(service).max_decoding_message_size(LARGEST_ANSWER)
}
