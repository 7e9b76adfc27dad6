//! TLS: who gets in, as whom, and what everybody else is told.

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use ibouncer_client::{Client, Options};
use ibouncer_tests::harness::certificates::{Authority, Certificate};
use ibouncer_tests::harness::wait::{PATIENCE, until_true};
use ibouncer_tests::harness::{Broker, BrokerPlan, Home, Sim};
use nix::sys::signal::Signal;

use super::{binary, plan, sim};

/// Files of a test: ours, and those of an authority that nobody trusts.
struct Files {
    ours: Authority,
    others: Authority,
    server: Certificate,
}

fn files(folder: &Path) -> Files {
    let ours = Authority::new(&folder.join("ours"));
    let others = Authority::new(&folder.join("others"));
    let server = ours.server("server");
    Files { ours, others, server }
}

fn with_tls(plan: BrokerPlan, files: &Files) -> BrokerPlan {
    let set = |plan: BrokerPlan, key: &str, path: &Path| {
        plan.set(&format!("grpc.tls.{key}={}", path.display()))
    };
    let plan = plan.set("grpc.listen=127.0.0.1:0");
    let plan = set(plan, "cert", &files.server.cert);
    let plan = set(plan, "key", &files.server.key);
    set(plan, "client_ca", &files.ours.ca())
        .set("trading.enabled=true")
        .set("trading.volatile_state=allow")
        .set("clients.momentum.role=trade")
        .set("clients.momentum.tls_subject=CN=momentum,O=Desk")
}

fn start(sim: &Sim) -> (Files, Broker) {
    let plan = plan(sim);
    let files = files(&plan.home().path().join("tls"));
    let broker = with_tls(plan, &files).start();
    broker.wait_ready();
    (files, broker)
}

fn options(broker: &Broker, trusted: &Authority) -> Options {
    let port = broker.tcp().rsplit_once(':').unwrap().1.to_owned();
    // The token file of this test's broker is not looked for.
    Options::new()
        .runtime_dir(broker.home().path().join("nowhere"))
        .target(format!("https://localhost:{port}"))
        .tls_ca(fs::read(trusted.ca()).unwrap())
        .reconnect(false)
}

fn showing(options: Options, certificate: &Certificate) -> Options {
    options.tls_identity(fs::read(&certificate.cert).unwrap(), fs::read(&certificate.key).unwrap())
}

fn token(broker: &Broker) -> String {
    fs::read_to_string(broker.home().runtime().join("token")).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_a_credential_and_whoever_has_none_needs_a_token() {
    let sim = sim(&["--no-orders"]);
    let (files, broker) = start(&sim);
    let plain = || options(&broker, &files.ours);

    let momentum = Client::connect(showing(plain(), &files.ours.client("momentum"))).await.unwrap();
    let me = momentum.who_am_i().await.unwrap();
    assert_eq!((me.principal.as_str(), me.role.as_str()), ("momentum", "trade"));
    assert_eq!(me.credential, "the certificate of CN=momentum,O=Desk");

    let operator = Client::connect(plain().token(token(&broker))).await.unwrap();
    assert_eq!(operator.who_am_i().await.unwrap().credential, "the broker's own token");

    // Signed by the right authority, and nobody's; no certificate at all.
    let unknown = Client::connect(showing(plain(), &files.ours.client("stranger"))).await.unwrap();
    let error = unknown.who_am_i().await.unwrap_err().to_string();
    assert!(error.contains("CN=stranger,O=Desk is no client's"), "{error}");
    let nobody = Client::connect(plain()).await.unwrap();
    let error = nobody.who_am_i().await.unwrap_err().to_string();
    assert!(error.contains("no token"), "{error}");

    // The same subject, signed by somebody else.
    let forged = Client::connect(showing(plain(), &files.others.client("momentum"))).await;
    let entered = match forged {
        Ok(client) => client.who_am_i().await.is_ok(),
        Err(_) => false,
    };
    assert!(!entered, "a certificate of another authority opened the door");

    let clients = broker.cli(&["clients", "--json"]).stdout;
    assert!(clients.contains("tls 127.0.0.1:"), "{clients}");
    assert!(clients.contains("(CN=momentum,O=Desk)"), "{clients}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_knows_its_broker_or_does_not_speak_to_it() {
    let sim = sim(&["--no-orders"]);
    let (files, broker) = start(&sim);
    let wrong = Client::connect(options(&broker, &files.others)).await.unwrap_err().to_string();
    assert!(wrong.contains("https://localhost:") && wrong.contains("certificate"), "{wrong}");
    let named = options(&broker, &files.ours).tls_name("gateway.example");
    let wrong = Client::connect(named).await.unwrap_err().to_string();
    assert!(wrong.contains("gateway.example") || wrong.contains("name"), "{wrong}");
    let plain = options(&broker, &files.ours).target(broker.tcp());
    let refused = match Client::connect(plain.token(token(&broker))).await {
        Ok(client) => client.who_am_i().await.is_err(),
        Err(_) => true,
    };
    assert!(refused, "a listener with TLS serves nobody without");
    // Programs of this host are not sent to a listener that they could not speak to.
    let endpoints = fs::read_to_string(broker.home().runtime().join("endpoints.json"))
        .or_else(|_| fs::read_to_string(broker.home().state().join("endpoints.json")))
        .unwrap();
    let endpoints: serde_json::Value = serde_json::from_str(&endpoints).unwrap();
    assert!(endpoints["tcp"].is_null() && endpoints["tls"] == broker.tcp(), "{endpoints}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_shakes_hands_is_put_out_and_delays_nobody() {
    let sim = sim(&["--no-orders"]);
    let (files, broker) = start(&sim);
    let address = broker.tcp();
    let mut silent: Vec<_> = (0..20).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let client = Client::connect(options(&broker, &files.ours).token(token(&broker)));
    let client = tokio::time::timeout(Duration::from_secs(5), client).await;
    client.expect("nobody waits for those who are silent").unwrap();
    for socket in &mut silent {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(socket.read(&mut [0; 16]).unwrap_or(0), 0, "closed");
    }
    until_true("it is said", PATIENCE, || {
        broker.log().iter().any(|line| line["because"].to_string().contains("no handshake within"))
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_without_a_restart_and_bad_ones_change_nothing() {
    let sim = sim(&["--no-orders"]);
    let plan = plan(&sim);
    let files = files(&plan.home().path().join("tls"));
    let plan = with_tls(plan, &files).announce_error("the configuration is not good");
    let mut broker = plan.start();
    broker.wait_ready();
    let connected = Client::connect(options(&broker, &files.ours).token(token(&broker)));
    let connected = connected.await.unwrap();

    let said = |broker: &Broker, text: &str| {
        broker.log().iter().any(|line| line["message"].to_string().contains(text))
    };
    fs::write(&files.server.cert, "nothing of value").unwrap();
    broker.signal(Signal::SIGHUP);
    until_true("the refusal", PATIENCE, || said(&broker, "the old one stays"));
    Client::connect(options(&broker, &files.ours).token(token(&broker))).await.unwrap();

    let renewed = files.others.server("renewed");
    fs::copy(&renewed.cert, &files.server.cert).unwrap();
    fs::copy(&renewed.key, &files.server.key).unwrap();
    broker.signal(Signal::SIGHUP);
    until_true("read again", PATIENCE, || said(&broker, "the configuration was read again"));
    Client::connect(options(&broker, &files.others).token(token(&broker))).await.unwrap();
    Client::connect(options(&broker, &files.ours)).await.unwrap_err();
    connected.who_am_i().await.expect("connections stay");
}

#[test]
fn files_that_are_no_good_are_named_before_anything_is_served() {
    let sim = sim(&["--no-orders"]);
    let home = Home::new(binary());
    let files = files(&home.path().join("tls"));
    let (cert, key) = (files.server.cert.display(), files.server.key.display());
    let other = files.ours.server("other").key;
    let other = other.display();
    for (cert, key, wanted) in [
        (format!("{cert}.missing"), key.to_string(), "server.cert.pem.missing"),
        (key.to_string(), key.to_string(), "no certificate in"),
        (cert.to_string(), cert.to_string(), "no private key in"),
        (cert.to_string(), other.to_string(), "do not go together"),
    ] {
        let (cert, key) = (format!("grpc.tls.cert={cert}"), format!("grpc.tls.key={key}"));
        let answer =
            home.cli(&["serve", "--gateway", sim.address(), "--set", &cert, "--set", &key]);
        assert_ne!(answer.code, 0);
        assert!(answer.stderr.contains(wanted), "{wanted}: {answer:?}");
    }
}
