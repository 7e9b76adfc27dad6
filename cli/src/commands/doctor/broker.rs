//! What a running broker says, as the doctor's facts. A broker that is not there is no error.

use std::net::SocketAddr;

use ibouncer_client::{Client, ConnectError, api};
use ibouncer_doctor::{BrokerAttempt, BrokerFacts, resolve};

use super::super::status::name_of_stage;
use crate::args::Global;
use crate::exit::Complaint;

/// What asking came to.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Gateway's address as the broker names it.
    pub(super) gateway: Option<String>,
    facts: Option<BrokerFacts>,
    note: Option<String>,
}

impl Asked {
    /// Facts about this very Gateway, and a remark if the broker is of no help.
    pub(super) fn about(self, gateway: SocketAddr) -> (Option<BrokerFacts>, Option<String>) {
        let named = self.gateway.unwrap_or_default();
        match self.facts {
            Some(facts) if resolve(&named).ok() == Some(gateway) => (Some(facts), self.note),
            Some(facts) => {
                let instance = facts.instance;
                let note = format!("the broker of instance {instance} serves {named}, not this");
                (None, Some(note))
            }
            None => (None, self.note),
        }
    }
}

/// Asks the broker of this instance.
pub(super) fn ask(global: &Global) -> Result<Asked, Complaint> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Complaint::internal("START", format!("cannot start: {error}")))?;
    Ok(runtime.block_on(async {
        let client = match Client::connect(global.options()).await {
            Ok(client) => client,
            Err(ConnectError::Unreachable { .. }) => return Asked::default(),
            Err(error) => return cannot(&error),
        };
        match client.status().await {
            Ok(status) => Asked {
                gateway: status.gateway.as_ref().map(|gateway| gateway.address.clone()),
                facts: Some(facts(&status)),
                note: None,
            },
            Err(error) => cannot(&error),
        }
    }))
}

fn cannot(error: &dyn std::error::Error) -> Asked {
    let note = format!("a broker was found and could not be asked: {error}");
    Asked { note: Some(note), ..Asked::default() }
}

fn facts(status: &api::Status) -> BrokerFacts {
    let gateway = status.gateway.clone().unwrap_or_default();
    let finished = |attempt: &&api::Attempt| attempt.outcome != "in_progress";
    BrokerFacts {
        instance: status.instance.clone(),
        state: status.state(),
        reason: status.reason.clone(),
        worker: status.worker.as_ref().map(|worker| worker.pid),
        client_id: gateway.client_id,
        server_version: gateway.server_version,
        attempt: status.attempts.iter().rev().find(finished).map(|attempt| BrokerAttempt {
            outcome: attempt.outcome.clone(),
            session_end: attempt.session_end.clone(),
            end: attempt.end.clone(),
            stages: attempt
                .stages
                .iter()
                .map(|stamp| (name_of_stage(stamp.stage), stamp.at_ms))
                .collect(),
        }),
        hold: status.hold.clone(),
        silence: status.silence.as_ref().map(|silence| (silence.used, silence.limit)),
    }
}
