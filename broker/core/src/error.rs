//! Errors as clients meet them, built in one place.
//!
//! Every error says who made it, whether to try again, and carries a stable code for programs
//! and a sentence for people.

use std::time::Duration;

use ibouncer_proto::api::v1;
pub use ibouncer_proto::api::v1::{
    Error, ErrorDelivery as Delivery, ErrorRetry as Retry, ErrorSource as Source,
};
use ibouncer_proto::tws::v1::ErrorMessage;

use crate::ids::{Epoch, LineId};
use crate::queue::Hopeless;

pub(crate) fn error(code: &str, source: Source, retry: Retry, message: String) -> v1::Error {
    v1::Error {
        code: code.into(),
        message,
        source: source.into(),
        retry: retry.into(),
        gateway_code: 0,
        delivery: Delivery::Unspecified.into(),
    }
}

/// The request itself is wrong.
pub fn invalid(what: impl Into<String>) -> Error {
    error("INVALID_ARGUMENT", Source::Client, Retry::Never, what.into())
}

/// The login does not have this account.
pub fn no_such_account(account: &str) -> Error {
    invalid(format!(
        "account {account} is none of this login; ListAccounts has those, and without an account the \
         first of them is meant"
    ))
}

/// A subscription id is taken, or does not exist.
pub fn subscription_id(what: impl Into<String>) -> Error {
    error("BAD_SUBSCRIPTION_ID", Source::Client, Retry::Never, what.into())
}

/// A client has too much open.
pub fn too_many(what: &str, limit: usize, setting: &str) -> Error {
    let message =
        format!("this client has {limit} {what}, as many as one may: end some, or raise {setting}");
    error("TOO_MANY", Source::Client, Retry::After, message)
}

/// A client holds as many lines as one may.
pub fn too_many_lines(limit: u32, waits: bool) -> Error {
    let wait = if waits { "" } else { ", set wait_for_line," };
    let message = format!(
        "this client holds {limit} market-data lines, as many as one may: unsubscribe something{wait} \
         or raise limits.lines"
    );
    error("TOO_MANY", Source::Client, Retry::After, message)
}

/// All connections that there may be are open.
pub fn too_many_connections(limit: usize) -> Error {
    let message = format!(
        "the broker has {limit} connections, as many as there may be: close some (`ibouncer \
         clients` shows whose), share one among your streams, or raise grpc.connections"
    );
    error("TOO_MANY", Source::Broker, Retry::After, message)
}

/// A client asks too often.
pub fn too_fast(limit: u32) -> Error {
    let message = format!(
        "this client makes more than {limit} requests a second: wait a moment, or raise \
         limits.requests_per_second"
    );
    error("TOO_FAST", Source::Client, Retry::After, message)
}

/// An answer of Gateway is too large to hand on.
pub fn too_large() -> Error {
    let message = "Gateway's answer is over 64 MiB; ask for less at once";
    error("ANSWER_TOO_LARGE", Source::Upstream, Retry::Never, message.into())
}

/// An answer of Gateway cannot be read.
pub fn unreadable_answer() -> Error {
    let message = "Gateway's answer could not be read; see the broker's log";
    error("UNREADABLE_ANSWER", Source::Upstream, Retry::Never, message.into())
}

/// A message of an answer cannot be read.
pub fn unreadable(message_id: u32) -> Error {
    let message = format!("Gateway's message {message_id} could not be read; see the broker's log");
    error("UNREADABLE_ANSWER", Source::Upstream, Retry::Never, message)
}

/// The session is not there.
pub fn not_ready(state: &str, reason: &str) -> Error {
    let message = format!("Gateway's session is {state}: {reason}; wait for READY and try again");
    error("NOT_READY", Source::Broker, Retry::After, message)
}

/// The worker ended while the request was in flight.
pub fn worker_ended(epoch: Epoch, because: &str) -> Error {
    let message = format!(
        "the connection to Gateway ({epoch}) ended while this request was in flight: {because}; \
         a new one follows, try again when the session is READY"
    );
    error("WORKER_ENDED", Source::Worker, Retry::After, message)
}

/// The session goes on, and what Gateway had for this request was lost.
pub fn answer_lost(epoch: Epoch, because: &str) -> Error {
    let message = format!(
        "the answer to this request was lost in a session that goes on ({epoch}): {because}; nothing is \
         wrong with the request, try again"
    );
    error("WORKER_ENDED", Source::Worker, Retry::After, message)
}

/// Gateway did not answer in time.
pub fn deadline(what: &str, seconds: f64) -> Error {
    let message = format!("Gateway did not complete {what} within {seconds:.0} s");
    error("GATEWAY_DEADLINE", Source::Upstream, Retry::After, message)
}

/// The same error, with the newest warning that Gateway gave about the request: it may be why.
pub fn with_notice(mut error: Error, notice: Option<&ErrorMessage>) -> Error {
    if let Some(notice) = notice {
        let (code, text) = (notice.error_code(), notice.error_msg());
        error.message += &format!("; the last that it said of it: {code}: {text}");
        error.gateway_code = code;
    }
    error
}

/// Gateway answered with an error.
pub fn gateway(code: i32, text: &str) -> Error {
    let retry = match code {
        // Limits and passing troubles: lines, history pacing, depth, real-time pacing,
        // competing session.
        100 | 101 | 162 | 309 | 322 | 420 | 10197 => Retry::After,
        _ => Retry::Never,
    };
    let mut made =
        error("GATEWAY_ERROR", Source::Upstream, retry, format!("Gateway error {code}: {text}"));
    made.gateway_code = code;
    made
}

/// The operator asked for something that would drop a live session without saying so.
pub fn would_drop_live_session() -> Error {
    let message = "the session is READY; ending its worker drops it, and new handshakes can hang \
                   where an established session keeps working. Pass drop_live_session \
                   (--drop-live-session) if that is what you want";
    error("LIVE_SESSION", Source::Broker, Retry::Never, message.into())
}

/// The same, for a hold.
pub fn hold_would_drop_live_session() -> Error {
    let message = "the session is READY; to hold it is to drop it, and new handshakes can hang \
                   where an established session keeps working. Pass drop_live_session \
                   (--drop-live-session) if that is what you want";
    error("LIVE_SESSION", Source::Broker, Retry::Never, message.into())
}

/// An operator holds the session.
pub fn held(because: &str) -> Error {
    let message = format!("{because}; `ibouncer session release` ends that");
    error("HELD", Source::Broker, Retry::Never, message)
}

/// Nobody holds the session.
pub fn not_held(state: &str) -> Error {
    let message = format!("no operator holds the session, it is {state}; see retry");
    error("NOT_HELD", Source::Broker, Retry::Never, message)
}

/// Another binary cannot take over.
pub fn cannot_hand_over(because: &str) -> Error {
    let message = format!("{because}; nothing was changed, this broker goes on");
    error("CANNOT_HAND_OVER", Source::Broker, Retry::Never, message)
}

/// There is no worker to act on.
pub fn no_worker(state: &str) -> Error {
    let message = format!("there is no worker to restart, the session is {state}; see retry");
    error("NO_WORKER", Source::Broker, Retry::After, message)
}

/// Retry makes no sense now.
pub fn nothing_to_retry(state: &str) -> Error {
    let message = format!("nothing is waiting to be retried, the session is {state}");
    error("NOTHING_TO_RETRY", Source::Broker, Retry::Never, message)
}

/// The reader of a stream is too far behind even for conflated data.
pub fn slow_client(why: Hopeless) -> Error {
    let message = match why {
        Hopeless::PiledUp(events) => format!(
            "this stream was not read while {events} events that cannot be left out piled up; \
             read faster, or open it again"
        ),
        Hopeless::Stalled(time) => format!(
            "this stream was not read for {:.0} s; open it again once it is, or raise limits.stalled",
            time.as_secs_f64()
        ),
    };
    error("SLOW_CLIENT", Source::Client, Retry::Now, message)
}

/// A client has left so much of its answers that it gets no more.
pub fn unread_answers(limit: usize) -> Error {
    let message = format!(
        "this client has not taken {limit} bytes of the answers to its calls, as much as one may \
         leave: read them, or raise limits.unread_answers"
    );
    error("TOO_MANY", Source::Client, Retry::After, message)
}

/// A client has not taken an answer.
pub fn answer_not_taken(left: Duration) -> Error {
    let message = format!(
        "nothing of this answer was taken for {:.0} s; ask again once you read, or raise \
         limits.stalled",
        left.as_secs_f64()
    );
    error("SLOW_CLIENT", Source::Client, Retry::Now, message)
}

/// The broker is ending.
pub fn stopping() -> Error {
    error("STOPPING", Source::Broker, Retry::After, "the broker is shutting down".into())
}

/// A line was ended by an error of Gateway.
pub fn line_ended(line: LineId, code: i32, text: &str) -> Error {
    let mut made = gateway(code, text);
    made.message = format!("{} ({line})", made.message);
    made
}

/// The same error, of a call that was to send something and has not.
pub fn not_sent(mut error: Error) -> Error {
    error.delivery = Delivery::NotSent.into();
    error
}

/// The same error, of a call whose sending is not known to have failed.
pub fn maybe_sent(mut error: Error) -> Error {
    error.delivery = Delivery::MaybeSent.into();
    error
}

/// The same error, of an order of which is not known whether an earlier call has placed it.
pub fn maybe_sent_before(mut error: Error) -> Error {
    error.message += "; nothing leaves now, but orders of before may be missing here, and this one may \
                      be among them";
    maybe_sent(error)
}

/// A right or a limit forbids an order; names the rule, its value, and who can change it.
pub fn forbidden(code: &str, what: &str, key: &str) -> Error {
    let message = format!("{what}; the operator of the broker can change {key}");
    not_sent(error(code, Source::Broker, Retry::Never, message))
}

/// The session is of another login, and a subscription that named no account is about one of the
/// login before.
pub fn login_changed() -> Error {
    let message = "the session is of another login now, and this subscription, which named no \
                   account, was about the first of the one before; subscribe anew";
    error("LOGIN_CHANGED", Source::Broker, Retry::Now, message.into())
}

/// What a caller is, or may see, was changed while it was served; no name: it is no configured
/// client.
pub fn rights_changed(principal: Option<&str>) -> Error {
    let whose = match principal {
        Some(name) => format!("clients.{name}"),
        None => "this caller".to_owned(),
    };
    let message = format!("the rights of {whose} were changed by a reload; ask anew");
    error("RIGHTS_CHANGED", Source::Broker, Retry::Now, message)
}

/// Trading is off, halted, or not yet open.
pub fn trading_closed(code: &str, retry: Retry, because: &str) -> Error {
    not_sent(error(code, Source::Broker, retry, because.to_owned()))
}

/// An operator's word holds, and is not on disk.
pub fn not_on_disk(because: &str) -> Error {
    error("JOURNAL_FAILED", Source::Broker, Retry::Never, because.to_owned())
}

/// An order cannot be had, or not like this.
pub fn order(code: &str, what: impl Into<String>) -> Error {
    not_sent(error(code, Source::Client, Retry::Never, what.into()))
}

/// The same, and it may work later.
pub fn order_later(code: &str, what: impl Into<String>) -> Error {
    not_sent(error(code, Source::Broker, Retry::After, what.into()))
}
