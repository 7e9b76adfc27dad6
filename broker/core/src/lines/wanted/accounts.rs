//! Wishes about accounts: values, positions, profit and loss.

use std::collections::BTreeSet;
use std::sync::Arc;

use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use super::filter::ALL_TAGS;
use super::{About, Filter, Wanted};
use crate::checks;
use crate::error::{self, Error};
use crate::lines::kind;

impl Wanted {
    /// Tags of all accounts.
    pub fn account_summary(request: tws::AccountSummaryRequest) -> Result<Self, Error> {
        let group = match request.group() {
            "" => kind::ALL_GROUPS,
            group => group,
        };
        checks::text("group", group)?;
        checks::text("tags", request.tags())?;
        let tags: BTreeSet<String> = request
            .tags()
            .split(',')
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect();
        let filter = if tags.is_empty() { Filter::All } else { Filter::Tags(Arc::new(tags)) };
        let body = tws::AccountSummaryRequest {
            req_id: None,
            group: Some(group.into()),
            tags: Some(ALL_TAGS.into()),
        };
        let about = About { label: group.into(), ..About::default() };
        Ok(Self { filter, ..Self::new(&kind::ACCOUNT_SUMMARY, &body, about) })
    }

    /// Values and portfolio of one account; of the first of the login, if none is named.
    pub fn account_updates(account: &str) -> Result<Self, Error> {
        checks::text("account", account)?;
        Ok(Self::updates_of(account))
    }

    /// The same with the account that it means, if it named none.
    #[must_use]
    pub fn with_account(self, account: &str) -> Self {
        if !self.unnamed {
            return self;
        }
        let named = if *self.kind == kind::ACCOUNT_UPDATES {
            Self::updates_of(account)
        } else if *self.kind == kind::ACCOUNT_UPDATES_MULTI {
            Self::values_of(account, "", false)
        } else {
            Self::positions_of(account, "")
        };
        Self { private: self.private, took: Some(account.into()), ..named }
    }

    /// What says of an account, in two lines, most of what its updates would. Others who name no
    /// account there mean all of them, so it is not shared with those before it has a name.
    pub fn instead_of_updates(updates: &Self) -> [Self; 2] {
        let asked = tws::AccountDataRequest::decode(&updates.body[..]).unwrap_or_default();
        let account = asked.acct_code();
        let (unnamed, private) = (updates.unnamed, updates.unnamed);
        [Self::values_of(account, "", false), Self::positions_of(account, "")].map(|one| {
            let about = updates.about.clone();
            Self { unnamed, private, about, took: updates.took.clone(), ..one }
        })
    }

    /// The updates that these values stand for, of one who `took` the account's name from the login.
    pub fn updates_instead(&self, took: Option<Arc<str>>) -> Option<Self> {
        let updates = match self.unnamed {
            true => Self::updates_of(""),
            false => Self::updates_of(&self.account()?),
        };
        Some(Self { took, ..updates })
    }

    /// The account that a wish for account updates, or for what stands for them, is about; empty if
    /// it names none.
    pub fn account(&self) -> Option<String> {
        let body = &self.body[..];
        if *self.kind == kind::ACCOUNT_UPDATES {
            tws::AccountDataRequest::decode(body).ok()?.acct_code
        } else if *self.kind == kind::ACCOUNT_UPDATES_MULTI {
            tws::AccountUpdatesMultiRequest::decode(body).ok()?.account
        } else if *self.kind == kind::POSITIONS_MULTI {
            tws::PositionsMultiRequest::decode(body).ok()?.account
        } else {
            None
        }
    }

    fn updates_of(account: &str) -> Self {
        let unnamed = account.is_empty();
        let body =
            tws::AccountDataRequest { subscribe: Some(true), acct_code: Some(account.to_owned()) };
        let about = match unnamed {
            true => About { label: "the first account".into(), ..About::default() },
            false => About::account(account),
        };
        Self { unnamed, ..Self::new(&kind::ACCOUNT_UPDATES, &body, about) }
    }

    fn values_of(account: &str, model: &str, ledger_and_nlv: bool) -> Self {
        let body = tws::AccountUpdatesMultiRequest {
            req_id: None,
            account: Some(account.to_owned()),
            model_code: Some(model.to_owned()),
            ledger_and_nlv: Some(ledger_and_nlv),
        };
        Self::new(&kind::ACCOUNT_UPDATES_MULTI, &body, About::account(account))
    }

    fn positions_of(account: &str, model: &str) -> Self {
        let body = tws::PositionsMultiRequest {
            req_id: None,
            account: Some(account.to_owned()),
            model_code: Some(model.to_owned()),
        };
        Self::new(&kind::POSITIONS_MULTI, &body, About::account(account))
    }

    /// Values of one account or model.
    pub fn account_updates_multi(request: tws::AccountUpdatesMultiRequest) -> Result<Self, Error> {
        checks::text("account", request.account())?;
        checks::text("model_code", request.model_code())?;
        Ok(Self::values_of(request.account(), request.model_code(), request.ledger_and_nlv()))
    }

    /// Positions of all accounts.
    pub fn positions() -> Self {
        Self::new(&kind::POSITIONS, &tws::PositionsRequest {}, About::account(""))
    }

    /// Positions of one account or model.
    pub fn positions_multi(request: tws::PositionsMultiRequest) -> Result<Self, Error> {
        checks::text("account", request.account())?;
        checks::text("model_code", request.model_code())?;
        Ok(Self::positions_of(request.account(), request.model_code()))
    }

    /// Profit and loss.
    pub fn pnl(request: tws::PnLRequest) -> Result<Self, Error> {
        checks::needed("account", request.account(), "DU0000001")?;
        let about = About::account(request.account());
        let model = request.model_code.clone().unwrap_or_default();
        checks::text("model_code", &model)?;
        let body = tws::PnLRequest { req_id: None, model_code: Some(model), ..request };
        Ok(Self::new(&kind::PNL, &body, about))
    }

    /// Profit and loss of one position.
    pub fn pnl_single(request: tws::PnLSingleRequest) -> Result<Self, Error> {
        checks::needed("account", request.account(), "DU0000001")?;
        if request.con_id() <= 0 {
            return Err(error::invalid("request.con_id is missing: the contract's number"));
        }
        let mut about = About::account(request.account());
        about.label = format!("{} conId {}", about.label, request.con_id());
        let model = request.model_code.clone().unwrap_or_default();
        checks::text("model_code", &model)?;
        let body = tws::PnLSingleRequest { req_id: None, model_code: Some(model), ..request };
        Ok(Self::new(&kind::PNL_SINGLE, &body, about))
    }
}
