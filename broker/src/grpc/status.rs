//! Errors as gRPC knows them: a code, a sentence, google.rpc.ErrorInfo, and trailers.

use std::collections::HashMap;
use std::time::Duration;

use ibouncer_core::error::{Delivery, Error, Retry, Source};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::complete::name_of;

/// Domain of the codes.
const DOMAIN: &str = "ibouncer.v1";

/// How long to wait when the wait has no better measure.
const AFTER: Duration = Duration::from_secs(1);

/// The status for an error.
pub fn status(error: &Error) -> Status {
    let (source, retry) = (source_name(error.source()), retry_name(error.retry()));
    let mut about = HashMap::from([
        ("source".to_owned(), source.to_owned()),
        ("retry".to_owned(), retry.to_owned()),
    ]);
    let mut trailers = MetadataMap::new();
    let mut put = |key: &'static str, value: &str| {
        if let Ok(value) = value.parse() {
            trailers.insert(key, value);
        }
    };
    put("ibouncer-code", &error.code);
    put("ibouncer-source", source);
    put("ibouncer-retry", retry);
    if error.gateway_code != 0 {
        put("ibouncer-gateway-code", &error.gateway_code.to_string());
        about.insert("gateway_code".to_owned(), error.gateway_code.to_string());
    }
    if let Some(delivery) = delivery_name(error.delivery()) {
        put("ibouncer-delivery", delivery);
        about.insert("delivery".to_owned(), delivery.to_owned());
    }
    let mut details = ErrorDetails::with_error_info(error.code.clone(), DOMAIN, about);
    if error.retry() == Retry::After {
        details.set_retry_info(Some(AFTER));
    }
    let code = code_of(error);
    Status::with_error_details_and_metadata(code, error.message.clone(), details, trailers)
}

/// A request of a stream that gRPC's own layer could not read.
pub fn unreadable(mut broken: Status) -> Status {
    let code = name_of(broken.code()).unwrap_or("BAD_REQUEST");
    let trailers = broken.metadata_mut();
    for (key, value) in
        [("ibouncer-code", code), ("ibouncer-source", "client"), ("ibouncer-retry", "never")]
    {
        trailers.insert(key, tonic::metadata::MetadataValue::from_static(value));
    }
    broken
}

/// An error of the credential.
pub fn unauthenticated(message: &str) -> Status {
    at_the_door("UNAUTHENTICATED", message)
}

/// An error of the rights that the credential has.
pub fn permission_denied(message: &str) -> Status {
    at_the_door("PERMISSION_DENIED", message)
}

/// Whatever was asked for, nothing of it was sent.
fn at_the_door(code: &str, message: &str) -> Status {
    status(&Error {
        code: code.into(),
        message: message.into(),
        source: Source::Client.into(),
        retry: Retry::Never.into(),
        delivery: Delivery::NotSent.into(),
        ..Error::default()
    })
}

fn code_of(error: &Error) -> Code {
    match error.code.as_str() {
        "INVALID_ARGUMENT" | "BAD_SUBSCRIPTION_ID" => Code::InvalidArgument,
        "UNAUTHENTICATED" => Code::Unauthenticated,
        "PERMISSION_DENIED" => Code::PermissionDenied,
        "LINES_EXHAUSTED" | "SLOW_CLIENT" | "TOO_MANY" | "TOO_FAST" | "ANSWER_TOO_LARGE" => {
            Code::ResourceExhausted
        }
        "NOT_READY" | "WORKER_ENDED" | "STOPPING" | "JOURNAL_UNREADABLE" | "RIGHTS_CHANGED"
        | "LOGIN_CHANGED" => Code::Unavailable,
        "JOURNAL_DAMAGED" => Code::DataLoss,
        "GATEWAY_DEADLINE" => Code::DeadlineExceeded,
        "ORDER_NOT_FOUND" => Code::NotFound,
        "ORDER_EXISTS" => Code::AlreadyExists,
        "RIGHT_DENIED" => Code::PermissionDenied,
        "LIMIT_EXCEEDED" => Code::ResourceExhausted,
        "TRADING_RECONCILING" | "JOURNAL_FAILED" | "NOT_LEFT" => Code::Unavailable,
        "TRADING_OFF" | "TRADING_HALTED" | "NOT_HALTED" | "ORDER_ENDED" | "ORDER_UNKNOWN"
        | "CHANGE_PENDING" => Code::FailedPrecondition,
        "WITHDRAWN" | "CANCELLED" => Code::Aborted,
        "LIVE_SESSION" | "NO_WORKER" | "NOTHING_TO_RETRY" | "HELD" | "NOT_HELD"
        | "CANNOT_HAND_OVER" => Code::FailedPrecondition,
        "GATEWAY_ERROR" => gateway_code_of(error.gateway_code),
        _ => Code::Internal,
    }
}

fn gateway_code_of(code: i32) -> Code {
    match code {
        200 => Code::NotFound,
        354 | 10_090 | 10_186 | 10_187 => Code::PermissionDenied,
        100 | 101 | 309 | 322 | 420 | 10_190 => Code::ResourceExhausted,
        320 | 321 => Code::InvalidArgument,
        _ => Code::FailedPrecondition,
    }
}

fn source_name(source: Source) -> &'static str {
    match source {
        Source::Client => "client",
        Source::Worker => "worker",
        Source::Upstream => "upstream",
        Source::Broker | Source::Unspecified => "broker",
    }
}

fn delivery_name(delivery: Delivery) -> Option<&'static str> {
    match delivery {
        Delivery::NotSent => Some("not-sent"),
        Delivery::MaybeSent => Some("maybe-sent"),
        Delivery::Unspecified => None,
    }
}

fn retry_name(retry: Retry) -> &'static str {
    match retry {
        Retry::Now => "now",
        Retry::After => "after",
        Retry::Never | Retry::Unspecified => "never",
    }
}

#[cfg(test)]
mod tests {
    use ibouncer_core::error;
    use ibouncer_core::ids::Epoch;

    use super::*;

    #[test]
    fn what_is_refused_at_the_door_was_not_sent() {
        for refused in [unauthenticated("no token"), permission_denied("not yours")] {
            assert_eq!(refused.metadata().get("ibouncer-delivery").unwrap(), "not-sent");
        }
    }

    #[test]
    fn a_status_says_who_and_whether_to_retry_in_details_and_trailers() {
        let made = status(&error::worker_ended(Epoch(3), "killed"));
        assert_eq!(made.code(), Code::Unavailable);
        let info = made.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("WORKER_ENDED", DOMAIN));
        assert_eq!(info.metadata["retry"], "after");
        assert_eq!(made.metadata().get("ibouncer-source").unwrap(), "worker");
        assert!(made.get_details_retry_info().is_some());
        let made = status(&error::gateway(200, "no such contract"));
        assert_eq!(made.code(), Code::NotFound);
        assert_eq!(made.metadata().get("ibouncer-gateway-code").unwrap(), "200");
        assert_eq!(made.metadata().get("ibouncer-retry").unwrap(), "never");
    }
}
