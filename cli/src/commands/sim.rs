//! `ibouncer sim`: the simulated Gateway. What it saw goes to stdout as JSON lines.

use ibouncer_gateway_sim::SimArgs;

use crate::exit::{Complaint, Exit, Failure};

pub(crate) fn run(order: &SimArgs) -> Result<Exit, Failure> {
    match ibouncer_gateway_sim::run(order.clone()) {
        Ok(()) => Ok(Exit::Good),
        Err(error) => Err(Complaint::internal("SIM", format!("{error:#}")).into()),
    }
}
