//! Orders at random: whatever is done, the book stays sound, money and positions add up, and one
//! seed is one history.

use std::collections::BTreeMap;

use fastrand::Rng;
use ibouncer_proto::tws::v1::{GlobalCancelRequest, OpenOrdersRequest};

use super::*;
use crate::limits::{Limit, LimitSpec, Limits};

const SEEDS: u64 = 400;
const STEPS: usize = 60;
const CLIENTS: [i32; 2] = [7, 8];
const LEGS: &[(&str, i32)] = &[("AAPL", 2), ("MSFT", -1)];

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}

/// A random order; its prices are around the market.
fn random_order(rng: &mut Rng) -> Order {
    let kinds =
        ["MKT", "MKT", "MKT", "LMT", "LMT", "LMT", "LMT", "STP", "STP LMT", "TRAIL", "MIT", "REL"];
    let kind = pick(rng, &kinds);
    // The combination is about 35: some of its orders are far away.
    let price = |rng: &mut Rng| f64::from(rng.i32(22_500..23_800)) / 100.0;
    let group = pick(rng, &["", "", "", "a", "b"]);
    Order {
        aux_price: (kind != "MKT" && kind != "LMT").then(|| match kind {
            "TRAIL" => 1.0,
            _ => price(rng),
        }),
        lmt_price: kind.contains("LMT").then(|| price(rng)),
        parent_id: Some(if rng.u8(..4) == 0 { rng.i32(1..30) } else { 0 }),
        tif: Some(pick(rng, &["DAY", "GTC", "GTC", "DAY", "OPG", "IOC", "FOK"]).to_owned()),
        oca_group: (!group.is_empty()).then(|| group.to_owned()),
        oca_type: Some(pick(rng, &[0, 1, 2, 3])),
        transmit: Some(rng.u8(..5) != 0),
        what_if: Some(rng.u8(..20) == 0),
        auto_cancel_parent: Some(rng.u8(..10) == 0),
        ..order(pick(rng, &["BUY", "SELL"]), rng.u32(1..400), kind, 0.0)
    }
}

fn step(world: &mut World, clients: &mut BTreeMap<i32, ConnectionId>, rng: &mut Rng) {
    let number = pick(rng, &CLIENTS);
    let client = clients[&number];
    let some_id = rng.i32(1..40);
    match rng.u8(..24) {
        0..=9 => {
            let next = world.gateway.shared.book.next_order_id(number);
            let order_id = if rng.u8(..5) == 0 { some_id } else { next + rng.i32(..2) };
            let order = random_order(rng);
            match rng.u8(..8) {
                0 => world.place_of(client, order_id, combination(LEGS), &order),
                _ => world.place(client, order_id, pick(rng, &["AAPL", "AAPL", "MSFT"]), &order),
            }
        }
        10..=12 => world.cancel(client, some_id),
        13 => world.request(client, ask::REQ_OPEN_ORDERS, &OpenOrdersRequest {}),
        14 if rng.bool() => {
            world.request(client, ask::REQ_GLOBAL_CANCEL, &GlobalCancelRequest::default());
        }
        15 => {
            world.happen(pick(rng, &["1100", "1101", "1102", "restart=3", "order=manual:AAPL:5"]))
        }
        16 | 17 => world.happen(&format!("price=AAPL:{}.{}", rng.u8(226..238), rng.u8(10..99))),
        18 => world.happen(&format!("fill={number}/{some_id}:{}", rng.u8(1..200))),
        19 => {
            let what = pick(rng, &["cancel", "inactive", "active", "reject"]);
            let more = if what == "reject" { ":201" } else { "" };
            world.happen(&format!("{what}={number}/{some_id}{more}"));
        }
        21 if rng.u8(..4) != 0 => {
            let executions = &world.gateway.shared.book.executions;
            if let Some(done) = rng.choice(executions) {
                let perm_id = done.perm_id;
                let more = pick(rng, &[":230.5", ":230.5:0", ":229:20", ":232:500"]);
                world.happen(&format!("correct=perm/{perm_id}{more}"));
            }
        }
        20 => world.happen(pick(
            rng,
            &[
                "reject-next=201",
                "reject-next=110",
                "silent-fill",
                "repeat-next",
                "warn-next=399",
                "part-next=10",
                "refuse-cancel=161",
                "lose-answers",
                "lose-cancel-answers",
                "answer-later",
                "drop-at-order=accepted",
                "drop-at-order=later",
                "drop-at-order=refused",
                "drop-at-cancel=accepted",
                "drop-at-cancel=refused",
            ],
        )),
        21 => world.hang_up(client, End::Reset),
        _ => world.pass(Duration::from_millis(u64::from(rng.u8(..100)))),
    }
    for (number, client) in clients {
        let open = !world.closed.contains_key(client);
        if !open {
            *client = world.connect(*number);
        }
    }
}

fn run(seed: u64) -> (Vec<Vec<u8>>, World) {
    let mut rng = Rng::with_seed(seed);
    let mut world = World::of_orders(GatewayConfig {
        limits: Limits::default().with(Limit::MessageRate, LimitSpec::OFF),
        positions: vec![],
        executions: vec![],
        manual_fills: seed.is_multiple_of(3),
        ..GatewayConfig::default()
    });
    let mut clients: BTreeMap<_, _> =
        CLIENTS.into_iter().map(|number| (number, world.connect(number))).collect();
    for _ in 0..STEPS {
        step(&mut world, &mut clients, &mut rng);
        world.gateway.shared.book.check_invariants();
    }
    world.happen("1102");
    world.pass(Duration::from_secs(1));
    world.gateway.shared.book.check_invariants();
    let bytes = world.sent.values().map(|pieces| pieces.concat()).collect();
    (bytes, world)
}

/// What came and went is what the executions say as they are now, and every cent of it is in a
/// position, was realized, or was paid for a trade that realized nothing.
fn check_money(seed: u64, world: &World) {
    let portfolio = &world.gateway.shared.portfolio;
    let purse = portfolio.purse("DU0000001");
    let (mut cash, mut unrealized_fees) = (0.0, 0.0);
    for done in &world.gateway.shared.book.executions {
        if done.contract.sec_type() == "BAG" {
            continue;
        }
        let side = if done.bought { -1.0 } else { 1.0 };
        cash += side * done.price * done.quantity.as_f64() - done.commission;
        if done.realized.is_none() {
            unrealized_fees += done.commission;
        }
    }
    assert!((purse.cash - cash).abs() < 1e-3, "seed {seed}: {purse:?} {cash}");
    let held: f64 = portfolio.positions.iter().map(|one| one.average_cost * one.quantity).sum();
    let found = purse.cash + held + unrealized_fees;
    assert!((purse.realized - found).abs() < 1e-3, "seed {seed}: {purse:?} {found}");
}

#[test]
fn whatever_is_done_the_book_is_sound_and_positions_add_up() {
    let (mut filled, mut cancelled) = (0, 0);
    for seed in 0..SEEDS {
        let (bytes, world) = run(seed);
        if seed.is_multiple_of(10) {
            assert_eq!(run(seed).0, bytes, "seed {seed}");
        }
        let ledger = world.gateway.ledger();
        let mut held = BTreeMap::<&str, f64>::new();
        for line in &ledger.orders {
            let quantity: f64 = line.filled.parse().unwrap();
            let sign = if line.side == "BUY" { 1.0 } else { -1.0 };
            let legs = if line.sec_type == "BAG" { LEGS } else { &[(line.symbol.as_str(), 1)] };
            for (symbol, ratio) in legs {
                *held.entry(symbol).or_default() += sign * quantity * f64::from(*ratio);
            }
            filled += u32::from(line.status == "Filled");
            cancelled += u32::from(line.status == "Cancelled");
        }
        for (symbol, quantity) in held {
            let positions = world.gateway.shared.portfolio.positions.iter();
            let found = positions.filter(|one| one.listing.instrument().symbol == symbol);
            let sum: f64 = found.map(|one| one.quantity).sum();
            assert!((sum - quantity).abs() < 1e-6, "seed {seed}: {symbol} {sum} {quantity}");
        }
        check_money(seed, &world);
    }
    assert!(filled > 300 && cancelled > 200, "{filled} filled, {cancelled} cancelled");
}
