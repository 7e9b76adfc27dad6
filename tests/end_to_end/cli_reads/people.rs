//! News, and who uses the session: clients, the queue, `top`.

use ibouncer_client::{BarRequest, Client, contract};
use ibouncer_tests::harness::Broker;
use ibouncer_tests::harness::wait::{PATIENCE, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::super::stream::{Reader, connect};
use super::{fields, json, list, parsed, text, watch, world};

#[test]
fn headlines_lead_to_their_articles() {
    let (sim, broker) = world();
    let told = json(&broker, &["news", "AAPL", "--count", "5"]);
    fields(&told, &["symbol", "headlines", "has_more"]);
    assert_eq!((&told["symbol"], &told["has_more"]), (&json!("AAPL"), &json!(true)));
    let headlines = list(&told, "headlines");
    assert_eq!(headlines.len(), 5);
    fields(&headlines[0], &["time", "provider", "article", "headline"]);
    let request = &sim.wait_requests("REQ_HISTORICAL_NEWS", 1)[0];
    assert_eq!(request["con_id"], 900_000_001);
    let [provider, article, headline] =
        ["provider", "article", "headline"].map(|field| headlines[0][field].as_str().unwrap());
    let page = text(&broker, &["news", "AAPL", "--count", "5"]);
    assert!(page.contains(headline) && page.contains(&format!("{provider} {article}")), "{page}");
    let words = ["news", "article", provider, article];
    let whole = json(&broker, &words);
    fields(&whole, &["provider", "id", "binary", "text"]);
    assert_eq!(whole["binary"], false);
    assert!(whole["text"].as_str().unwrap().contains(headline), "{whole:#}");
    assert!(text(&broker, &words).contains("nothing in it is true"));
}

#[test]
fn providers_and_bulletins_can_be_read() {
    let (_sim, broker) = world();
    let told = json(&broker, &["news", "--providers"]);
    let first = &list(&told, "providers")[0];
    assert_eq!(first["code"], "BRFG");
    assert!(text(&broker, &["news", "--providers"]).contains("Briefing.com"));
    let lines = watch(&broker, &["news", "--bulletins", "--json"], 3, Signal::SIGTERM);
    let bulletins = parsed(&lines);
    fields(&bulletins[1], &["id", "kind", "exchange", "text"]);
    assert_eq!(bulletins[1]["kind"], "exchange-unavailable");
    assert_eq!(
        (&bulletins[0]["exchange"], &bulletins[1]["exchange"]),
        (&Value::Null, &json!("AMEX"))
    );
    let lines = watch(&broker, &["news", "--bulletins"], 3, Signal::SIGINT);
    assert!(lines.iter().any(|line| line.contains("No exchange is harmed")), "{lines:?}");
}

#[test]
fn what_goes_on_ends_well_by_either_signal() {
    let (_sim, broker) = world();
    for (words, lines) in [
        // What it subscribed to comes before the first tick.
        (&["quotes", "AAPL"][..], 5),
        (&["depth", "AAPL"], 1),
        (&["pnl", "--watch"], 1),
        (&["news", "--bulletins"], 1),
        (&["status", "--watch"], 1),
        (&["events", "--follow"], 1),
        (&["top"], 1),
    ] {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            watch(&broker, words, lines, signal);
        }
    }
}

/// More bars than Gateway gives in 10 minutes: of BID_ASK it is 30, and the others wait.
async fn too_many_bars(broker: &Broker) -> tokio::task::JoinSet<()> {
    let client = Client::connect(broker.home().options().client_name("greedy")).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..32 {
        let client = client.clone();
        let symbols = ["AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "META", "TSLA", "JPM"];
        let stock = contract::stock(symbols[number % symbols.len()]);
        let span = format!("{} S", 60 * (1 + number / symbols.len()));
        let request = BarRequest::new(stock, span, "5 secs").what("BID_ASK");
        tasks.spawn(async move {
            // Those that wait are left waiting.
            let _ = client.history().bars(request).await;
        });
    }
    tasks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_says_what_waits_and_for_which_rule() {
    let (_sim, broker) = world();
    let told = json(&broker, &["queue"]);
    assert_eq!(told, json!({ "messages_per_second": 40.0, "requests": [] }));
    assert!(text(&broker, &["queue"]).starts_with("Nothing waits. Up to 40 messages"));
    let _tasks = too_many_bars(&broker).await;
    let told = until("two wait for ten minutes", PATIENCE, || {
        let told = json(&broker, &["queue", "--client", "greedy"]);
        let waiting = list(&told, "requests");
        let long = |one: &Value| one["expected_wait_ms"].as_u64() > Some(60_000);
        (waiting.len() == 2 && waiting.iter().all(long)).then_some(told)
    });
    let request = &list(&told, "requests")[0];
    let expected = ["client", "lane", "request", "label", "place", "expected_wait_ms", "because"];
    fields(request, &expected);
    assert_eq!(
        (&request["lane"], &request["request"]),
        (&json!("history"), &json!("reqHistoricalData"))
    );
    assert!(request["because"].as_str().unwrap().contains("10 min"), "{request}");
    let table = text(&broker, &["queue"]);
    let row = table.lines().nth(1).unwrap();
    assert!(row.contains(" min ") && row.contains("history") && row.contains("greedy"), "{table}");
    assert!(list(&json(&broker, &["queue", "--client", "other"]), "requests").is_empty());
    // Whoever looks at the whole sees it, too.
    let looks = parsed(&watch(&broker, &["top", "--json"], 2, Signal::SIGTERM));
    assert_eq!(list(&looks[1]["queue"], "requests").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_and_top_show_what_each_has_and_how_much_it_may_have() {
    let (_sim, broker) = world();
    let client = connect(&broker).await;
    let mut reader = Reader::open(&client).await;
    for symbol in ["AAPL", "MSFT"] {
        reader.stock(symbol).await;
    }
    let reading = tokio::spawn(async move { while reader.next().await.is_some() {} });
    let told = until("both are subscribed", PATIENCE, || {
        let told = json(&broker, &["clients"]);
        let mine = list(&told, "clients").iter().find(|one| one["name"] == "test")?.clone();
        (mine["subscriptions"] == 2).then_some(mine)
    });
    for (field, value) in
        [("streams", 1), ("streams_limit", 256), ("subscriptions_limit", 2000), ("lines", 2)]
    {
        assert_eq!(told[field], value, "{field}: {told}");
    }
    let table = text(&broker, &["clients"]);
    assert!(
        table.contains("Each may have 256 streams, 2000 subscriptions, 1000 calls, 100 lines."),
        "{table}"
    );
    let row = table.lines().find(|line| line.contains(" test ")).unwrap();
    let words: Vec<_> = row.split_whitespace().rev().take(5).collect();
    assert_eq!(words[2..], ["0", "2", "1"], "calls, subscriptions, streams:\n{table}");

    let looks = parsed(&watch(&broker, &["top", "--json"], 3, Signal::SIGINT));
    let last = looks.last().unwrap();
    let expected = [
        "at",
        "state",
        "events_per_second",
        "lines_used",
        "lines_limit",
        "gateway_round_trip_ms",
        "last_frame_age_ms",
        "broker_answer_ms",
        "clients",
        "lines",
        "queue",
    ];
    fields(last, &expected);
    assert_eq!((&last["state"], &last["lines_used"]), (&json!("READY"), &json!(2)));
    assert!(last["events_per_second"]["in"].as_f64() > Some(0.0), "{last}");
    let mine = list(last, "clients").iter().find(|one| one["name"] == "test").unwrap();
    assert_eq!((&mine["subscriptions"], &mine["subscriptions_limit"]), (&json!(2), &json!(2000)));
    assert!(mine["events_per_second"].as_f64() > Some(0.0), "{mine}");
    // Without a terminal it is a line a second, and no picture.
    let lines = watch(&broker, &["top"], 2, Signal::SIGTERM);
    assert!(lines[0].contains("Z  READY  clients ") && lines[0].contains("lines 2"), "{lines:?}");
    reading.abort();
}
