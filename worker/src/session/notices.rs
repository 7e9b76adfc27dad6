//! The newest notices about the connection and the data farms: what a broker must know that takes
//! the session over, and that Gateway does not say again.
//!
//! Kept as Gateway's own frames, one for each code and text, at most [`KEPT`].

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use ibouncer_proto::tws::envelope::Envelope;
use ibouncer_proto::tws::frame;
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::ErrorMessage;
use prost::Message as _;

/// There are some dozen farms.
const KEPT: usize = 64;

/// The notices, oldest first.
#[derive(Debug, Default)]
pub(super) struct Notices {
    kept: VecDeque<Notice>,
}

#[derive(Debug)]
struct Notice {
    topic: Topic,
    body: Bytes,
}

/// A later notice of the same topic replaces an earlier one.
#[derive(Debug, PartialEq, Eq)]
enum Topic {
    /// Gateway's link to Interactive Brokers.
    Link,
    /// One farm, by the kind and the text's last word.
    Farm(u8, String),
}

impl Notices {
    /// Whole frames from Gateway.
    pub(super) fn watch(&mut self, frames: &Bytes) {
        for body in frame::bodies(frames) {
            if let Ok(envelope) = Envelope::parse(body)
                && envelope.message_id == id::ERR_MSG
            {
                self.on_error(body, envelope.body);
            }
        }
    }

    /// All of them, as frames.
    pub(super) fn frames(&self) -> Bytes {
        let mut out = BytesMut::new();
        for notice in &self.kept {
            frame::write(&notice.body, &mut out);
        }
        out.freeze()
    }

    fn on_error(&mut self, body: &[u8], message: &[u8]) {
        let Some(topic) = ErrorMessage::decode(message).ok().and_then(|error| topic(&error)) else {
            return;
        };
        self.kept.retain(|notice| notice.topic != topic);
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(Notice { topic, body: Bytes::copy_from_slice(body) });
    }
}

fn topic(error: &ErrorMessage) -> Option<Topic> {
    if error.id.is_some_and(|id| id != -1) {
        return None;
    }
    let kind = match error.error_code() {
        1100..=1102 | 2110 => return Some(Topic::Link),
        2103 | 2104 | 2108 | 2119 => 0,
        2105..=2107 => 1,
        2157 | 2158 => 2,
        _ => return None,
    };
    let name = error.error_msg().rsplit([':', '.']).next().unwrap_or_default();
    Some(Topic::Farm(kind, name.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use ibouncer_proto::tws::envelope::write_message;

    use super::*;

    fn notice(id: i32, code: i32, text: &str) -> Bytes {
        let error = ErrorMessage {
            id: Some(id),
            error_code: Some(code),
            error_msg: Some(text.into()),
            ..ErrorMessage::default()
        };
        let mut out = BytesMut::new();
        write_message(id::ERR_MSG, &error, &mut out);
        out.freeze()
    }

    fn codes(notices: &Notices) -> Vec<i32> {
        let frames = notices.frames();
        frame::bodies(&frames)
            .map(|body| {
                let envelope = Envelope::parse(body).unwrap();
                ErrorMessage::decode(envelope.body).unwrap().error_code()
            })
            .collect()
    }

    #[test]
    fn the_newest_word_about_each_farm_and_the_link_is_kept() {
        let mut notices = Notices::default();
        notices.watch(&notice(-1, 2104, "Market data farm connection is OK:usfarm"));
        notices.watch(&notice(-1, 2106, "HMDS data farm connection is OK:ushmds"));
        notices.watch(&notice(-1, 1100, "Connectivity has been lost."));
        notices.watch(&notice(-1, 2103, "Market data farm connection is broken:usfarm"));
        notices.watch(&notice(-1, 1102, "Connectivity has been restored."));
        notices.watch(&notice(7, 2104, "about a request:usfarm"));
        notices.watch(&notice(-1, 2137, "about nothing that is kept"));
        assert_eq!(codes(&notices), [2106, 2103, 1102]);
    }

    #[test]
    fn no_gateway_makes_it_grow_without_end() {
        let mut notices = Notices::default();
        for farm in 0..1000 {
            notices.watch(&notice(-1, 2104, &format!("farm connection is OK:farm{farm}")));
        }
        assert_eq!(codes(&notices).len(), KEPT);
    }
}
