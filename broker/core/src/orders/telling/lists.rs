//! Gateway's own lists in the terms of who reads them: without our tags, and on request only what
//! is the caller's own. Everything else in them passes byte for byte.

use std::collections::BTreeSet;

use bytes::Bytes;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use crate::calls::{self, CallKind};
use crate::orders::body::patch::{Put, fields, part, patched, put_part};
use crate::orders::book::ForeignId;
use crate::orders::{Desk, body};

/// Where a list has its orders or executions, and what goes with them.
const MAIN: u32 = 1;
const BESIDE: u32 = 2;

/// Fields of `OpenOrder`, `CompletedOrder`, `ExecutionDetails`, and of what is in them.
mod field {
    pub(in crate::orders) const OPEN_ORDER_ORDER: u32 = 3;
    pub(in crate::orders) const COMPLETED_ORDER_ORDER: u32 = 2;
    pub(in crate::orders) const EXECUTION: u32 = 3;
    pub(in crate::orders) const OCA_GROUP: u32 = 27;
    pub(in crate::orders) const ORDER_REF: u32 = 28;
    pub(in crate::orders) const EXECUTION_ORDER_REF: u32 = 14;
}

/// A list of Gateway about orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Open,
    Completed,
    Executions,
}

impl List {
    fn of(kind: &CallKind) -> Option<Self> {
        if *kind == calls::OPEN_ORDERS || *kind == calls::ALL_OPEN_ORDERS {
            Some(Self::Open)
        } else if *kind == calls::COMPLETED_ORDERS {
            Some(Self::Completed)
        } else if *kind == calls::EXECUTIONS {
            Some(Self::Executions)
        } else {
            None
        }
    }
}

/// What tells whose an entry is.
#[derive(Debug, Clone, Copy, Default)]
struct Ids {
    client: i32,
    order: i32,
    perm: i64,
}

impl Desk {
    /// An answer as it is shown; `own` is whose entries alone are wanted. None if this is no list
    /// of orders, or one that cannot be read.
    pub(crate) fn shown_list(
        &self,
        kind: &CallKind,
        answer: &Bytes,
        own: Option<&str>,
    ) -> Option<Bytes> {
        let list = List::of(kind)?;
        let mut executions = BTreeSet::new();
        let mut out = Vec::with_capacity(answer.len());
        for (tag, whole, inside) in fields(answer).ok()? {
            let owner = ids_of(list, tag, inside).and_then(|ids| self.owner_of(ids));
            if let Some(own) = own
                && !is_own(list, tag, inside, owner == Some(own), &mut executions)
            {
                continue;
            }
            match in_terms_of(owner, list, tag, inside) {
                None => out.extend_from_slice(whole),
                Some(entry) => put_part(&mut out, tag, &entry),
            }
        }
        Some(out.into())
    }

    fn owner_of(&self, ids: Ids) -> Option<&str> {
        let by_perm_id = Some(ids.perm).filter(|id| *id != 0);
        let order = match by_perm_id.and_then(|id| self.book.by_perm_id(id)) {
            Some(id) => self.book.get(id)?,
            // Under its number there can be another order.
            None if ids.client != self.client_id => return None,
            None => self.book.get(ids.order).filter(|order| {
                by_perm_id.is_none_or(|id| {
                    order.record.perm_id == 0
                        && !self.book.foreign.contains_key(&ForeignId::new(id, 0, 0))
                })
            })?,
        };
        Some(&order.record.owner)
    }
}

/// What tells whose this entry is; none where something else does.
fn ids_of(list: List, tag: u32, entry: &[u8]) -> Option<Ids> {
    match (list, tag) {
        (List::Open, MAIN) => tws::OpenOrder::decode(entry).ok().map(|told| {
            let order = told.order.unwrap_or_default();
            let (client, perm) = (order.client_id(), order.perm_id());
            Ids { client, perm, order: told.order_id.unwrap_or_default() }
        }),
        (List::Open, BESIDE) => tws::OrderStatus::decode(entry).ok().map(|told| Ids {
            client: told.client_id(),
            order: told.order_id(),
            perm: told.perm_id(),
        }),
        (List::Completed, MAIN) => tws::CompletedOrder::decode(entry).ok().map(|told| {
            let order = told.order.unwrap_or_default();
            let (client, perm) = (order.client_id(), order.perm_id());
            Ids { client, perm, order: order.order_id() }
        }),
        (List::Executions, MAIN) => tws::ExecutionDetails::decode(entry).ok().map(|told| {
            let told = told.execution.unwrap_or_default();
            let (client, perm) = (told.client_id(), told.perm_id());
            Ids { client, perm, order: told.order_id() }
        }),
        _ => None,
    }
}

/// Is it shown to whoever wants only what is its own? Commissions go with their executions, and
/// what is beside the orders is nobody's.
fn is_own(
    list: List,
    tag: u32,
    entry: &[u8],
    owned: bool,
    executions: &mut BTreeSet<String>,
) -> bool {
    match (list, tag) {
        (List::Executions, MAIN) => {
            if owned {
                let told = tws::ExecutionDetails::decode(entry).unwrap_or_default();
                executions.insert(told.execution.unwrap_or_default().exec_id().to_owned());
            }
            owned
        }
        (List::Executions, BESIDE) => tws::CommissionAndFeesReport::decode(entry)
            .is_ok_and(|report| executions.contains(report.exec_id())),
        (List::Open, MAIN | BESIDE) | (List::Completed, MAIN) => owned,
        _ => true,
    }
}

/// An execution without our tag.
pub(in crate::orders) fn execution(told: &[u8]) -> Vec<u8> {
    in_terms_of(None, List::Executions, MAIN, told).unwrap_or_else(|| told.to_vec())
}

/// An open order in its owner's terms.
pub(in crate::orders) fn open_order(owner: &str, told: &[u8]) -> Vec<u8> {
    in_terms_of(Some(owner), List::Open, MAIN, told).unwrap_or_else(|| told.to_vec())
}

/// The entry without our tag, and without its owner's mark in `ocaGroup`; none if it has neither.
fn in_terms_of(owner: Option<&str>, list: List, tag: u32, entry: &[u8]) -> Option<Vec<u8>> {
    let (inner, order_ref) = match (list, tag) {
        (List::Open, MAIN) => (field::OPEN_ORDER_ORDER, field::ORDER_REF),
        (List::Completed, MAIN) => (field::COMPLETED_ORDER_ORDER, field::ORDER_REF),
        (List::Executions, MAIN) => (field::EXECUTION, field::EXECUTION_ORDER_REF),
        _ => return None,
    };
    let order = part(entry, inner).ok()??;
    let mut puts = Vec::new();
    let text = part(&order, order_ref).ok()?.unwrap_or_default();
    if std::str::from_utf8(&text).is_ok_and(body::is_tag) {
        puts.push((order_ref, Put::Nothing));
    }
    let group = match (list, owner) {
        (List::Open | List::Completed, Some(_)) => part(&order, field::OCA_GROUP).ok()?,
        _ => None,
    };
    let group = group.as_deref().and_then(|group| std::str::from_utf8(group).ok());
    if let Some(own) = group.and_then(|group| body::own_group(group, owner?)) {
        puts.push((field::OCA_GROUP, Put::text(own)));
    }
    if puts.is_empty() {
        return None;
    }
    let order = patched(&order, &puts).ok()?;
    patched(entry, &[(inner, Put::Bytes(order))]).ok()
}
