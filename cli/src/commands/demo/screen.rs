//! The picture of the demo, line by line.

use ibouncer_client::api::SessionState;

use super::scene::{Scene, stage_name};
use crate::output::text::wrap_behind;

/// The picture, line by line, at most `rows` of them.
pub(super) fn lines(scene: &Scene, rows: usize) -> Vec<String> {
    let mut lines =
        vec![format!("IBouncer demo   simulated Gateway on {}", scene.gateway), String::new()];
    lines.extend(scene.picture().into_iter().map(|line| format!("  {line}")));
    lines.push(String::new());
    if let Some(status) = &scene.status {
        let state = status.state().as_str_name().trim_start_matches("SESSION_STATE_");
        let text = format!("{state}  {}", status.reason);
        lines.extend(
            wrap_behind(&text, 2, 4).lines().map(|line| format!("  {}", line.trim_start())),
        );
        let stages = status.handshake.iter().flat_map(|handshake| &handshake.stages);
        let stages: Vec<_> =
            stages.map(|one| format!("{} {:.0}", stage_name(one.stage()), one.at_ms)).collect();
        let text = format!("stages (ms): {}", stages.join(" · "));
        lines.extend(
            wrap_behind(&text, 2, 4).lines().map(|line| format!("  {}", line.trim_start())),
        );
        if status.state() != SessionState::Ready
            && let Some(next) = &status.next
        {
            lines.push(format!("  next: {}", next.action));
        }
    }
    lines.push(String::new());
    for strategy in &scene.strategies {
        let quotes: Vec<_> = strategy
            .quotes
            .iter()
            .filter_map(|(symbol, (bid, _))| Some(format!("{symbol} {:.2}", (*bid)?)))
            .collect();
        let mark = if strategy.stale { "STALE  " } else { "" };
        lines.push(format!(
            "  {:<9}{:>6}  {mark}{}",
            strategy.name,
            strategy.ticks,
            quotes.join("  ")
        ));
    }
    lines.push(String::new());
    let foot = "  [h] make the next handshake hang   [q] quit".to_owned();
    let room = rows.saturating_sub(lines.len() + 2);
    let mut story: Vec<String> = scene
        .story
        .iter()
        .filter(|line| !line.who.is_empty() && line.who != "quotes")
        .flat_map(|line| line.to_string().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let surplus = story.len().saturating_sub(room);
    lines.extend(story.drain(surplus..));
    lines.push(String::new());
    lines.push(foot);
    lines.truncate(rows);
    lines
}
