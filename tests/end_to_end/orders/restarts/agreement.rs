//! What must be the same in Gateway's ledger, in the broker's list, and in what clients were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use ibouncer_client::api::{ExecutionEventKind, Order, OrderState};
use serde_json::Value;

use super::client::{Modifies, Seen};

/// One client's side.
pub(super) struct Side {
    pub(super) name: &'static str,
    pub(super) seen: Arc<Mutex<Seen>>,
    pub(super) modifies: Modifies,
}

/// What does not fit, in words. `listed`: the broker's orders of each side.
pub(super) fn disagreements(
    ledger: &[Value],
    sides: &[Side],
    listed: &[Vec<Order>],
) -> Vec<String> {
    let mut found = Vec::new();
    let mut known: BTreeMap<i64, (&Side, &Order)> = BTreeMap::new();
    for (side, listed) in sides.iter().zip(listed) {
        let mut names = BTreeSet::new();
        for order in listed {
            if !names.insert(&order.client_order_id) {
                found.push(format!("{} is listed twice", order.client_order_id));
            }
            if known.insert(i64::from(order.order_id), (side, order)).is_some() {
                found.push(format!("two orders have id {}", order.order_id));
            }
        }
        told_orders(side, listed, &mut found);
        told_executions(side, &mut found);
    }
    let mut at_gateway = BTreeSet::new();
    for entry in ledger {
        let id = entry["order_id"].as_i64().unwrap();
        if !at_gateway.insert(id) {
            found.push(format!("order id {id} is two orders at Gateway"));
        }
        match known.get(&id) {
            None => found.push(format!("nobody knows of {entry}")),
            Some((side, order)) => compare(entry, side, order, &mut found),
        }
    }
    for (id, (_, order)) in known {
        let nowhere = matches!(order.state(), OrderState::Unknown | OrderState::NotSent)
            && number(&order.filled) == 0.0;
        if !at_gateway.contains(&id) && !nowhere {
            found.push(format!("Gateway has no {}", shown(order)));
        }
    }
    found
}

/// An order as it is, against what is believed of it.
fn compare(entry: &Value, side: &Side, order: &Order, found: &mut Vec<String>) {
    let filled = number(entry["filled"].as_str().unwrap());
    let state = match entry["status"].as_str().unwrap() {
        "Filled" => OrderState::Filled,
        "Cancelled" => OrderState::Cancelled,
        "Rejected" => OrderState::Rejected,
        "Inactive" => OrderState::Inactive,
        "PendingSubmit" => OrderState::Acknowledged,
        _ => OrderState::Working,
    };
    if state != order.state() || filled != number(&order.filled) {
        found.push(format!("{} is {entry} at Gateway", shown(order)));
    }
    let modifies = side.modifies.get(&order.client_order_id).copied().unwrap_or_default();
    if entry["places"].as_u64().unwrap() > 1 + modifies {
        found.push(format!("{} was changed {modifies} times, and placed: {entry}", shown(order)));
    }
    let seen = side.seen.lock().unwrap();
    let told = seen.executions.iter().filter(|event| {
        event.kind() == ExecutionEventKind::New && event.client_order_id == order.client_order_id
    });
    let shares: f64 = told
        .filter_map(|event| event.execution.as_ref()?.execution.as_ref())
        .map(|execution| number(execution.shares()))
        .sum();
    if shares != filled {
        found.push(format!("executions of {shares} were told of {}", shown(order)));
    }
}

/// The newest that was told of an order is the order as it is.
fn told_orders(side: &Side, listed: &[Order], found: &mut Vec<String>) {
    let seen = side.seen.lock().unwrap();
    let numbers: Vec<u64> = seen.orders.iter().map(|event| event.sequence).collect();
    if !numbers.is_sorted_by(|one, next| one < next) {
        found.push(format!("{} was told of orders out of order, or twice", side.name));
    }
    let newest: BTreeMap<&str, &Order> = seen
        .orders
        .iter()
        .filter_map(|event| event.order.as_ref())
        .map(|order| (order.client_order_id.as_str(), order))
        .collect();
    for order in listed {
        let told = newest.get(order.client_order_id.as_str());
        if told.is_none_or(|told| told != &order) {
            let told = told.map_or("nothing".to_owned(), |told| shown(told));
            found.push(format!("{} is {}, and was told {told}", side.name, shown(order)));
        }
    }
    if newest.len() != listed.len() {
        found.push(format!("{} was told of {} orders", side.name, newest.len()));
    }
}

/// Each execution once, of its owner's order.
fn told_executions(side: &Side, found: &mut Vec<String>) {
    let seen = side.seen.lock().unwrap();
    let numbers: Vec<u64> = seen.executions.iter().map(|event| event.sequence).collect();
    if !numbers.is_sorted_by(|one, next| one < next) {
        found.push(format!("{} was told of executions out of order, or twice", side.name));
    }
    let mut ids = BTreeSet::new();
    for event in seen.executions.iter().filter(|one| one.kind() == ExecutionEventKind::New) {
        let execution = event.execution.as_ref().and_then(|one| one.execution.as_ref());
        let id = execution.map(|one| one.exec_id().to_owned()).unwrap_or_default();
        if event.owner != side.name || !ids.insert(id.clone()) {
            found.push(format!("execution {id:?} of {:?} came to {}", event.owner, side.name));
        }
    }
    if seen.executions.iter().any(|one| one.kind() == ExecutionEventKind::Corrected) {
        found.push(format!("{} was told of a correction that is none", side.name));
    }
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_default()
}

fn shown(order: &Order) -> String {
    format!(
        "{} ({}, id {}, filled {:?}, event {}, {})",
        order.client_order_id,
        order.state().as_str_name(),
        order.order_id,
        order.filled,
        order.sequence,
        order.because
    )
}
