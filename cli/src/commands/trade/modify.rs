//! `ibouncer modify`: price, quantity or time in force of a live order; the rest of it stays.

use ibouncer_client::{Client, api, tws};

use super::{not_sent, rows, say, sending};
use crate::args::Modify;
use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(super) async fn run(
    client: &Client,
    wishes: &Modify,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let owner = wishes.owner.clone().unwrap_or_default();
    let known = client.orders().get(&owner, &wishes.id).await.map_err(not_sent)?;
    let request = tws::PlaceOrderRequest {
        contract: known.contract.clone(),
        order: Some(changed(known.order.clone().unwrap_or_default(), wishes)),
        ..Default::default()
    };
    let request = api::ModifyOrderRequest {
        client_order_id: wishes.id.clone(),
        request: Some(request),
        owner,
        reason: wishes.reason.clone().unwrap_or_default(),
    };
    let advice = || {
        let id = &wishes.id;
        format!("look at {id} in `ibouncer orders --mine` before you give the change again")
    };
    let order = sending(client.orders().modify_with(request).await, advice)?;
    say(&order, &rows::change(&order), output)?;
    Ok(Exit::Good)
}

/// The order as it was told, with what is to be different.
fn changed(told: tws::Order, wishes: &Modify) -> tws::Order {
    tws::Order {
        total_quantity: wishes.quantity.clone().or(told.total_quantity),
        lmt_price: wishes.limit.or(told.lmt_price),
        aux_price: wishes.stop.or(told.aux_price),
        tif: wishes.tif.clone().or(told.tif),
        ..told
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use ibouncer_client::order;

    use super::*;
    use crate::args::{Args, Ask, Command, Trade};

    fn parsed(line: &str) -> Result<Modify, clap::Error> {
        let args = Args::try_parse_from(line.split(' '))?;
        match args.command {
            Command::Ask(Ask::Trade(Trade::Modify(wishes))) => Ok(wishes),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_named_stays() {
        let wishes = parsed("ibouncer modify a --limit 9.5").unwrap();
        let told = tws::Order { aux_price: Some(8.0), ..order::limit("BUY", "10", 10.0) };
        let order = changed(told, &wishes);
        assert_eq!((order.lmt_price(), order.aux_price()), (9.5, 8.0));
        assert_eq!((order.total_quantity(), order.action()), ("10", "BUY"));
    }

    #[test]
    fn something_must_change_and_another_s_order_takes_a_reason() {
        assert!(parsed("ibouncer modify a").is_err());
        assert!(parsed("ibouncer modify a --limit 9 --owner momentum").is_err());
        parsed("ibouncer modify a --quantity 5 --owner momentum --reason large").unwrap();
    }
}
