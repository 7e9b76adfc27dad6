//! `ibouncer doctor`: asks the broker if one runs, hands the rest to [`ibouncer_doctor`], and
//! lays out what it found ([`text`]) or puts it under stable keys ([`json`]).

mod broker;
mod json;
mod text;

use std::net::SocketAddr;

use ibouncer_broker::places;
use ibouncer_core::settings::{AttemptSettings, Settings};
use ibouncer_doctor::plan::Ground;
use ibouncer_doctor::timeline::Limits;
use ibouncer_doctor::verdict::Grade;
use ibouncer_doctor::{Order, Plan, examine, resolve};

use crate::args::{Doctor, Global};
use crate::exit::{Complaint, Exit, Failure};
use crate::output::Output;

pub(crate) fn run(order: &Doctor, global: &Global, output: &mut Output) -> Result<Exit, Failure> {
    let is_row = !order.client_ids.is_empty() || order.matrix;
    if order.run && !is_row {
        let complaint = Complaint::usage("--run carries out --client-ids or --matrix");
        return Err(complaint.next("for one handshake: ibouncer doctor --active").into());
    }
    if order.overridden && !order.active && !order.run {
        let message = "--override overrides nothing without --active or --run";
        return Err(Complaint::usage(message).into());
    }
    if let Some(id) = order.client_ids.iter().find(|id| **id < 0) {
        return Err(Complaint::usage(format!("{id} is no client id")).into());
    }

    let asked = broker::ask(global)?;
    let defaults = Settings::default();
    let named = order.gateway.clone().or_else(|| asked.gateway.clone());
    let gateway = address(&named.unwrap_or(defaults.gateway))?;
    let (facts, note) = asked.about(gateway);
    let silent_budget = match facts.as_ref().and_then(|broker| broker.silence) {
        Some((_, limit)) => limit,
        None => AttemptSettings::default().silent_budget,
    };
    let of_broker = facts.as_ref().map_or(defaults.client_id, |broker| broker.client_id);
    let wishes = Order {
        gateway,
        broker_client_id: order.broker_client_id.unwrap_or(of_broker),
        plan: plan(order, gateway),
        run: order.run,
        override_reason: order.reason.clone(),
        eyes: order.eyes,
        locks: places::lock_folder(|name| std::env::var_os(name)),
        silent_budget,
    };
    let report = examine(&wishes, facts, note);
    if output.json() {
        output.value(&json::as_json(&report))?;
    } else {
        output.text(&text::page(&report))?;
    }
    Ok(match report.diagnosis.verdict.grade() {
        Grade::Good => Exit::Good,
        Grade::Problem => Exit::NotReady,
        Grade::WedgedOrHeld => Exit::WedgedOrHeld,
    })
}

/// Which handshakes are asked for.
fn plan(order: &Doctor, gateway: SocketAddr) -> Option<Plan> {
    let mut limits = Limits::default();
    if let Some(cap) = order.timeout {
        limits = limits.capped(cap);
    }
    let ground = Ground { gateway, client_id: order.client_id, limits };
    if order.matrix {
        Some(Plan::matrix(&ground, &order.client_ids))
    } else if !order.client_ids.is_empty() {
        Some(Plan::sweep(&ground, &order.client_ids))
    } else {
        order.active.then(|| Plan::one(&ground))
    }
}

fn address(text: &str) -> Result<SocketAddr, Complaint> {
    resolve(text).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        Complaint::usage(format!("{error}{}", cause.unwrap_or_default()))
            .next("name it as HOST:PORT, such as 127.0.0.1:4002")
    })
}
