//! One handshake over one socket, with the time of each stage; the shell around [`crate::wire`].
//!
//! A server of lines, such as a web server, waits for the end of a line that our opening does not
//! have. So after a version deadline that passed in silence a blank line goes down the same socket.
//! To a Gateway that costs nothing: the opening went whole before, and the reset follows.
//!
//! The close policy is set before `connect()`, so however this process ends before READY, Gateway
//! sees a reset and keeps no socket in CLOSE_WAIT. The opening is one write. Decides nothing: when
//! a deadline passes or the other side ends it, the timeline says so. Blocking: it is the only
//! thing that its program does at that moment.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ibouncer_proto::tws::frame::FrameError;
use ibouncer_proto::tws::handshake::{HandshakeError, start_api};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::timeline::{
    Attempt, ClosePolicy, End, KEPT_BYTES, Notice, SettingsAnswer, Stage, Timeline,
};
use crate::wire::{self, Conversation, Heard, WireError};

/// Gateway's answer to a client id that another connection holds.
const CLIENT_ID_IN_USE: i32 = 326;

/// Notices that are kept.
const KEPT_NOTICES: usize = 40;

/// So long an answer to a blank line is waited for.
pub const LINE_ANSWER: Duration = Duration::from_millis(500);

/// Makes one handshake. `at_deadline` is called when one passes, while the socket is still there:
/// the moment at which the kernel's tables say most.
pub fn run(attempt: &Attempt, at_deadline: &mut dyn FnMut()) -> Timeline {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let began_unix_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
    let begun = Instant::now();
    let mut timeline = Timeline::new(attempt.clone(), began_unix_ms);
    let end = match open(attempt.gateway, attempt.limits.tcp) {
        Ok(stream) => {
            let conversation = Conversation::new(attempt.offer.clone());
            let mut probe = Probe { stream, conversation, timeline, begun, in_use: false };
            let end = probe.shake_hands();
            if matches!(end, End::Silence | End::MuteAfterReady) {
                at_deadline();
            }
            probe.timeline.unfinished = probe.conversation.unfinished();
            timeline = probe.timeline;
            end
        }
        Err(error) => {
            let end = end_of_connect(&error);
            if end == End::TcpTimeout {
                at_deadline();
            }
            end
        }
    };
    timeline.end = end;
    if timeline.ended_ms == 0.0 {
        timeline.ended_ms = millis(begun.elapsed());
    }
    timeline
}

/// A socket that answers any end of this process with a reset.
pub(crate) fn open(gateway: SocketAddr, within: Duration) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(gateway), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_nodelay(true)?;
    socket.connect_timeout(&gateway.into(), within)?;
    Ok(socket.into())
}

fn end_of_connect(error: &io::Error) -> End {
    match error.kind() {
        ErrorKind::ConnectionRefused => End::Refused,
        ErrorKind::TimedOut => End::TcpTimeout,
        _ => End::TcpFailed(error.to_string()),
    }
}

struct Probe {
    stream: TcpStream,
    conversation: Conversation,
    timeline: Timeline,
    begun: Instant,
    in_use: bool,
}

impl Probe {
    fn shake_hands(&mut self) -> End {
        self.reach(Stage::TcpConnected);
        let limits = self.timeline.attempt.limits;
        let deadline = Instant::now() + limits.version;
        let opening = self.conversation.opening();
        if self.send(&opening) {
            self.reach(Stage::HelloSent);
        }
        match self.listen(deadline, |probe| probe.timeline.server.is_some()) {
            Ok(()) => {}
            Err(End::Silence) if self.timeline.received == 0 => return self.end_a_line(),
            Err(end) => return end,
        }
        let version = self.timeline.server.as_ref().map_or(0, |server| server.server_version);
        let deadline = Instant::now() + limits.ready;
        let client_id = self.timeline.attempt.client_id;
        if self.send(&start_api(version, client_id)) {
            self.reach(Stage::ApiStarted);
        }
        if let Err(end) = self.listen(deadline, |probe| probe.timeline.has(Stage::Ready)) {
            return end;
        }
        self.converse(version)
    }

    /// Nothing came: does a blank line make a server of lines speak? Whatever comes, the handshake
    /// is over. A close now is no answer: what was met before it was silence.
    fn end_a_line(&mut self) -> End {
        if !self.send(b"\r\n\r\n") {
            return End::Silence;
        }
        self.timeline.blank_line_ms = Some(millis(self.begun.elapsed()));
        let heard = self.listen(Instant::now() + LINE_ANSWER, |_| false);
        match heard {
            Err(end) if self.timeline.received > 0 && self.timeline.server.is_none() => end,
            Ok(()) | Err(_) => End::Silence,
        }
    }

    /// In a session that is READY: does it answer, what are its settings, and how does it end.
    fn converse(&mut self, version: i32) -> End {
        let limits = self.timeline.attempt.limits;
        let mut deadline = Instant::now() + limits.answer;
        // A write that fails shows in what is read next.
        self.send(&wire::ask_time(version));
        let answered = |probe: &Self| probe.timeline.has(Stage::TimeReceived);
        if let Err(end) = self.listen(deadline, answered) {
            return if end == End::Silence { End::MuteAfterReady } else { end };
        }
        let told = matches!(self.timeline.settings, SettingsAnswer::Read(_));
        if !told {
            self.timeline.settings = self.ask_settings(version);
        }
        if self.timeline.settings == SettingsAnswer::None {
            deadline = Instant::now() + limits.answer;
            let answered = |probe: &Self| probe.timeline.settings != SettingsAnswer::None;
            // Settings are an extra: the session is good without them.
            if let Err(end) = self.listen(deadline, answered)
                && end != End::Silence
            {
                return end;
            }
        }
        self.timeline.ended_ms = millis(self.begun.elapsed());
        if self.timeline.attempt.close == ClosePolicy::Graceful {
            self.close_in_order(Instant::now() + limits.answer);
        }
        End::Good
    }

    fn ask_settings(&mut self, version: i32) -> SettingsAnswer {
        if !self.timeline.attempt.read_settings {
            return SettingsAnswer::NotAsked("they are read once, in a single handshake");
        }
        let Some(question) = wire::ask_config(version) else {
            return SettingsAnswer::NotAsked("Gateway tells them from server version 219 on");
        };
        self.send(&question);
        SettingsAnswer::None
    }

    /// FIN, then to the end of what Gateway sends. If no end comes, the socket goes with a reset
    /// after all, so that nothing of us stays with a Gateway that forgot to close.
    fn close_in_order(&mut self, deadline: Instant) {
        let closed = SockRef::from(&self.stream)
            .set_linger(None)
            .and_then(|()| self.stream.shutdown(Shutdown::Write));
        if closed.is_err() {
            return;
        }
        if let Err(End::Closed { .. }) = self.listen(deadline, |_| false) {
            self.reach(Stage::CloseAnswered);
        }
        // It can only fail on a socket that is gone already.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Reads until `done`, or until an end.
    fn listen(&mut self, deadline: Instant, done: impl Fn(&Self) -> bool) -> Result<(), End> {
        let mut piece = [0; 16 * 1024];
        while !done(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(End::Silence);
            }
            let timeout = left.max(Duration::from_millis(1));
            if let Err(error) = self.stream.set_read_timeout(Some(timeout)) {
                return Err(End::TcpFailed(error.to_string()));
            }
            match self.stream.read(&mut piece) {
                Ok(0) if self.in_use => return Err(End::ClientIdInUse),
                Ok(0) => return Err(End::Closed { reset: false }),
                Ok(length) => self.take(&piece[..length])?,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                    _ if self.in_use => return Err(End::ClientIdInUse),
                    _ => return Err(End::Closed { reset: true }),
                },
            }
            if self.in_use {
                return Err(End::ClientIdInUse);
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.reach(Stage::FirstByte);
        // Behind the version stand accounts, which are nobody's business.
        if self.timeline.server.is_none() {
            let room = KEPT_BYTES - self.timeline.first_bytes.len();
            self.timeline.first_bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        self.timeline.received += bytes.len() as u64;
        let mut heard = Vec::new();
        let outcome = self.conversation.receive(bytes, &mut heard);
        for one in heard {
            self.note(one);
        }
        outcome.map_err(end_of_bytes)
    }

    fn note(&mut self, heard: Heard) {
        match heard {
            Heard::Version(server) => {
                self.timeline.server = Some(server);
                self.reach(Stage::VersionReceived);
            }
            Heard::Accounts(accounts) => {
                if !accounts.is_empty() {
                    self.reach(Stage::AccountsReceived);
                }
                self.timeline.accounts = Some(accounts);
            }
            Heard::NextId(next) => {
                self.timeline.next_id = Some(next);
                self.reach(Stage::NextIdReceived);
            }
            Heard::Notice(notice) => self.note_notice(notice),
            Heard::Time => self.reach(Stage::TimeReceived),
            Heard::Config(config) => {
                self.timeline.settings = SettingsAnswer::Read(config);
                self.reach(Stage::ConfigReceived);
            }
            Heard::Other => {}
        }
        let both = [Stage::AccountsReceived, Stage::NextIdReceived];
        if both.iter().all(|stage| self.timeline.has(*stage)) {
            self.reach(Stage::Ready);
        }
    }

    fn note_notice(&mut self, notice: Notice) {
        self.in_use |= notice.code == CLIENT_ID_IN_USE && !self.timeline.has(Stage::Ready);
        let about_settings = notice.request == wire::CONFIG_REQUEST;
        if about_settings && self.timeline.settings == SettingsAnswer::None {
            let text = format!("error {}: {}", notice.code, notice.text);
            self.timeline.settings = SettingsAnswer::Refused(text);
        }
        if self.timeline.notices.len() < KEPT_NOTICES {
            self.timeline.notices.push(notice);
        }
    }

    fn reach(&mut self, stage: Stage) {
        if !self.timeline.has(stage) {
            let at = millis(self.begun.elapsed());
            self.timeline.stages.push((stage, at));
        }
    }

    /// True if it was handed to the kernel whole.
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }
}

fn end_of_bytes(error: WireError) -> End {
    match &error {
        WireError::Frame(FrameError::TooLong { length, .. }) => End::TooLong(*length),
        WireError::Opening(HandshakeError::Redirect(_) | HandshakeError::NotOffered { .. }) => {
            End::BadVersion(error.to_string())
        }
        _ => End::NotProtocol(error.to_string()),
    }
}

fn millis(duration: Duration) -> f64 {
    // A hundredth of a millisecond is more than the clock deserves.
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}
