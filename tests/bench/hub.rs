//! What routing one frame costs in instructions, counted by callgrind.
//!
//! This program runs itself under valgrind with the hub alone in it (`ibouncer_tests::hub_alone`): no socket,
//! no runtime, no clock. Instructions do not depend on what else the machine does, so the figure
//! can be compared between two commits. Without valgrind it says so and counts nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use ibouncer_tests::hub_alone;

use crate::chain;
use crate::peers::tmp;

/// First argument that makes this program the hub alone.
pub(crate) const ALONE: &str = "__hub";

const ROUNDS: u64 = 2_000;

/// Listeners of each line.
const LISTENERS: [u64; 2] = [1, 8];

pub(crate) fn run() {
    println!("\nCost of one routed frame, by callgrind: batches of {} ticks", hub_alone::BATCH);
    if Command::new("valgrind").arg("--version").output().is_err() {
        return println!("valgrind is missing: not counted");
    }
    for listeners in LISTENERS {
        match count(listeners) {
            Ok(()) => {}
            Err(because) => println!("not counted: {because}"),
        }
    }
}

/// The hub alone, with what follows its first argument.
pub(crate) fn alone(words: &[String]) {
    let [listeners, rounds] = [0, 1].map(|at| words[at].parse().unwrap());
    let bytes = hub_alone::run(chain::ten(), listeners, rounds);
    println!("{bytes} bytes for {} frames", rounds * hub_alone::BATCH as u64);
}

fn count(listeners: u64) -> Result<(), String> {
    let file = tmp().join(format!("callgrind-hub-{listeners}"));
    std::fs::create_dir_all(tmp()).map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*hub_alone*round*"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe().map_err(|error| error.to_string())?)
        .args([ALONE, &listeners.to_string(), &ROUNDS.to_string()])
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let frames = ROUNDS * hub_alone::BATCH as u64;
    let whole = annotate(&file, true)?;
    let of = |name: &str| {
        let found = whole.iter().find(|(_, function)| function.contains(name));
        found.map_or(0.0, |(count, _)| *count as f64 / frames as f64)
    };
    println!(
        "{listeners} listener(s) a line: {:.0} instructions a frame in the hub, {:.0} an event and \
         listener in queue and encoder",
        of("Alone::route"),
        of("Alone::hand_out") / listeners as f64
    );
    println!("  by function, instructions a frame:");
    for (count, function) in annotate(&file, false)?.iter().take(5) {
        println!("  {:>8.1}  {function}", *count as f64 / frames as f64);
    }
    Ok(())
}

/// Functions with their instructions, the most expensive first.
fn annotate(file: &Path, inclusive: bool) -> Result<Vec<(u64, String)>, String> {
    let output = Command::new("callgrind_annotate")
        .arg(format!("--inclusive={}", if inclusive { "yes" } else { "no" }))
        .args(["--auto=no", "--show-percs=no", "--threshold=99"])
        .arg(file)
        .output()
        .map_err(|error| format!("callgrind_annotate: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut functions = BTreeMap::new();
    for (count, function) in text.lines().filter_map(function) {
        // A function has a line for each file from which code was inlined into it. With callees
        // included the lines overlap.
        let entry = functions.entry(function).or_insert(0);
        *entry = if inclusive { count.max(*entry) } else { count + *entry };
    }
    let mut functions: Vec<_> = functions.into_iter().map(|(name, count)| (count, name)).collect();
    functions.sort_unstable_by(|one, other| other.cmp(one));
    Ok(functions)
}

/// `1,234,567  FILE:FUNCTION [OBJECT]`
fn function(line: &str) -> Option<(u64, String)> {
    let (count, rest) = line.trim_start().split_once("  ")?;
    let count = count.replace(',', "").parse().ok()?;
    let (_, name) = rest.trim().split_once(':')?;
    let name = name.split_once(" [").map_or(name, |(name, _)| name);
    Some((count, name.to_owned()))
}
