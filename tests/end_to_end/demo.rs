//! The first thing that a newcomer runs.

use std::process::Command;

use serde_json::Value;

use crate::binary;

#[test]
fn the_demo_shows_a_hang_the_kill_and_the_replacement_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let shown = Command::new(binary())
        .args(["demo", "--for", "12s", "--json"])
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    let text = String::from_utf8(shown.stdout).unwrap();
    let story: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| Some((line["who"].as_str()?.into(), line["what"].as_str()?.into())))
        .collect();
    let mut rest = story.iter();
    for (who, what) in [
        ("worker 1", "READY"),
        ("quotes", "AAPL"),
        ("demo", "makes the next handshake hang"),
        ("worker 2", "HELLO_SENT"),
        ("broker", "has killed worker 2: silence after HELLO_SENT"),
        ("worker 3", "READY"),
    ] {
        let told = rest.any(|line| line.0 == who && line.1.contains(what));
        assert!(told, "{who}: {what} is missing, or not in its place: {text}");
    }
    for strategy in ["momentum", "pairs", "hedger"] {
        for mark in ["STALE", "RESUMED"] {
            let told = story.iter().any(|line| line.0 == strategy && line.1.contains(mark));
            assert!(told, "{strategy} tells of {mark}: {text}");
        }
    }
    let summary: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&summary["killed"], &summary["torn"]), (&1.into(), &0.into()), "{summary}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}
