//! Is Gateway alive on the wire? Silence is answered with a question: what time is it?
//!
//! Owns the time of the newest frame and the question that is open. Any frame is a sign of
//! life. Decides that a session is lost; does not end it.

use std::time::{Duration, Instant};

use crate::settings::HeartbeatSettings;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beat {
    /// Ask Gateway for its time.
    Ask,
    /// It was asked often enough.
    Lost(String),
}

/// The machine; runs while there is a session.
#[derive(Debug)]
pub struct Heartbeat {
    settings: HeartbeatSettings,
    running: bool,
    last_frame: Option<Instant>,
    /// When the open question left, and when its answer is due.
    asked: Option<Instant>,
    missed: u32,
    round_trip: Option<Duration>,
    /// The newest question, also after another frame has settled it.
    sent: Option<Instant>,
}

impl Heartbeat {
    /// Not running.
    pub fn new(settings: HeartbeatSettings) -> Self {
        Self {
            settings,
            running: false,
            last_frame: None,
            asked: None,
            missed: 0,
            round_trip: None,
            sent: None,
        }
    }

    /// A session began.
    pub fn start(&mut self, now: Instant) {
        self.running = true;
        self.last_frame = Some(now);
        self.asked = None;
        self.missed = 0;
        self.sent = None;
    }

    /// It ended.
    pub fn stop(&mut self) {
        self.running = false;
        self.asked = None;
    }

    /// Anything came.
    #[inline]
    pub fn on_frames(&mut self, now: Instant) {
        self.last_frame = Some(now);
        self.asked = None;
        self.missed = 0;
    }

    /// Gateway told its time.
    pub fn on_current_time(&mut self, now: Instant) {
        if let Some(sent) = self.sent.take() {
            self.round_trip = Some(now.saturating_duration_since(sent));
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Beat> {
        if self.poll_timeout().is_none_or(|(at, _)| now < at) {
            return None;
        }
        if self.asked.is_some() {
            self.missed += 1;
        }
        if self.missed >= self.settings.misses {
            let silent = now.saturating_duration_since(self.last_frame.unwrap_or(now));
            return Some(Beat::Lost(format!(
                "Gateway sent nothing for {:.0} s and left {} questions for its time unanswered",
                silent.as_secs_f64(),
                self.missed
            )));
        }
        self.asked = Some(now);
        self.sent = Some(now);
        Some(Beat::Ask)
    }

    /// The next time that matters, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        if !self.running {
            return None;
        }
        match self.asked {
            Some(asked) => Some((asked + self.settings.answer, "answer to a heartbeat")),
            None => Some((self.last_frame? + self.settings.idle, "heartbeat")),
        }
    }

    /// Age of the newest frame.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.last_frame.filter(|_| self.running).map(|at| now.saturating_duration_since(at))
    }

    /// Round trip of the newest question.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Questions in a row without an answer.
    pub fn missed(&self) -> u32 {
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_asked_three_times_and_then_lost() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(HeartbeatSettings::default());
        assert_eq!(heartbeat.poll_timeout(), None);
        heartbeat.start(start);
        let mut asked = Vec::new();
        let lost = loop {
            let (at, _) = heartbeat.poll_timeout().unwrap();
            match heartbeat.handle_timeout(at).unwrap() {
                Beat::Ask => asked.push((at - start).as_secs()),
                Beat::Lost(_) => break at - start,
            }
        };
        assert_eq!(asked, [15, 25, 35]);
        assert_eq!(lost, Duration::from_secs(45));
    }

    #[test]
    fn any_frame_is_a_sign_of_life_and_an_answer_is_measured() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(HeartbeatSettings::default());
        heartbeat.start(start);
        let asked = start + Duration::from_secs(15);
        assert_eq!(heartbeat.handle_timeout(asked), Some(Beat::Ask));
        let answered = asked + Duration::from_millis(3);
        heartbeat.on_frames(answered);
        heartbeat.on_current_time(answered);
        assert_eq!(heartbeat.round_trip(), Some(Duration::from_millis(3)));
        let (next, _) = heartbeat.poll_timeout().unwrap();
        assert_eq!(next - answered, Duration::from_secs(15));
        heartbeat.stop();
        assert_eq!(heartbeat.handle_timeout(next), None);
    }
}
