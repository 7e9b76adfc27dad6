//! What an order may trade. The client's words count only where Gateway goes by words as well; a
//! conId is what Gateway's own details say of it.

use ibouncer_proto::tws::v1 as tws;

use super::{Known, denied, has_delta_neutral};
use crate::checks;
use crate::error::Error;
use crate::principals::Principal;

/// Is it among the security types and symbols that this principal may trade?
pub(super) fn check(
    principal: &Principal,
    known: Known<'_>,
    contract: &tws::Contract,
    order: &tws::Order,
) -> Result<(), Error> {
    let lists = Lists { principal, known };
    let Some((key, shown)) = lists.rule() else {
        return Ok(());
    };
    if has_delta_neutral(contract, order) {
        let what = format!(
            "{shown}, so an order may name no delta_neutral_contract and no delta neutral order \
             of its own"
        );
        return Err(denied(&what, &key));
    }
    if contract.combo_legs.is_empty() {
        return lists.allow(meant(known, contract, &key, &shown)?);
    }
    // The words of a combination are free, but not its number; what is traded are its legs.
    lists.allow(contract)?;
    if contract.con_id() != 0 && meant(known, contract, &key, &shown)?.sec_type() != "BAG" {
        let what = format!("{shown}, and con_id {} is no combination's", contract.con_id());
        return Err(denied(&what, &key));
    }
    for leg in &contract.combo_legs {
        let leg = tws::Contract { con_id: leg.con_id, ..tws::Contract::default() };
        if leg.con_id() == 0 {
            return Err(denied(&format!("{shown}, and a leg has no con_id"), &key));
        }
        lists.allow(meant(known, &leg, &key, &shown)?)?;
    }
    Ok(())
}

/// The contract as Gateway would read it, or why that cannot be told; `shown` is the rule that asks,
/// with its value.
pub(super) fn meant<'a>(
    known: Known<'a>,
    contract: &'a tws::Contract,
    key: &str,
    shown: &str,
) -> Result<&'a tws::Contract, Error> {
    known.contracts.meant(contract).ok_or_else(|| {
        let what = match contract.con_id() {
            0 => format!(
                "{shown}, and what {} is cannot be told from local_symbol, sec_id or \
                 issuer_id: name it by symbol, or by con_id after GetContractDetails",
                checks::label(contract)
            ),
            con_id => format!(
                "{shown}, and Gateway has not told this broker what con_id {con_id} is: ask \
                 for it first (GetContractDetails)"
            ),
        };
        denied(&what, key)
    })
}

struct Lists<'a> {
    principal: &'a Principal,
    known: Known<'a>,
}

impl Lists<'_> {
    /// The list that is set, if one is: its key, and the same with its value.
    fn rule(&self) -> Option<(String, String)> {
        let lists = [
            ("security_types", &self.principal.security_types),
            ("symbols", &self.principal.symbols),
        ];
        let (rule, list) = lists.into_iter().find(|(_, list)| !list.is_empty())?;
        let key = format!("clients.{}.{rule}", self.known.name);
        let shown = format!("{key} = {list:?}");
        Some((key, shown))
    }

    fn allow(&self, contract: &tws::Contract) -> Result<(), Error> {
        for (rule, list, what, value) in [
            (
                "security_types",
                &self.principal.security_types,
                "security type",
                contract.sec_type(),
            ),
            ("symbols", &self.principal.symbols, "symbol", contract.symbol()),
        ] {
            if !list.is_empty() && !list.iter().any(|one| one.eq_ignore_ascii_case(value)) {
                let key = format!("clients.{}.{rule}", self.known.name);
                return Err(denied(&format!("{what} {value:?} is not in {key} = {list:?}"), &key));
            }
        }
        Ok(())
    }
}
