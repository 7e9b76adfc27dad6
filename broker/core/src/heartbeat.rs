//! Is Gateway alive on the wire? Silence is answered with a question: what time is it?
//!
//! Owns the time of the newest frame, the requests that have no answer yet, and the question
//! that is open. Two doubts lead to it: nothing came at all, which any frame settles; or a
//! request is overdue while other frames flow, which only the answer settles. Decides that a
//! session is lost; does not end it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ids::RequestId;
use crate::settings::HeartbeatSettings;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beat {
    /// Ask Gateway for its time.
    Ask,
    /// It was asked often enough.
    Lost(String),
}

/// Why Gateway was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// Nothing came.
    Silence,
    /// Frames come, but this is not answered since then.
    Overdue(Instant),
}

/// The machine; runs while there is a session.
#[derive(Debug)]
pub struct Heartbeat {
    settings: HeartbeatSettings,
    running: bool,
    last_frame: Option<Instant>,
    /// Requests without any answer, and when they left.
    unanswered: BTreeMap<RequestId, Instant>,
    /// When the open question left, and why.
    asked: Option<(Instant, Doubt)>,
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
            unanswered: BTreeMap::new(),
            asked: None,
            missed: 0,
            round_trip: None,
            sent: None,
        }
    }

    /// A session began.
    pub fn start(&mut self, now: Instant) {
        self.stop();
        self.running = true;
        self.last_frame = Some(now);
        self.missed = 0;
        self.sent = None;
    }

    /// It ended.
    pub fn stop(&mut self) {
        self.running = false;
        self.asked = None;
        self.unanswered.clear();
    }

    /// Other numbers from now on.
    pub fn on_settings(&mut self, settings: HeartbeatSettings) {
        self.settings = settings;
    }

    /// A request that Gateway answers at once has left.
    pub fn on_request(&mut self, request: RequestId, now: Instant) {
        if self.running {
            self.unanswered.insert(request, now);
        }
    }

    /// Something came for it, or nobody waits for it any more.
    pub fn on_answer(&mut self, request: RequestId) {
        self.unanswered.remove(&request);
    }

    /// Anything came.
    #[inline]
    pub fn on_frames(&mut self, now: Instant) {
        self.last_frame = Some(now);
        if let Some((_, Doubt::Silence)) = self.asked {
            self.asked = None;
            self.missed = 0;
        }
    }

    /// Gateway told its time.
    pub fn on_current_time(&mut self, now: Instant) {
        if let Some(sent) = self.sent.take() {
            self.round_trip = Some(now.saturating_duration_since(sent));
        }
        if let Some((asked, Doubt::Overdue(_))) = self.asked.take() {
            // It reads in order: what left before the question it leaves unanswered for reasons of
            // its own.
            self.unanswered.retain(|_, left| *left > asked);
        }
        self.missed = 0;
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
            return Some(Beat::Lost(self.describe_loss(now)));
        }
        let doubt = match self.asked {
            Some((_, doubt)) => doubt,
            None => match self.oldest().filter(|left| *left + self.settings.overdue <= now) {
                Some(left) => Doubt::Overdue(left),
                None => Doubt::Silence,
            },
        };
        self.asked = Some((now, doubt));
        self.sent = Some(now);
        Some(Beat::Ask)
    }

    /// The next time that matters, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        if !self.running {
            return None;
        }
        if let Some((asked, _)) = self.asked {
            return Some((asked + self.settings.answer, "answer to a heartbeat"));
        }
        let silence = (self.last_frame? + self.settings.idle, "heartbeat");
        let overdue = self.oldest().map(|left| (left + self.settings.overdue, "overdue answer"));
        overdue.into_iter().chain([silence]).min_by_key(|(at, _)| *at)
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

    fn oldest(&self) -> Option<Instant> {
        self.unanswered.values().min().copied()
    }

    fn describe_loss(&self, now: Instant) -> String {
        let questions = self.missed;
        match self.asked {
            Some((_, Doubt::Overdue(since))) => format!(
                "Gateway still sends data, but has left a request unanswered for {:.0} s, and \
                 {questions} questions for its time as well",
                now.saturating_duration_since(since).as_secs_f64()
            ),
            _ => format!(
                "Gateway sent nothing for {:.0} s and left {questions} questions for its time \
                 unanswered",
                now.saturating_duration_since(self.last_frame.unwrap_or(now)).as_secs_f64()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> (Heartbeat, Instant) {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(HeartbeatSettings::default());
        heartbeat.start(start);
        (heartbeat, start)
    }

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
        let (mut heartbeat, start) = started();
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

    #[test]
    fn ticks_do_not_hide_that_requests_are_not_answered() {
        let (mut heartbeat, start) = started();
        heartbeat.on_request(RequestId(1), start);
        let mut now = start;
        let lost = loop {
            now += Duration::from_millis(100);
            heartbeat.on_frames(now);
            if let Some(Beat::Lost(because)) = heartbeat.handle_timeout(now) {
                break because;
            }
            assert!(now - start < Duration::from_secs(41), "it must be found within 40 s");
        };
        assert!(lost.contains("still sends data"), "{lost}");
        assert_eq!((now - start).as_secs(), 40);
    }

    #[test]
    fn an_answer_ends_the_doubt_and_the_same_request_is_not_doubted_again() {
        let (mut heartbeat, start) = started();
        heartbeat.on_request(RequestId(1), start);
        heartbeat.on_request(RequestId(2), start + Duration::from_secs(1));
        let asked = start + Duration::from_secs(10);
        assert_eq!(heartbeat.handle_timeout(asked), Some(Beat::Ask));
        heartbeat.on_request(RequestId(3), asked + Duration::from_millis(1));
        heartbeat.on_frames(asked);
        let (next, why) = heartbeat.poll_timeout().unwrap();
        assert_eq!((next - asked, why), (Duration::from_secs(10), "answer to a heartbeat"));
        let answered = asked + Duration::from_millis(2);
        heartbeat.on_current_time(answered);
        heartbeat.on_frames(answered);
        // Only the third one left after the question.
        let (next, why) = heartbeat.poll_timeout().unwrap();
        assert_eq!((next - asked, why), (Duration::from_millis(10_001), "overdue answer"));
        heartbeat.on_answer(RequestId(3));
        assert_eq!(heartbeat.poll_timeout().unwrap().0 - answered, Duration::from_secs(15));
    }
}
