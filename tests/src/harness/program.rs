//! A process that a test started: its output as lines, its input, its end.
//!
//! Ended and waited for when it goes out of scope, whatever the test did.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Lines of a stream, as they come.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    shared: Arc<(Mutex<Text>, Condvar)>,
}

#[derive(Debug, Default)]
struct Text {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let mine = lines.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).unwrap_or(0) > 0 {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                mine.change(|read| read.lines.push(text));
            }
            mine.change(|read| read.ended = true);
        });
        lines
    }

    fn change(&self, change: impl FnOnce(&mut Text)) {
        let (read, changed) = &*self.shared;
        change(&mut read.lock().unwrap_or_else(PoisonError::into_inner));
        changed.notify_all();
    }

    /// Everything so far.
    pub fn all(&self) -> Vec<String> {
        let (read, _) = &*self.shared;
        let read = read.lock().unwrap_or_else(PoisonError::into_inner);
        read.lines.clone()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        let (read, _) = &*self.shared;
        let read = read.lock().unwrap_or_else(PoisonError::into_inner);
        read.lines.len()
    }

    /// Waits until `look` finds something in the lines from `from` on; answers with the number of
    /// the line behind it, too.
    ///
    /// # Panics
    /// At the deadline or at the end of the stream, with the newest lines.
    #[track_caller]
    pub fn find_from<T>(
        &self,
        from: usize,
        what: &str,
        within: Duration,
        mut look: impl FnMut(&str) -> Option<T>,
    ) -> (T, usize) {
        let deadline = Instant::now() + within;
        let (read, changed) = &*self.shared;
        let mut looked = from;
        let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            while looked < read.lines.len() {
                looked += 1;
                if let Some(found) = look(&read.lines[looked - 1]) {
                    return (found, looked);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || read.ended {
                let newest: Vec<_> = read.lines.iter().rev().take(12).rev().cloned().collect();
                let ended = read.ended;
                drop(read);
                panic!("no {what} (ended: {ended}); newest lines:\n{}", newest.join("\n"));
            }
            read = changed.wait_timeout(read, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a line, from the first on.
    #[track_caller]
    pub fn find<T>(&self, what: &str, within: Duration, look: impl FnMut(&str) -> Option<T>) -> T {
        self.find_from(0, what, within, look).0
    }

    /// All lines that are JSON.
    pub fn json(&self) -> Vec<Value> {
        self.all().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn ended(&self) -> bool {
        let (read, _) = &*self.shared;
        read.lock().unwrap_or_else(PoisonError::into_inner).ended
    }
}

/// A running process.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    /// What it writes to standard output.
    pub stdout: Lines,
    /// What it writes to standard error.
    pub stderr: Lines,
    status: Option<ExitStatus>,
}

impl Program {
    /// Starts it with all three streams as pipes.
    #[track_caller]
    pub fn start(name: &str, mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("start {name}: {error}"));
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = Lines::of(child.stderr.take().unwrap());
        Self {
            name: name.to_owned(),
            stdin: child.stdin.take(),
            child,
            stdout,
            stderr,
            status: None,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, unless it has been waited for.
    pub fn signal(&mut self, signal: Signal) {
        if self.poll_exit().is_none() {
            // It may end in this moment.
            let _ = kill(Pid::from_raw(self.child.id() as i32), signal);
        }
    }

    /// Closes its standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Writes a line to its standard input.
    pub fn say(&mut self, line: &str) {
        if let Some(stdin) = &mut self.stdin {
            // A reader that is gone shows in what the test waits for next.
            let _ = writeln!(stdin, "{line}");
        }
    }

    /// Its end, if it has ended.
    pub fn poll_exit(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap();
        }
        self.status
    }

    /// Waits for its end and for the last of its output.
    #[track_caller]
    pub fn exit(&mut self, within: Duration) -> ExitStatus {
        let what = format!("{} ended", self.name);
        let status = super::wait::until(&what, within, || self.poll_exit());
        let both = |lines: (&Lines, &Lines)| lines.0.ended() && lines.1.ended();
        // A grandchild may hold the pipe; what it writes is not this program's.
        let deadline = Instant::now() + Duration::from_secs(1);
        while !both((&self.stdout, &self.stderr)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        status
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.poll_exit().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
