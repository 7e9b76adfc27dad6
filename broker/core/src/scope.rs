//! What a client with an account list may see: requests that name another account are refused,
//! and from answers about all accounts the others are left out.
//!
//! Pure functions over bodies. What has no account in it passes; what should have one and cannot be
//! read does not.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;
use prost::bytes::Buf as _;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};

use crate::accounts::mask_accounts;
use crate::calls::{self, CallKind};
use crate::error::{self, Error};
use crate::lines::kind;
use crate::lines::wanted::{Filter, Wanted};

/// Accounts that a client is limited to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Key of the configuration that says so.
    pub key: String,
    /// The accounts.
    pub accounts: Arc<Vec<String>>,
}

impl Scope {
    /// The wish as this client may have it; `login` are all accounts of the session.
    pub fn wanted(&self, wanted: Wanted, login: &[String]) -> Result<Wanted, Error> {
        let body = &wanted.body[..];
        let named = if *wanted.kind == kind::ACCOUNT_UPDATES {
            tws::AccountDataRequest::decode(body).map(|one| one.acct_code().to_owned())
        } else if *wanted.kind == kind::ACCOUNT_UPDATES_MULTI {
            tws::AccountUpdatesMultiRequest::decode(body).map(|one| one.account().to_owned())
        } else if *wanted.kind == kind::POSITIONS_MULTI {
            tws::PositionsMultiRequest::decode(body).map(|one| one.account().to_owned())
        } else if *wanted.kind == kind::PNL {
            tws::PnLRequest::decode(body).map(|one| one.account().to_owned())
        } else if *wanted.kind == kind::PNL_SINGLE {
            tws::PnLSingleRequest::decode(body).map(|one| one.account().to_owned())
        } else if *wanted.kind == kind::POSITIONS || *wanted.kind == kind::ACCOUNT_SUMMARY {
            let asked = tws::AccountSummaryRequest::decode(body).unwrap_or_default();
            // Of a group of accounts it is shown its own; a group can be one account, too.
            if login.iter().any(|one| one == asked.group()) && !self.has(asked.group()) {
                return Err(self.refusal("the group is an account that is not among them"));
            }
            let filter = wanted.filter.within(Arc::clone(&self.accounts));
            return Ok(Wanted { filter, ..wanted });
        } else {
            return Ok(wanted);
        };
        match named {
            Ok(named) if self.has(&named) => Ok(wanted),
            Ok(named) if named.is_empty() => Err(self.refusal("the request must name one account")),
            _ => Err(self.refusal("the account is not among them")),
        }
    }

    /// May this client ask so?
    pub fn call(&self, kind: &CallKind, body: &[u8]) -> Result<(), Error> {
        if *kind == calls::EXECUTIONS {
            let asked = tws::ExecutionRequest::decode(body).unwrap_or_default();
            let filter = asked.execution_filter.unwrap_or_default();
            if !filter.acct_code().is_empty() && !self.has(filter.acct_code()) {
                return Err(self.refusal("the filter's acct_code is not among them"));
            }
        }
        if *kind == calls::ADVISOR_CONFIGURATION || *kind == calls::USER_INFO {
            return Err(self.refusal("this is about all accounts"));
        }
        Ok(())
    }

    /// The answer without what belongs to other accounts.
    pub fn answer(&self, kind: &CallKind, answer: &Bytes) -> Bytes {
        let keeps: Keeps = if *kind == calls::OPEN_ORDERS || *kind == calls::ALL_OPEN_ORDERS {
            open_orders
        } else if *kind == calls::COMPLETED_ORDERS {
            completed_orders
        } else if *kind == calls::EXECUTIONS {
            executions
        } else if *kind == calls::FAMILY_CODES {
            return self.family_codes(answer);
        } else {
            return answer.clone();
        };
        let mut seen = BTreeSet::new();
        filtered(answer, |tag, body| keeps(self, tag, body, &mut seen)).unwrap_or_default()
    }

    fn family_codes(&self, answer: &Bytes) -> Bytes {
        let filter = |body: &[u8]| {
            let codes = tws::FamilyCodes::decode(body).ok()?;
            let family_codes =
                codes.family_codes.into_iter().filter(|one| self.has(one.account_id())).collect();
            Some(tws::FamilyCodes { family_codes }.encode_to_vec())
        };
        let mut out = BytesMut::new();
        let parts = filtered(answer, |tag, body| {
            if tag == 1
                && let Some(body) = filter(body)
            {
                encode_key(1, WireType::LengthDelimited, &mut out);
                encode_varint(body.len() as u64, &mut out);
                out.extend_from_slice(&body);
            }
            tag != 1
        });
        out.extend_from_slice(&parts.unwrap_or_default());
        out.freeze()
    }

    /// May it see this account?
    pub fn has(&self, account: &str) -> bool {
        self.accounts.iter().any(|one| one == account)
    }

    fn refusal(&self, what: &str) -> Error {
        let accounts = mask_accounts(self.accounts.iter());
        error::forbidden("RIGHT_DENIED", &format!("{} = {accounts}: {what}", self.key), &self.key)
    }
}

type Keeps = fn(&Scope, u32, &[u8], &mut BTreeSet<String>) -> bool;

/// Orders by account, and the statuses of those.
fn open_orders(scope: &Scope, tag: u32, body: &[u8], seen: &mut BTreeSet<String>) -> bool {
    match tag {
        1 => tws::OpenOrder::decode(body).ok().and_then(|told| told.order).is_some_and(|order| {
            let own = scope.has(order.account());
            if own {
                seen.insert(order.perm_id().to_string());
            }
            own
        }),
        2 => tws::OrderStatus::decode(body)
            .is_ok_and(|status| seen.contains(&status.perm_id().to_string())),
        _ => true,
    }
}

fn completed_orders(scope: &Scope, tag: u32, body: &[u8], _: &mut BTreeSet<String>) -> bool {
    tag != 1
        || tws::CompletedOrder::decode(body)
            .is_ok_and(|told| told.order.is_some_and(|order| scope.has(order.account())))
}

/// Executions by account, and the commissions of those.
fn executions(scope: &Scope, tag: u32, body: &[u8], seen: &mut BTreeSet<String>) -> bool {
    match tag {
        1 => tws::ExecutionDetails::decode(body).ok().and_then(|told| told.execution).is_some_and(
            |execution| {
                let own = scope.has(execution.acct_number());
                if own {
                    seen.insert(execution.exec_id().to_owned());
                }
                own
            },
        ),
        2 => tws::CommissionAndFeesReport::decode(body)
            .is_ok_and(|report| seen.contains(report.exec_id())),
        _ => true,
    }
}

/// The message with those of its fields that are kept.
fn filtered(message: &[u8], mut keep: impl FnMut(u32, &[u8]) -> bool) -> Option<Bytes> {
    let mut out = BytesMut::with_capacity(message.len());
    let mut rest = message;
    while rest.has_remaining() {
        let begin = rest;
        let (tag, wire_type) = decode_key(&mut rest).ok()?;
        let mut inside = rest;
        skip_field(wire_type, tag, &mut rest, DecodeContext::default()).ok()?;
        let body = if wire_type == WireType::LengthDelimited {
            let length = usize::try_from(decode_varint(&mut inside).ok()?).ok()?;
            inside.get(..length)?
        } else {
            &[]
        };
        if keep(tag, body) {
            out.extend_from_slice(&begin[..begin.len() - rest.len()]);
        }
    }
    Some(out.freeze())
}

impl Filter {
    /// The same, and of these accounts only.
    fn within(&self, accounts: Arc<Vec<String>>) -> Self {
        Self::Accounts(accounts, Box::new(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use ibouncer_proto::api::v1;

    use super::*;
    use crate::fields::field;

    fn scope() -> Scope {
        Scope { key: "clients.m.accounts".into(), accounts: Arc::new(vec!["DU0000001".into()]) }
    }

    fn wanted(wanted: Wanted) -> Result<Wanted, Error> {
        scope().wanted(wanted, &["DU0000001".to_owned(), "DU0000002".to_owned()])
    }

    #[test]
    fn requests_that_name_another_account_or_none_are_refused() {
        let pnl = |account: &str| {
            Wanted::pnl(tws::PnLRequest { account: Some(account.into()), ..Default::default() })
                .unwrap()
        };
        wanted(pnl("DU0000001")).unwrap();
        let refused = wanted(pnl("DU0000002")).unwrap_err();
        assert_eq!(refused.code, "RIGHT_DENIED");
        let refused = wanted(Wanted::account_updates("").unwrap()).unwrap_err();
        assert!(refused.message.contains("must name"), "{}", refused.message);
        assert!(refused.message.contains("clients.m.accounts = [DU***001]"), "{}", refused.message);
        assert!(scope().call(&calls::ADVISOR_CONFIGURATION, &[]).is_err());
        let executions = |account: &str| {
            let acct_code = Some(account.to_owned());
            let filter = tws::ExecutionFilter { acct_code, ..Default::default() };
            let asked = tws::ExecutionRequest { execution_filter: Some(filter), req_id: None };
            scope().call(&calls::EXECUTIONS, &asked.encode_to_vec())
        };
        executions("").unwrap();
        executions("DU0000001").unwrap();
        assert_eq!(executions("DU0000002").unwrap_err().code, "RIGHT_DENIED");
        let summary = |group: &str| {
            let group = Some(group.to_owned());
            let asked = tws::AccountSummaryRequest { group, ..Default::default() };
            wanted(Wanted::account_summary(asked).unwrap())
        };
        for group in ["", "All", "Everyone", "DU0000001"] {
            assert!(summary(group).unwrap().filter.is_limited(), "{group}");
        }
        assert_eq!(summary("DU0000002").unwrap_err().code, "RIGHT_DENIED");
    }

    #[test]
    fn positions_and_summaries_of_others_do_not_pass() {
        let wanted = wanted(Wanted::positions()).unwrap();
        let position = |account: &str| {
            tws::Position { account: Some(account.into()), ..Default::default() }.encode_to_vec()
        };
        assert!(wanted.filter.passes(field::POSITION, &position("DU0000001")));
        assert!(!wanted.filter.passes(field::POSITION, &position("DU0000002")));
        assert!(wanted.filter.passes(field::POSITION_END, &[]));
    }

    #[test]
    fn lists_hold_what_is_of_ones_own_accounts_and_what_belongs_to_it() {
        let execution = |id: &str, account: &str| tws::ExecutionDetails {
            execution: Some(tws::Execution {
                exec_id: Some(id.into()),
                acct_number: Some(account.into()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let commission = |id: &str| tws::CommissionAndFeesReport {
            exec_id: Some(id.into()),
            ..Default::default()
        };
        let all = v1::ListExecutionsResponse {
            executions: vec![execution("a", "DU0000001"), execution("b", "DU0000002")],
            commissions: vec![commission("a"), commission("b")],
            notices: vec![tws::ErrorMessage::default()],
        };
        let kept = scope().answer(&calls::EXECUTIONS, &all.encode_to_vec().into());
        let kept = v1::ListExecutionsResponse::decode(kept).unwrap();
        assert_eq!((kept.executions.len(), kept.commissions.len(), kept.notices.len()), (1, 1, 1));
        assert_eq!(kept.commissions[0].exec_id(), "a");

        let order = |account: &str, perm_id| tws::OpenOrder {
            order: Some(tws::Order {
                account: Some(account.into()),
                perm_id: Some(perm_id),
                ..Default::default()
            }),
            ..Default::default()
        };
        let status = |perm_id| tws::OrderStatus { perm_id: Some(perm_id), ..Default::default() };
        let all = v1::ListOpenOrdersResponse {
            open_orders: vec![order("DU0000001", 1), order("DU0000002", 2)],
            order_statuses: vec![status(1), status(2)],
            notices: vec![],
        };
        let kept = scope().answer(&calls::ALL_OPEN_ORDERS, &all.encode_to_vec().into());
        let kept = v1::ListOpenOrdersResponse::decode(kept).unwrap();
        assert_eq!((kept.open_orders.len(), kept.order_statuses.len()), (1, 1));

        let codes = tws::FamilyCodes {
            family_codes: ["DU0000001", "DU0000002"]
                .map(|one| tws::FamilyCode { account_id: Some(one.into()), ..Default::default() })
                .to_vec(),
        };
        let all = v1::GetFamilyCodesResponse { family_codes: Some(codes), notices: vec![] };
        let kept = scope().answer(&calls::FAMILY_CODES, &all.encode_to_vec().into());
        let kept = v1::GetFamilyCodesResponse::decode(kept).unwrap();
        assert_eq!(kept.family_codes.unwrap().family_codes.len(), 1);
    }
}
