//! The official Python client trades at the simulator directly: so the simulator's order book tells
//! the truth, and its ledger agrees with what the client was told. The Python SDK trades through a
//! broker, and the ledger agrees again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ibouncer_tests::harness::certificates::Authority;
use ibouncer_tests::harness::{Broker, BrokerPlan, Program, Sim, peers};
use serde_json::Value;

use super::{binary, python, scripts, temporary};

#[test]
fn the_official_client_trades_at_the_simulator_as_at_a_gateway() {
    let Some(interpreter) = peers::official_python(temporary()) else {
        return peers::skip("python3");
    };
    let sim = Sim::start(binary(), &["--accounts", "DU0000001"]);
    let mut command = python(&interpreter);
    command.arg(scripts().join("ibapi_orders.py"));
    command.args(["127.0.0.1", &sim.port().to_string(), "--deadline", "20"]);
    let mut program = Program::start("ibapi_orders.py", command);
    let status = program.exit(Duration::from_secs(180));
    let text = program.stdout.all().join("\n");
    assert!(status.success(), "{text}\n{}", program.stderr.all().join("\n"));
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["ok"], true, "{report:#}");

    sim.wait("the last cancel", |event| event["event"] == "order" && event["what"] == "cancelled");
    let placed = sim.requests("PLACE_ORDER").len();
    let ledger = sim.ledger();
    let lines = ledger["orders"].as_array().unwrap();
    let ours: Vec<_> = lines.iter().filter(|line| line["seeded"] != true).collect();
    let frames: u64 = ours.iter().map(|line| line["places"].as_u64().unwrap()).sum();
    let refused = ledger["refused"].as_array().unwrap();
    // Two of those that were refused would have modified an order, where they are counted too.
    let questions = 1;
    assert_eq!(frames as usize + refused.len() - 2 + questions, placed, "{ledger:#}");
    let over = |line: &&&Value| {
        ["Filled", "Cancelled", "Rejected"].contains(&line["status"].as_str().unwrap())
    };
    assert_eq!(ours.iter().filter(over).count(), ours.len(), "nothing is left: {ledger:#}");
    let first = ours.iter().find(|line| line["order_ref"] == "first").unwrap();
    assert_eq!((&first["filled"], &first["places"]), (&"100".into(), &1.into()));
}

#[test]
fn the_python_sdk_trades_through_a_broker_with_and_without_asyncio() {
    let uid = nix::unistd::Uid::effective();
    python_trades(|plan| (plan.set(&format!("clients.momentum.uid={uid}")), BTreeMap::new()));
}

/// gRPC's own TLS, of which nothing is ours, at the other end.
#[test]
fn the_python_sdk_trades_over_tls_by_its_certificate() {
    python_trades(|plan| {
        let authority = Authority::new(&plan.home().path().join("tls"));
        let (server, client) = (authority.server("server"), authority.client("momentum"));
        let plan = [
            ("grpc.listen", "127.0.0.1:0".to_owned()),
            ("grpc.tls.cert", server.cert.display().to_string()),
            ("grpc.tls.key", server.key.display().to_string()),
            ("grpc.tls.client_ca", authority.ca().display().to_string()),
            ("clients.momentum.tls_subject", "CN=momentum,O=Desk".to_owned()),
        ]
        .iter()
        .fold(plan, |plan, (key, value)| plan.set(&format!("{key}={value}")));
        let files = [
            ("IBOUNCER_TLS_CA", authority.ca()),
            ("IBOUNCER_TLS_CERT", client.cert),
            ("IBOUNCER_TLS_KEY", client.key),
        ];
        (plan, BTreeMap::from(files))
    });
}

/// With its TLS files in the environment, if it is to use that.
fn python_trades(
    prepare: impl FnOnce(BrokerPlan) -> (BrokerPlan, BTreeMap<&'static str, PathBuf>),
) {
    let Some(interpreter) = peers::sdk_python(temporary()) else {
        return peers::skip("python3");
    };
    let sim = Sim::start(binary(), &["--no-orders"]);
    let plan = Broker::plan(binary(), sim.address())
        .set("trading.enabled=true")
        .set("trading.volatile_state=allow")
        .set("clients.momentum.role=trade");
    let (plan, tls) = prepare(plan);
    let broker = plan.start();
    broker.wait_ready();
    broker.wait_status("trading is open", |status| status["trading"] == "on");
    let mut command = python(&interpreter);
    command.arg(scripts().join("python_sdk/trades.py")).arg("momentum");
    broker.home().settle(&mut command);
    if !tls.is_empty() {
        let port = broker.tcp().rsplit_once(':').unwrap().1.to_owned();
        command.env("IBOUNCER_TARGET", format!("https://localhost:{port}")).envs(&tls);
    }
    let mut program = Program::start("trades.py", command);
    let status = program.exit(Duration::from_secs(120));
    let text = program.stdout.all().join("\n");
    let report: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}\n{:?}", program.stderr.all()));
    assert!(status.success() && report["ok"] == true, "{:#}", report["failures"]);
    drop(broker);
    let ledger = sim.ledger();
    let lines = ledger["orders"].as_array().unwrap();
    let ours: Vec<_> = lines.iter().filter(|line| line["client_id"] == 410).collect();
    assert_eq!(ours.len() as u64, report["placed"].as_u64().unwrap(), "{ledger:#}");
    let twice = ours.iter().filter(|line| line["places"] == 2).count();
    assert_eq!(twice, 1, "one order was changed, and nothing else left twice: {ledger:#}");
}
