//! Accounts of the shared session: balances, positions, profit and loss.
//!
//! `stream_…` opens a subscription; the calls without it read one to Gateway's end mark and
//! close it. Those answer with what is current, or fail with [`Error::NOT_READY`]: at once while
//! the session is not READY, also if it only lost IB (1100), or if it ceases to be meanwhile.

use super::{Answer, present, subscribe};
use crate::api;
use crate::api::account_event::Body;
use crate::client::{LARGEST_ANSWER, Service};
use crate::current::current;
use crate::error::Error;
use crate::reconnect::Finder;
use crate::stubs::account_service_client::AccountServiceClient;
use crate::subscription::Subscription;
use crate::tws;

/// What is known about accounts. Each stream is shared with all other clients.
#[derive(Debug, Clone)]
pub struct Accounts {
    service: Service,
    finder: Option<Finder>,
}

/// Values and portfolio of one account, at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AccountUpdates {
    /// The account's values.
    pub values: Vec<tws::AccountValue>,
    /// What it holds, valued. Of an account that Gateway does not value, because it values another
    /// one, there are no market prices and profits.
    pub portfolio: Vec<tws::PortfolioValue>,
    /// HH:MM of the newest figures; empty if Gateway did not say.
    pub time: String,
}

impl Accounts {
    pub(crate) fn new(service: Service, finder: Option<Finder>) -> Self {
        Self { service, finder }
    }

    /// The accounts of the login, in full.
    pub async fn list(&self) -> Result<Vec<api::Account>, Error> {
        let answer = self.stub().list_accounts(api::ListAccountsRequest {}).await?;
        Ok(answer.into_inner().accounts)
    }

    /// Tags of all accounts now. `tags` are joined by commas; empty means all, ledger included.
    pub async fn account_summary(
        &self,
        tags: impl Into<String>,
    ) -> Result<Answer<Vec<tws::AccountSummary>>, Error> {
        let tags = Some(tags.into()).filter(|tags| !tags.is_empty());
        let request = tws::AccountSummaryRequest { tags, ..Default::default() };
        let brief = self.brief();
        let open = async || brief.stream_account_summary(request.clone()).await;
        self.now(open, |body, found: &mut Vec<_>| match body {
            Body::AccountSummary(value) => {
                found.push(value);
                false
            }
            body => matches!(body, Body::AccountSummaryEnd(_)),
        })
        .await
    }

    /// Values and portfolio of one account now; an empty `account` means the first of the login.
    pub async fn account_updates(
        &self,
        account: impl Into<String>,
    ) -> Result<Answer<AccountUpdates>, Error> {
        let (brief, account) = (self.brief(), account.into());
        let open = async || brief.stream_account_updates(account.clone()).await;
        let gathered = self.now(open, Gathered::take).await?;
        Ok(Answer { value: gathered.value.updates, notices: gathered.notices })
    }

    /// Positions of all accounts now.
    pub async fn positions(&self) -> Result<Answer<Vec<tws::Position>>, Error> {
        let brief = self.brief();
        self.now(
            async || brief.stream_positions().await,
            |body, found: &mut Vec<_>| match body {
                Body::Position(position) => {
                    found.push(position);
                    false
                }
                body => matches!(body, Body::PositionEnd(_)),
            },
        )
        .await
    }

    /// Tags of all accounts, every 3 minutes (TWS: reqAccountSummary). Group `"All"` and all tags
    /// if the request does not say.
    pub async fn stream_account_summary(
        &self,
        request: tws::AccountSummaryRequest,
    ) -> Result<Subscription<api::AccountEvent>, Error> {
        let request = api::StreamAccountSummaryRequest { request: Some(request) };
        subscribe!(self, stub, stream_account_summary, request).await
    }

    /// Values and portfolio of one account (TWS: reqAccountUpdates).
    pub async fn stream_account_updates(
        &self,
        account: impl Into<String>,
    ) -> Result<Subscription<api::AccountEvent>, Error> {
        let request = api::StreamAccountUpdatesRequest { account: account.into() };
        subscribe!(self, stub, stream_account_updates, request).await
    }

    /// Values of one account or model (TWS: reqAccountUpdatesMulti).
    pub async fn stream_account_updates_multi(
        &self,
        request: tws::AccountUpdatesMultiRequest,
    ) -> Result<Subscription<api::AccountEvent>, Error> {
        let request = api::StreamAccountUpdatesMultiRequest { request: Some(request) };
        subscribe!(self, stub, stream_account_updates_multi, request).await
    }

    /// Positions of all accounts (TWS: reqPositions). One that is gone comes once with
    /// position 0; if it went while no broker was there, it is not told again behind RESUMED.
    pub async fn stream_positions(&self) -> Result<Subscription<api::AccountEvent>, Error> {
        subscribe!(self, stub, stream_positions, api::StreamPositionsRequest {}).await
    }

    /// Positions of one account or model (TWS: reqPositionsMulti).
    pub async fn stream_positions_multi(
        &self,
        request: tws::PositionsMultiRequest,
    ) -> Result<Subscription<api::AccountEvent>, Error> {
        let request = api::StreamPositionsMultiRequest { request: Some(request) };
        subscribe!(self, stub, stream_positions_multi, request).await
    }

    /// Profit and loss of an account or model, about once a second (TWS: reqPnL).
    pub async fn stream_pnl(
        &self,
        request: tws::PnLRequest,
    ) -> Result<Subscription<api::AccountEvent>, Error> {
        let request = api::StreamPnlRequest { request: Some(request) };
        subscribe!(self, stub, stream_pnl, request).await
    }

    /// The same of one position (TWS: reqPnLSingle). Gateway is silent about one that is not
    /// there.
    pub async fn stream_pnl_single(
        &self,
        request: tws::PnLSingleRequest,
    ) -> Result<Subscription<api::AccountEvent>, Error> {
        let request = api::StreamPnlSingleRequest { request: Some(request) };
        subscribe!(self, stub, stream_pnl_single, request).await
    }

    /// Family codes (TWS: reqFamilyCodes).
    pub async fn family_codes(&self) -> Result<Answer<Vec<tws::FamilyCode>>, Error> {
        let answer = self.stub().get_family_codes(api::GetFamilyCodesRequest {}).await?;
        let answer = answer.into_inner();
        let value = answer.family_codes.unwrap_or_default().family_codes;
        Ok(Answer { value, notices: answer.notices })
    }

    /// White-branding id of the login (TWS: reqUserInfo). Gateway may not answer without one.
    pub async fn user_info(&self) -> Result<Answer<tws::UserInfo>, Error> {
        let answer = self.stub().get_user_info(api::GetUserInfoRequest {}).await?.into_inner();
        Ok(Answer { value: present(answer.user_info, "a user")?, notices: answer.notices })
    }

    /// Soft-dollar tiers (TWS: reqSoftDollarTiers).
    pub async fn soft_dollar_tiers(&self) -> Result<Answer<Vec<tws::SoftDollarTier>>, Error> {
        let answer = self.stub().get_soft_dollar_tiers(api::GetSoftDollarTiersRequest {}).await?;
        let answer = answer.into_inner();
        let value = answer.tiers.unwrap_or_default().soft_dollar_tiers;
        Ok(Answer { value, notices: answer.notices })
    }

    /// Groups (1) or aliases (3) of a financial advisor, as XML (TWS: requestFA).
    pub async fn advisor_configuration(&self, kind: i32) -> Result<Answer<tws::ReceiveFa>, Error> {
        let request = tws::FaRequest { fa_data_type: Some(kind) };
        let request = api::GetAdvisorConfigurationRequest { request: Some(request) };
        let answer = self.stub().get_advisor_configuration(request).await?.into_inner();
        let value = present(answer.configuration, "a configuration")?;
        Ok(Answer { value, notices: answer.notices })
    }

    /// The state that is current, whole; `take` answers true at its end.
    async fn now<T: Default>(
        &self,
        open: impl AsyncFnMut() -> Result<Subscription<api::AccountEvent>, Error>,
        mut take: impl FnMut(Body, &mut T) -> bool,
    ) -> Result<Answer<T>, Error> {
        current(&self.service, open, |event: api::AccountEvent, found: &mut Answer<T>| match event
            .body
        {
            Some(Body::Error(notice)) => {
                found.notices.push(notice);
                false
            }
            Some(body) => take(body, &mut found.value),
            None => false,
        })
        .await
    }

    fn stub(&self) -> AccountServiceClient<Service> {
        stub(self.service.clone())
    }

    /// For streams that are read to the end mark, and so end with their broker.
    fn brief(&self) -> Self {
        Self { service: self.service.clone(), finder: None }
    }
}

/// One account as it is told. A second one comes in two parts, each with its own end.
#[derive(Debug, Default)]
struct Gathered {
    updates: AccountUpdates,
    values_ended: bool,
    positions_ended: bool,
}

impl Gathered {
    /// True once it is whole.
    fn take(body: Body, found: &mut Self) -> bool {
        let updates = &mut found.updates;
        match body {
            Body::AccountValue(value) => updates.values.push(value),
            Body::PortfolioValue(value) => updates.portfolio.push(value),
            Body::AccountUpdateTime(time) => updates.time = time.time_stamp.unwrap_or_default(),
            Body::AccountUpdateMulti(value) => updates.values.push(plain_value(value)),
            Body::PositionMulti(position) => updates.portfolio.push(unvalued(position)),
            Body::AccountUpdateMultiEnd(_) => found.values_ended = true,
            Body::PositionMultiEnd(_) => found.positions_ended = true,
            body => return matches!(body, Body::AccountDataEnd(_)),
        }
        found.values_ended && found.positions_ended
    }
}

fn plain_value(told: tws::AccountUpdateMulti) -> tws::AccountValue {
    let tws::AccountUpdateMulti { account, key, value, currency, .. } = told;
    tws::AccountValue { key, value, currency, account_name: account }
}

fn unvalued(told: tws::PositionMulti) -> tws::PortfolioValue {
    let tws::PositionMulti { account, contract, position, avg_cost, .. } = told;
    tws::PortfolioValue {
        contract,
        position,
        average_cost: avg_cost,
        account_name: account,
        ..Default::default()
    }
}

fn stub(service: Service) -> AccountServiceClient<Service> {
    AccountServiceClient::new(service).max_decoding_message_size(LARGEST_ANSWER)
}
