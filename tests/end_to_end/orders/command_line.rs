//! Orders from the command line, and what it says of what may have left.

use ibouncer_tests::harness::wait::{PATIENCE, until_true};
use ibouncer_tests::harness::{Broker, Principal};
use nix::sys::signal::Signal;

use super::{TRADE, ledger_now, plan_for, sim, trading};

#[test]
fn the_command_line_trades() {
    let mut sim = sim(&[]);
    let broker = trading(&sim);
    let as_alpha = |arguments: &[&str]| {
        broker.cli(&[&["--client-name", "alpha", "--json"], arguments].concat())
    };
    let me = as_alpha(&["whoami"]).json();
    assert_eq!((&me["principal"], &me["may_trade"]), (&"alpha".into(), &true.into()), "{me}");
    let nobody = broker.cli(&["whoami", "--json"]).json();
    assert_eq!(nobody["may_trade"], false, "{nobody}");

    let placed = as_alpha(&["place", "buy", "10", "AAPL", "--id", "c1", "--wait"]);
    assert_eq!((placed.code, &placed.json()["state"]), (0, &"FILLED".into()), "{placed:?}");
    let placed = as_alpha(&["place", "buy", "10", "AAPL", "--limit", "1", "--id", "c2"]);
    assert_eq!(placed.code, 0, "{placed:?}");
    let refused = broker.cli(&["place", "buy", "10", "AAPL", "--json"]);
    assert_eq!(refused.error()["code"], "RIGHT_DENIED", "{refused:?}");

    let mine = as_alpha(&["orders", "--mine"]).json();
    let names = |listed: &serde_json::Value| -> Vec<String> {
        let orders = listed["orders"].as_array().unwrap();
        orders.iter().map(|one| one["client_order_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&mine), ["c2"]);
    assert_eq!(names(&as_alpha(&["orders", "--mine", "--ended"]).json()), ["c1", "c2"]);

    let changed = as_alpha(&["modify", "c2", "--limit", "1.5", "--quantity", "5"]);
    assert_eq!((changed.code, &changed.json()["change"]["kind"]), (0, &"MODIFY".into()));
    let unreasoned = broker.cli(&["modify", "c2", "--limit", "2", "--owner", "alpha"]);
    assert_eq!(unreasoned.code, 2, "{unreasoned:?}");
    until_true("it is changed", PATIENCE, || {
        let one = as_alpha(&["orders", "--mine"]).json()["orders"][0].clone();
        (&one["limit_price"], &one["quantity"]) == (&1.5.into(), &5.into())
    });
    // The operator of the broker, who is nobody's client.
    let theirs = ["modify", "c2", "--quantity", "4", "--owner", "alpha", "--reason", "large"];
    let changed = broker.cli(&[&theirs[..], &["--json"]].concat());
    assert_eq!(changed.json()["change"]["reason"], "large", "{changed:?}");
    until_true("it is changed again", PATIENCE, || {
        as_alpha(&["orders", "--mine"]).json()["orders"][0]["quantity"] == 4
    });

    let status = broker.cli(&["trading", "status", "--json"]);
    assert_eq!((status.code, &status.json()["trading"]), (0, &"on".into()), "{status:?}");
    let halted = broker.cli(&["trading", "halt", "--reason", "a look", "--json"]);
    assert_eq!(halted.code, 0, "{halted:?}");
    let refused = as_alpha(&["place", "buy", "10", "AAPL", "--id", "c3"]);
    assert_eq!(refused.error()["code"], "TRADING_HALTED", "{refused:?}");
    assert!(refused.error()["message"].to_string().contains("a look"), "{refused:?}");
    let status = broker.cli(&["trading", "status", "--json"]).json();
    assert_eq!(status["halts"][0]["reason"], "a look", "{status:#}");
    let cancelled = as_alpha(&["cancel", "c2"]);
    assert_eq!(cancelled.code, 0, "cancels pass: {cancelled:?}");
    let resumed = broker.cli(&["trading", "resume", "--reason", "looked", "--json"]);
    assert_eq!(resumed.code, 0, "{resumed:?}");
    broker.wait_trading();
    assert_eq!(ledger_now(&mut sim).len(), 2);
}

/// A broker whose client "patient" waits while Gateway has lost IB.
fn where_orders_wait(sim: &mut ibouncer_tests::harness::Sim) -> Broker {
    let queue = "role = \"trade\"\nwhen_away = \"queue\"";
    let principals = [Principal::named("alpha", TRADE), Principal::named("patient", queue)];
    let broker = plan_for(sim, &principals).start();
    broker.wait_trading();
    sim.happen("1100");
    broker.wait_state("DEGRADED");
    broker
}

fn is_connected(broker: &Broker) -> bool {
    broker.cli(&["clients", "--json"]).stdout.contains("patient")
}

#[test]
fn a_command_that_is_interrupted_says_what_it_knows_of_its_order() {
    let mut sim = sim(&[]);
    let mut broker = where_orders_wait(&mut sim);
    let place = ["--client-name", "patient", "--json", "place", "buy", "1", "AAPL"];
    let mut ended = Vec::new();
    for by_its_user in [true, false] {
        let mut waits = broker.home().spawn(&place);
        until_true("its call is there", PATIENCE, || is_connected(&broker));
        if by_its_user {
            waits.signal(Signal::SIGINT);
        } else {
            broker.kill();
        }
        let code = waits.exit(PATIENCE).code();
        let error = waits.stderr.json().pop().unwrap()["error"].clone();
        assert_eq!(error["delivery"], "MAYBE_SENT", "{error}");
        // The name that was made up is what makes it safe to give it again.
        assert!(error["next"].as_str().unwrap().contains("--id cli-"), "{error}");
        ended.push((code, error["code"].as_str().unwrap().to_owned()));
        if by_its_user {
            until_true("it is gone", PATIENCE, || !is_connected(&broker));
        }
    }
    assert_eq!(ended[0], (Some(3), "INTERRUPTED".into()));
    assert_eq!(ended[1].0, Some(1), "{ended:?}");
    // And without any broker.
    for order in
        [&place[..], &["--json", "cancel", "c1"], &["--json", "modify", "c1", "--limit", "2"]]
    {
        let refused = broker.home().cli(order);
        assert_eq!((refused.code, &refused.error()["delivery"]), (1, &"NOT_SENT".into()));
    }
    assert!(ledger_now(&mut sim).is_empty());
}

#[test]
fn an_order_that_is_waited_for_is_named_when_its_user_loses_patience() {
    let sim = sim(&[]);
    let broker = trading(&sim);
    let shown = broker.cli(&["accounts", "--json"]).json();
    let masked = shown["accounts"][0]["account"].as_str().unwrap().to_owned();
    assert!(masked.contains('*'), "{shown}");
    let place = ["--client-name", "alpha", "--json", "place", "buy", "1", "AAPL", "--limit", "1"];
    let wait = ["--id", "w1", "--wait", "--account", &masked];
    let mut waits = broker.home().spawn(&[&place[..], &wait].concat());
    until_true("it rests", PATIENCE, || {
        let mine = broker.cli(&["--client-name", "alpha", "orders", "--mine", "--json"]).json();
        mine["orders"][0]["state"] == "WORKING"
    });
    waits.signal(Signal::SIGTERM);
    assert_eq!(waits.exit(PATIENCE).code(), Some(3));
    let told = waits.stdout.all().concat();
    assert!(told.contains("\"w1\""), "{told}");
    let refused = broker.cli(&[&place[..], &["--account", "DU***999"]].concat());
    assert_eq!(refused.code, 2, "{refused:?}");
}
