//! The live picture: drawn over itself, ten times a second, in the terminal's second screen.

use std::io::{self, Write as _};

use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::{cursor, execute, queue, style, terminal};
use ibouncer_client::api::SessionState;

use super::scene::{Scene, stage_name};
use crate::output::WIDTH;
use crate::output::text::wrap_behind;

/// What a key means here.
pub(super) enum Key {
    Hang,
    Quit,
    Other,
}

/// The terminal while it is ours; given back when dropped.
pub(super) struct Screen {
    keys: EventStream,
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(Self { keys: EventStream::new() })
    }

    pub(super) fn keys(&mut self) -> &mut EventStream {
        &mut self.keys
    }

    pub(super) fn draw(&self, scene: &Scene) -> io::Result<()> {
        let (columns, rows) = terminal::size().unwrap_or((80, 24));
        let width = usize::from(columns).min(WIDTH);
        let mut out = io::stdout().lock();
        for (row, line) in lines(scene, usize::from(rows)).iter().enumerate() {
            let line: String = line.chars().take(width).collect();
            let row = u16::try_from(row).unwrap_or(u16::MAX);
            queue!(
                out,
                cursor::MoveTo(0, row),
                style::Print(line),
                terminal::Clear(terminal::ClearType::UntilNewLine)
            )?;
        }
        queue!(out, terminal::Clear(terminal::ClearType::FromCursorDown))?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal is gone if this fails.
        let _ = execute!(io::stdout(), cursor::Show, terminal::LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}

pub(super) fn meaning(event: io::Result<Event>) -> Key {
    match event {
        Ok(Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. })) => match code {
            KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Key::Quit,
            KeyCode::Char('q') | KeyCode::Esc => Key::Quit,
            KeyCode::Char('h') => Key::Hang,
            _ => Key::Other,
        },
        Ok(_) => Key::Other,
        Err(_) => Key::Quit,
    }
}

/// The picture, line by line, at most `rows` of them.
fn lines(scene: &Scene, rows: usize) -> Vec<String> {
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
