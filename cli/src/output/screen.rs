//! A live picture: lines drawn over themselves in the terminal's second screen.

use std::io::{self, IsTerminal as _, Write as _};

use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::{cursor, execute, queue, style, terminal};
use tokio_stream::StreamExt as _;

use super::Output;
use super::visible::one_line;

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// q, Esc, Ctrl-C, or a terminal that is gone.
    Quit,
    /// A letter.
    Letter(char),
    /// Anything else, a change of the size included.
    Other,
}

/// The terminal while it is ours; given back when dropped.
pub(crate) struct Screen {
    keys: EventStream,
}

impl Screen {
    /// True if somebody sits at a terminal and did not ask for JSON.
    pub(crate) fn is_wanted(output: &Output) -> bool {
        io::stdout().is_terminal() && io::stdin().is_terminal() && !output.json()
    }

    pub(crate) fn open() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(Self { keys: EventStream::new() })
    }

    /// The next key.
    pub(crate) async fn key(&mut self) -> Key {
        self.keys.next().await.map_or(Key::Quit, meaning)
    }

    /// Draws the lines; what does not fit is cut.
    pub(crate) fn draw(&self, lines: &[String]) -> io::Result<()> {
        let (width, height) = size();
        let mut out = io::stdout().lock();
        for (row, line) in lines.iter().take(height).enumerate() {
            let line: String = one_line(line).chars().take(width).collect();
            let row = u16::try_from(row).unwrap_or(u16::MAX);
            queue!(
                out,
                cursor::MoveTo(0, row),
                style::Print(line),
                terminal::Clear(terminal::ClearType::UntilNewLine)
            )?;
        }
        if lines.len() < height {
            let row = u16::try_from(lines.len()).unwrap_or(u16::MAX);
            queue!(
                out,
                cursor::MoveTo(0, row),
                terminal::Clear(terminal::ClearType::FromCursorDown)
            )?;
        }
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

/// Columns and rows of the terminal; 80 by 24 where there is none.
pub(crate) fn size() -> (usize, usize) {
    if !io::stdout().is_terminal() {
        return (80, 24);
    }
    let (columns, rows) = terminal::size().unwrap_or((80, 24));
    (usize::from(columns), usize::from(rows))
}

/// The next key of a screen that may not be there: then never.
pub(crate) async fn key_of(screen: Option<&mut Screen>) -> Key {
    match screen {
        Some(screen) => screen.key().await,
        None => std::future::pending().await,
    }
}

fn meaning(event: io::Result<Event>) -> Key {
    match event {
        Ok(Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. })) => match code {
            KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Key::Quit,
            KeyCode::Char('q') | KeyCode::Esc => Key::Quit,
            KeyCode::Char(letter) => Key::Letter(letter),
            _ => Key::Other,
        },
        Ok(_) => Key::Other,
        Err(_) => Key::Quit,
    }
}
