//! What a client gets of a line that says more: some tags of an account summary, some accounts.

use std::collections::BTreeSet;
use std::sync::Arc;

use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use crate::fields::field;

/// All tags of an account summary, and the ledger in every currency.
pub(super) const ALL_TAGS: &str = "AccountType,NetLiquidation,TotalCashValue,SettledCash,AccruedCash,\
BuyingPower,EquityWithLoanValue,PreviousEquityWithLoanValue,GrossPositionValue,ReqTEquity,\
ReqTMargin,SMA,InitMarginReq,MaintMarginReq,AvailableFunds,ExcessLiquidity,Cushion,\
FullInitMarginReq,FullMaintMarginReq,FullAvailableFunds,FullExcessLiquidity,\
LookAheadNextChange,LookAheadInitMarginReq,LookAheadMaintMarginReq,LookAheadAvailableFunds,\
LookAheadExcessLiquidity,HighestSeverity,DayTradesRemaining,Leverage,$LEDGER:ALL";

/// What asks for the ledger, in whichever currency; it comes under tags of its own.
const LEDGER: &str = "$LEDGER";
/// The one tag that is both an account's and the ledger's.
const ACCRUED_CASH: &str = "AccruedCash";

/// Which bodies of a line a client gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Filter {
    /// All.
    #[default]
    All,
    /// Of an account summary, these tags.
    Tags(Arc<BTreeSet<String>>),
    /// What is of these accounts, and passes this.
    Accounts(Arc<Vec<String>>, Box<Self>),
}

impl Filter {
    /// Is it for a client that may not see every account?
    pub const fn is_limited(&self) -> bool {
        matches!(self, Self::Accounts(..))
    }

    /// Does the client get this body?
    pub fn passes(&self, field: u8, body: &[u8]) -> bool {
        match self {
            Self::All => true,
            // Whose account it is about cannot be told.
            Self::Accounts(..) if field == field::UNKNOWN => false,
            Self::Accounts(accounts, inner) => {
                account_of(field, body).is_none_or(|account| accounts.contains(&account))
                    && inner.passes(field, body)
            }
            Self::Tags(tags) => {
                field != field::ACCOUNT_SUMMARY
                    || tws::AccountSummary::decode(body).is_ok_and(|value| has_tag(tags, &value))
            }
        }
    }
}

/// Is this value one of those that were asked for? The ledger's tags are Gateway's to name: they
/// are those that nothing else asks for, and accrued cash. `$LEDGER:USD` means those in dollars.
fn has_tag(tags: &BTreeSet<String>, value: &tws::AccountSummary) -> bool {
    let named = || ALL_TAGS.split(',').any(|tag| tag == value.tag());
    let in_ledger = || value.tag() == ACCRUED_CASH || !named();
    let by_ledger = |tag: &String| match tag.strip_prefix(LEDGER) {
        Some("" | ":ALL") => in_ledger(),
        Some(currency) => currency.strip_prefix(':') == Some(value.currency()) && in_ledger(),
        None => false,
    };
    tags.contains(value.tag()) || tags.iter().any(by_ledger)
}

/// Whose account a body of a line is about; none if it is about none.
pub fn account_of(field_of: u8, body: &[u8]) -> Option<String> {
    match field_of {
        field::POSITION => tws::Position::decode(body).ok().map(|one| one.account().to_owned()),
        field::ACCOUNT_SUMMARY => {
            tws::AccountSummary::decode(body).ok().map(|one| one.account().to_owned())
        }
        field::ACCOUNT_VALUE => {
            tws::AccountValue::decode(body).ok().map(|one| one.account_name().to_owned())
        }
        field::PORTFOLIO_VALUE => {
            tws::PortfolioValue::decode(body).ok().map(|one| one.account_name().to_owned())
        }
        field::ACCOUNT_DATA_END => {
            tws::AccountDataEnd::decode(body).ok().map(|one| one.account_name().to_owned())
        }
        _ => None,
    }
}
