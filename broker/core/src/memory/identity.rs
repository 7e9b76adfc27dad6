//! What an account's value, a position or a bulletin is about: two bodies of one identity are
//! about the same thing, and the newer one is right.

use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use crate::fields::field;

/// Of what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity {
    /// The only one of its field on its line.
    Only(u8),
    /// Told apart by these texts.
    Named(u8, Vec<String>),
    /// The end mark of a first load.
    End,
}

/// The identity of a body; none for what is not a state, or cannot be read.
pub fn identity_of(field: u8, body: &[u8]) -> Option<Identity> {
    let named = |parts: Vec<String>| Some(Identity::Named(field, parts));
    match field {
        field::ACCOUNT_DATA_END
        | field::ACCOUNT_SUMMARY_END
        | field::POSITION_END
        | field::POSITION_MULTI_END
        | field::ACCOUNT_UPDATE_MULTI_END => Some(Identity::End),
        field::PNL | field::PNL_SINGLE | field::SCANNER_DATA | field::ACCOUNT_UPDATE_TIME => {
            Some(Identity::Only(field))
        }
        field::ACCOUNT_VALUE => {
            let value = tws::AccountValue::decode(body).ok()?;
            named(vec![value.account_name().into(), value.key().into(), value.currency().into()])
        }
        field::PORTFOLIO_VALUE => {
            let value = tws::PortfolioValue::decode(body).ok()?;
            named(vec![value.account_name().into(), contract(value.contract.as_ref())])
        }
        field::ACCOUNT_SUMMARY => {
            let value = tws::AccountSummary::decode(body).ok()?;
            named(vec![value.account().into(), value.tag().into(), value.currency().into()])
        }
        field::POSITION => {
            let value = tws::Position::decode(body).ok()?;
            named(vec![value.account().into(), contract(value.contract.as_ref())])
        }
        field::POSITION_MULTI => {
            let value = tws::PositionMulti::decode(body).ok()?;
            named(vec![
                value.account().into(),
                value.model_code().into(),
                contract(value.contract.as_ref()),
            ])
        }
        field::ACCOUNT_UPDATE_MULTI => {
            let value = tws::AccountUpdateMulti::decode(body).ok()?;
            named(vec![
                value.account().into(),
                value.model_code().into(),
                value.key().into(),
                value.currency().into(),
            ])
        }
        field::BULLETIN => {
            let value = tws::NewsBulletin::decode(body).ok()?;
            named(vec![value.news_msg_id().to_string()])
        }
        _ => None,
    }
}

/// Is one such body the whole state of its line?
pub const fn is_whole(field: u8) -> bool {
    matches!(field, field::PNL | field::PNL_SINGLE | field::SCANNER_DATA)
}

/// Is the thing forgotten with this body? A closed position of account updates is not: Gateway goes
/// on telling of it for the rest of the day, because its profit is in it.
pub fn is_gone(field: u8, body: &[u8]) -> bool {
    field != field::PORTFOLIO_VALUE && is_nothing(field, body)
}

/// Does this body say that nothing is held?
pub fn is_nothing(field: u8, body: &[u8]) -> bool {
    let size = match field {
        field::POSITION => tws::Position::decode(body).ok().and_then(|value| value.position),
        field::PORTFOLIO_VALUE => {
            tws::PortfolioValue::decode(body).ok().and_then(|value| value.position)
        }
        field::POSITION_MULTI => {
            tws::PositionMulti::decode(body).ok().and_then(|value| value.position)
        }
        _ => return false,
    };
    size.is_some_and(|size| size.parse() == Ok(0.0_f64))
}

/// The body that says so, for a thing that Gateway did not name again.
pub fn gone(field: u8, body: &[u8]) -> Option<Vec<u8>> {
    let none = || Some("0".to_owned());
    match field {
        field::POSITION => {
            let value = tws::Position::decode(body).ok()?;
            Some(tws::Position { position: none(), avg_cost: Some(0.0), ..value }.encode_to_vec())
        }
        field::PORTFOLIO_VALUE => {
            let value = tws::PortfolioValue::decode(body).ok()?;
            let value = tws::PortfolioValue {
                position: none(),
                market_value: Some(0.0),
                average_cost: Some(0.0),
                unrealized_pnl: Some(0.0),
                ..value
            };
            Some(value.encode_to_vec())
        }
        field::POSITION_MULTI => {
            let value = tws::PositionMulti::decode(body).ok()?;
            let value = tws::PositionMulti { position: none(), avg_cost: Some(0.0), ..value };
            Some(value.encode_to_vec())
        }
        _ => None,
    }
}

/// A contract by its number, or by all of its fields where it has none.
fn contract(contract: Option<&tws::Contract>) -> String {
    match contract {
        Some(contract) if contract.con_id() != 0 => contract.con_id().to_string(),
        Some(contract) => format!("{contract:?}"),
        None => String::new(),
    }
}
