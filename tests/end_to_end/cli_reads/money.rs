//! Accounts, positions, profit, orders, executions: masked, and with the simulator's figures.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{fields, good, is_contract, json, list, parsed, text, watch, world};

#[test]
fn balances_are_those_of_gateway_and_accounts_are_masked_unless_asked_for() {
    let (_sim, broker) = world();
    let told = json(&broker, &["account"]);
    let values = list(&told, "values");
    fields(&values[0], &["account", "tag", "value", "currency"]);
    let cash = |account: &str| -> Vec<f64> {
        let is_cash = |value: &&Value| value["tag"] == "TotalCashValue";
        let of_it = values.iter().filter(is_cash).filter(|value| value["account"] == account);
        of_it.map(|value| value["value"].as_f64().unwrap()).collect()
    };
    assert_eq!((cash("DU***001"), cash("DU***002")), (vec![1e6], vec![1_025_000.0]));
    let answer = good(&broker, &["account"]);
    assert!(!answer.stdout.contains("DU0000001") && answer.stderr.contains("--show-accounts"));
    let row = answer.stdout.lines().find(|line| line.contains("TotalCashValue")).unwrap();
    let words: Vec<_> = row.split_whitespace().collect();
    assert_eq!(words, ["DU***001", "TotalCashValue", "1,000,000.00", "USD"]);
    for wanted in ["DU***002", "DU0000002"] {
        let table = text(&broker, &["account", "--account", wanted, "--show-accounts"]);
        assert!(table.contains("DU0000002") && !table.contains("DU0000001"), "{table}");
    }
    let all = json(&broker, &["account", "--all"]);
    assert!(list(&all, "values").len() > values.len());
    // Some of Gateway's values are the account's name.
    assert!(!all.to_string().contains("DU0000001"), "{all:#}");
    assert!(!text(&broker, &["account", "--all"]).contains("DU0000002"));
}

#[test]
fn positions_are_what_is_held_by_name() {
    let (sim, broker) = world();
    let told = json(&broker, &["positions"]);
    let held = list(&told, "positions");
    assert_eq!(held.len(), 8);
    for one in held {
        fields(one, &["account", "contract", "position", "average_cost"]);
        is_contract(&one["contract"]);
        assert!(one["account"].as_str().unwrap().contains("***"));
    }
    let short = held.iter().find(|one| one["contract"]["symbol"] == "TSLA").unwrap();
    assert_eq!((&short["position"], &short["average_cost"]), (&json!(-20), &json!(351.9)));
    let table = text(&broker, &["positions"]);
    let row = |name: &str| -> Vec<&str> {
        let found = table.lines().find(|line| line.contains(name));
        found.unwrap_or_else(|| panic!("{name}:\n{table}")).split_whitespace().collect()
    };
    assert_eq!(row("EUR.USD"), ["DU***001", "EUR.USD", "CASH", "USD", "10000", "1.0481"]);
    assert_eq!(row("NVDA"), ["DU***002", "NVDA", "STK", "USD", "200", "117.05"]);
    assert_eq!(row(" OPT ").last(), Some(&"812.35"), "{table}");
    sim.wait_requests("CANCEL_POSITIONS", 2);
    let of_second = text(&broker, &["positions", "--account", "DU***002"]);
    assert_eq!(of_second.lines().count(), 3, "{of_second}");
}

#[test]
fn profit_and_loss_is_told_once_or_with_every_change() {
    let (_sim, broker) = world();
    let told = json(&broker, &["pnl"]);
    let accounts = list(&told, "accounts");
    assert_eq!(accounts.len(), 2);
    for one in accounts {
        fields(one, &["account", "daily", "unrealized", "realized"]);
        assert!(one["daily"].is_f64() && one["realized"] == 0.0, "{one}");
    }
    let table = text(&broker, &["pnl"]);
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.lines().nth(2).unwrap().starts_with("DU***002 "), "{table}");
    let words = ["pnl", "--watch", "--account", "DU***002", "--json"];
    for line in parsed(&watch(&broker, &words, 5, Signal::SIGTERM)) {
        fields(&line, &["account", "daily", "unrealized", "realized"]);
        assert_eq!(line["account"], "DU***002");
    }
    let lines = watch(&broker, &["pnl", "--watch"], 5, Signal::SIGINT);
    assert!(lines[0].contains("Z  DU***00") && lines[0].contains("  daily "), "{lines:?}");
    // With a time of its own it ends by itself.
    assert!(!text(&broker, &["pnl", "--watch", "--for", "3s"]).is_empty());
}

#[test]
fn orders_are_everybodys_and_executions_have_their_cost() {
    let (sim, broker) = world();
    let told = json(&broker, &["orders"]);
    let orders = list(&told, "orders");
    let mut ids: Vec<_> = orders.iter().map(|order| order["perm_id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [700_000_101, 700_000_102, 700_000_103, 700_000_104]);
    let sale = orders.iter().find(|order| order["perm_id"] == 700_000_102).unwrap();
    for (field, value) in [
        ("action", json!("SELL")),
        ("quantity", json!(5)),
        ("filled", json!(0)),
        ("type", json!("LMT")),
        ("limit_price", json!(600.0)),
        ("status", json!("Submitted")),
        ("account", json!("DU***001")),
        ("client_id", json!(410)),
    ] {
        assert_eq!(sale[field], value, "{field}");
    }
    is_contract(&sale["contract"]);
    let table = text(&broker, &["orders"]);
    let row = table.lines().find(|line| line.contains("700000102")).unwrap();
    let words: Vec<_> = row.split_whitespace().collect();
    let expected = ["700000102", "DU***001", "MSFT", "SELL", "5", "0", "LMT", "600", "GTC"];
    assert_eq!(words[..9], expected, "{table}");
    assert!(sim.requests("REQ_OPEN_ORDERS").is_empty(), "those of all were asked for");
    let done = json(&broker, &["orders", "--completed"]);
    let states: Vec<_> = list(&done, "orders").iter().map(|order| &order["status"]).collect();
    assert_eq!(states, ["Filled", "Cancelled", "Filled"]);
    text(&broker, &["orders", "--completed"]);

    // Of two days, so that midnight does not matter.
    let told = json(&broker, &["executions", "--days", "2"]);
    let trades = list(&told, "executions");
    assert_eq!(trades.len(), 4);
    let first = trades.iter().find(|trade| trade["shares"] == 60).unwrap();
    assert_eq!((&first["side"], &first["price"]), (&json!("BOT"), &json!(231.1)));
    assert_eq!((&first["commission"], &first["realized_pnl"]), (&json!(1.3), &Value::Null));
    assert!(first["time"].is_string() && first["exec_id"].is_string());
    let sold = json(&broker, &["executions", "--days", "2", "--symbol", "TSLA"]);
    let [sold] = list(&sold, "executions") else { panic!("{sold:#}") };
    assert_eq!((&sold["side"], &sold["realized_pnl"]), (&json!("SLD"), &json!(25.0)));
    let table = text(&broker, &["executions", "--days", "2"]);
    let row = table.lines().find(|line| line.contains("TSLA")).unwrap();
    let words: Vec<_> = row.split_whitespace().rev().take(5).collect();
    assert_eq!(words, ["25.00", "1.10", "341.25", "20", "SLD"], "{table}");
}
