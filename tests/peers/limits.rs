//! The official Python client meets the simulator's limits, and what happens to it, directly: so
//! the simulator says what a Gateway says, in a form that the official client understands.

use ibouncer_tests::harness::wait::PATIENCE;
use ibouncer_tests::harness::{Program, Sim, peers};
use serde_json::Value;

use super::{binary, python, scripts, temporary};

#[test]
fn the_official_client_meets_limits_broken_farms_and_restarts_as_at_a_gateway() {
    let Some(interpreter) = peers::official_python(temporary()) else {
        return peers::skip("python3");
    };
    let flags = ["--control", "--lines", "5", "--next-order-id", "500", "--reject-above-rate"];
    let mut sim = Sim::start(binary(), &[&flags[..], &["--limit", "message_rate=60"]].concat());
    let mut command = python(&interpreter);
    command.arg(scripts().join("ibapi_limits.py"));
    command.args(["127.0.0.1", &sim.port().to_string(), "--deadline", "20"]);
    let mut program = Program::start("ibapi_limits.py", command);
    let mut read = 0;
    let report = loop {
        let next = |line: &str| serde_json::from_str::<Value>(line).ok();
        let (said, behind) = program.stdout.find_from(read, "a word", 4 * PATIENCE, next);
        read = behind;
        match said["happen"].as_str() {
            Some(what) => {
                sim.happen(what);
                program.say("done");
            }
            None => break said,
        }
    };
    let status = program.exit(PATIENCE);
    assert!(status.success(), "{report:#}\n{}", program.stderr.all().join("\n"));
    assert_eq!(report["ok"], true, "{report:#}");
    // The simulator's own view agrees.
    let happened: Vec<_> = sim.named("happened").iter().map(|one| one["what"].clone()).collect();
    let expected = [
        "farm-down=market",
        "farm-up=market",
        "farm-down=historical",
        "farm-up=historical",
        "1100",
        "1102",
        "1100",
        "1101",
        "restart=100",
    ];
    assert_eq!(happened, expected);
    let stopped = sim.stop();
    for (limit, least) in
        [("market_data_lines", 1), ("scanners", 1), ("connections", 1), ("message_rate", 3)]
    {
        assert!(stopped["limits"][limit].as_u64() >= Some(least), "{limit}: {stopped}");
    }
    for (code, count) in [("101", 1), ("322", 1), ("162", 1), ("300", 1)] {
        assert_eq!(stopped["errors"][code], count, "{code}: {stopped}");
    }
}
