//! Orders that live on, though they were to be cancelled.

use ibouncer_client::api::SparedOrder;
use serde_json::{Value, json};

use super::{MASKED, rows};
use crate::exit::Exit;
use crate::output::Output;
use crate::output::text::wrap;

/// Says which, and why, on stderr.
pub(super) fn tell(spared: &[SparedOrder], output: &mut Output) {
    for one in spared {
        let name = one.order.as_ref().map_or("", |order| &order.client_order_id);
        let because = one.error.as_ref().map_or("", |error| &error.message);
        output.remark(&wrap(&format!("{name} lives on: {because}"), 2));
    }
}

pub(super) fn as_json(spared: &[SparedOrder]) -> Value {
    let one = |one: &SparedOrder| {
        let error = one.error.clone().unwrap_or_default();
        json!({
            "order": one.order.as_ref().map(|order| rows::as_json(order, &MASKED)),
            "code": error.code,
            "because": error.message,
        })
    };
    spared.iter().map(one).collect()
}

/// Something lives on, and later it may be cancelled.
pub(super) fn exit(spared: &[SparedOrder]) -> Exit {
    if spared.is_empty() { Exit::Good } else { Exit::NotReady }
}

#[cfg(test)]
mod tests {
    use ibouncer_client::api::{Error, Order};

    use super::*;
    use crate::output::tests::on_paper;

    #[test]
    fn what_lives_on_is_named_with_the_reason_and_no_success() {
        let spared = [SparedOrder {
            order: Some(Order { client_order_id: "a".into(), ..Default::default() }),
            error: Some(Error { message: "its login is away".into(), ..Default::default() }),
        }];
        let (mut output, _, err) = on_paper(false);
        tell(&spared, &mut output);
        assert_eq!(err.text(), "a lives on: its login is away\n");
        assert_eq!(as_json(&spared)[0]["order"]["client_order_id"], "a");
        assert_eq!((exit(&spared), exit(&[])), (Exit::NotReady, Exit::Good));
    }
}
