//! The reading services, as a table: which call asks what, which stream wants what. How they are
//! served is in [`super::reader`]; what may be asked, in `ibouncer_core::calls::asked` and
//! `ibouncer_core::lines::wanted`.

use ibouncer_core::accounts::is_paper;
use ibouncer_core::calls::Asked;
use ibouncer_core::hub::{Input, Reply};
use ibouncer_core::lines::wanted::Wanted;
use ibouncer_core::orders::request::OrderRequest;
use ibouncer_proto::api::v1 as api;
use tonic::{Request, Response, Status};

use super::admin::{typed, unexpected};
use super::codec::Answer;
use super::events::Elsewhere;
use super::reader::Reader;
use super::servers::account_service_server::AccountService;
use super::servers::contract_service_server::ContractService;
use super::servers::history_service_server::HistoryService;
use super::servers::news_service_server::NewsService;
use super::servers::scanner_service_server::ScannerService;
use super::status::status;
use crate::handle::Command;

macro_rules! service {
    ($service:ident {
        $(call $call:ident($asks:ty): $ask:expr;)*
        $(stream $stream:ident($wants:ty) $stream_type:ident: $want:expr;)*
        $(also $also:item)*
    }) => {
        #[tonic::async_trait]
        impl $service for Reader {
            $(async fn $call(&self, request: Request<$asks>) -> Result<Response<Answer>, Status> {
                self.answer(request, $ask).await
            })*

            $(type $stream_type = Elsewhere;

            async fn $stream(&self, request: Request<$wants>) -> Result<Response<Elsewhere>, Status> {
                self.stream(request, $want).await
            })*

            $($also)*
        }
    };
}

service!(ContractService {
    call get_contract_details(api::GetContractDetailsRequest):
        |asked| Asked::contract_details(asked.request.unwrap_or_default());
    call get_matching_symbols(api::GetMatchingSymbolsRequest):
        |asked| Asked::matching_symbols(asked.request.unwrap_or_default());
    call get_option_parameters(api::GetOptionParametersRequest):
        |asked| Asked::option_parameters(asked.request.unwrap_or_default());
    call get_market_rule(api::GetMarketRuleRequest):
        |asked| Asked::market_rule(asked.request.unwrap_or_default());
    call get_smart_components(api::GetSmartComponentsRequest):
        |asked| Asked::smart_components(asked.request.unwrap_or_default());
    call get_market_depth_exchanges(api::GetMarketDepthExchangesRequest):
        |_| Ok(Asked::market_depth_exchanges());
});

service!(HistoryService {
    call get_historical_bars(api::GetHistoricalBarsRequest):
        |asked| Asked::historical_bars(asked.request.unwrap_or_default());
    call get_historical_schedule(api::GetHistoricalScheduleRequest):
        |asked| Asked::historical_schedule(asked.request.unwrap_or_default());
    call get_historical_ticks(api::GetHistoricalTicksRequest):
        |asked| Asked::historical_ticks(asked.request.unwrap_or_default());
    call get_head_timestamp(api::GetHeadTimestampRequest):
        |asked| Asked::head_timestamp(asked.request.unwrap_or_default());
    call get_histogram(api::GetHistogramRequest):
        |asked| Asked::histogram(asked.request.unwrap_or_default());
    stream stream_historical_bars(api::StreamHistoricalBarsRequest) StreamHistoricalBarsStream:
        |wanted| Wanted::historical_bars(wanted.request.unwrap_or_default());
});

service!(AccountService {
    call get_family_codes(api::GetFamilyCodesRequest): |_| Ok(Asked::family_codes());
    call get_user_info(api::GetUserInfoRequest): |_| Ok(Asked::user_info());
    call get_soft_dollar_tiers(api::GetSoftDollarTiersRequest):
        |_| Ok(Asked::soft_dollar_tiers());
    call get_advisor_configuration(api::GetAdvisorConfigurationRequest):
        |asked| Asked::advisor_configuration(asked.request.unwrap_or_default());
    stream stream_account_summary(api::StreamAccountSummaryRequest) StreamAccountSummaryStream:
        |wanted| Wanted::account_summary(wanted.request.unwrap_or_default());
    stream stream_account_updates(api::StreamAccountUpdatesRequest) StreamAccountUpdatesStream:
        |wanted| Wanted::account_updates(&wanted.account);
    stream stream_account_updates_multi(api::StreamAccountUpdatesMultiRequest)
        StreamAccountUpdatesMultiStream:
        |wanted| Wanted::account_updates_multi(wanted.request.unwrap_or_default());
    stream stream_positions(api::StreamPositionsRequest) StreamPositionsStream:
        |_| Ok(Wanted::positions());
    stream stream_positions_multi(api::StreamPositionsMultiRequest) StreamPositionsMultiStream:
        |wanted| Wanted::positions_multi(wanted.request.unwrap_or_default());
    stream stream_pnl(api::StreamPnlRequest) StreamPnlStream:
        |wanted| Wanted::pnl(wanted.request.unwrap_or_default());
    stream stream_pnl_single(api::StreamPnlSingleRequest) StreamPnlSingleStream:
        |wanted| Wanted::pnl_single(wanted.request.unwrap_or_default());
    also async fn list_accounts(
        &self,
        request: Request<api::ListAccountsRequest>,
    ) -> Result<Response<Answer>, Status> {
        let caller = self.doorkeeper.admit(&request).await?;
        let made = |call| Input::Order { client: caller.client, call, request: OrderRequest::WhoAmI };
        let me = match self.handle.call(made).await.map_err(|error| status(&error))? {
            Reply::Answer(me) => typed::<api::WhoAmIResponse>(me)?,
            other => return Err(unexpected(&other)),
        };
        let accounts = self.handle.ask(Command::Accounts).await;
        let accounts = accounts.and_then(|accounts| accounts).map_err(|error| status(&error))?;
        let accounts = accounts
            .into_iter()
            .filter(|account| me.accounts.is_empty() || me.accounts.contains(account))
            .map(|account| api::Account { paper: is_paper(&account), account })
            .collect();
        caller.account.give(Answer::of(&api::ListAccountsResponse { accounts }))
    }
});

service!(NewsService {
    call get_news_providers(api::GetNewsProvidersRequest): |_| Ok(Asked::news_providers());
    call get_news_article(api::GetNewsArticleRequest):
        |asked| Asked::news_article(asked.request.unwrap_or_default());
    call get_historical_news(api::GetHistoricalNewsRequest):
        |asked| Asked::historical_news(asked.request.unwrap_or_default());
    call get_wsh_meta_data(api::GetWshMetaDataRequest): |_| Ok(Asked::wsh_meta_data());
    call get_wsh_event_data(api::GetWshEventDataRequest):
        |asked| Ok(Asked::wsh_event_data(asked.request.unwrap_or_default()));
    stream stream_news_bulletins(api::StreamNewsBulletinsRequest) StreamNewsBulletinsStream:
        |_| Ok(Wanted::news_bulletins());
});

service!(ScannerService {
    call get_scanner_parameters(api::GetScannerParametersRequest):
        |_| Ok(Asked::scanner_parameters());
    stream stream_scanner(api::StreamScannerRequest) StreamScannerStream:
        |wanted| Wanted::scanner(wanted.request.unwrap_or_default());
});
