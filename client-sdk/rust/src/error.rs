//! What a call, a stream or a subscription can fail with: one type, made in one place.
//!
//! The broker explains its errors in the trailers `ibouncer-code`, `ibouncer-source`,
//! `ibouncer-retry`, `ibouncer-gateway-code` and `ibouncer-delivery`. Where they are missing (the broker died, or
//! something else answered), the gRPC status decides.

use thiserror::Error;
use tonic::{Code, Status};

use crate::api;

/// Who made an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The request itself is wrong.
    Client,
    /// The broker refused it, could not serve it, or is not there.
    Broker,
    /// The worker that held the session ended while the request was in flight.
    Worker,
    /// Gateway, or Interactive Brokers behind it.
    Upstream,
}

impl Origin {
    /// As it stands in `ibouncer-source`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Broker => "broker",
            Self::Worker => "worker",
            Self::Upstream => "upstream",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Client, Self::Broker, Self::Worker, Self::Upstream]
            .into_iter()
            .find(|origin| origin.as_str() == text)
    }
}

/// Whether sending the same request again makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// At once.
    Now,
    /// Never with the same arguments.
    Never,
    /// Once the session is READY again: see [`Client::wait_ready`](crate::Client::wait_ready).
    After,
}

impl Retry {
    /// As it stands in `ibouncer-retry`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Never => "never",
            Self::After => "after",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Now, Self::Never, Self::After].into_iter().find(|retry| retry.as_str() == text)
    }
}

/// Whether what a call was to send has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// It has not left, and never will.
    NotSent,
    /// It may have left. The same `place` with the same name is safe; anything else needs a look
    /// first.
    MaybeSent,
}

/// One error, of a call or of one subscription.
#[derive(Debug, Clone, Error)]
#[error("{message} ({code})")]
pub struct Error {
    code: String,
    message: String,
    origin: Origin,
    retry: Retry,
    gateway_code: Option<i32>,
    delivery: Option<Delivery>,
    #[source]
    status: Option<Box<Status>>,
}

impl Error {
    /// Code of errors that say nothing but that the connection to the broker is gone.
    pub const BROKER_UNREACHABLE: &'static str = "BROKER_UNREACHABLE";

    /// Code of the error of a broker that is ending.
    pub const STOPPING: &'static str = "STOPPING";
    /// Code of the error that ends streams of a client whose rights an operator has changed.
    pub const RIGHTS_CHANGED: &'static str = "RIGHTS_CHANGED";
    /// Code of errors that say that there is no session with Gateway at the moment.
    pub const NOT_READY: &'static str = "NOT_READY";
    /// Code of requests that are wrong in themselves.
    pub const INVALID_ARGUMENT: &'static str = "INVALID_ARGUMENT";
    /// Code of errors that say that a part of a state could not be had.
    pub const INCOMPLETE: &'static str = "INCOMPLETE";
    /// Code of answers that this version does not understand.
    pub const BAD_ANSWER: &'static str = "BAD_ANSWER";

    /// Stable, in capitals, made for programs.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// One sentence for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Who made it; `ibouncer-source` on the wire. (`source` is the cause, as everywhere in
    /// Rust.)
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Whether trying again makes sense.
    pub fn retry(&self) -> Retry {
        self.retry
    }

    /// Gateway's own error code (200, 354, …), if Gateway made the error.
    pub fn gateway_code(&self) -> Option<i32> {
        self.gateway_code
    }

    /// Whether what the call was to send has left; of calls that send.
    pub fn delivery(&self) -> Option<Delivery> {
        self.delivery
    }

    /// The gRPC status, if the error ended a call.
    pub fn status(&self) -> Option<&Status> {
        self.status.as_deref()
    }

    /// True if the broker itself could not be reached or went away.
    pub fn is_unreachable(&self) -> bool {
        self.code == Self::BROKER_UNREACHABLE
    }

    pub(crate) fn bad_answer(message: impl Into<String>) -> Self {
        Self::local(Self::BAD_ANSWER, message, Origin::Broker, Retry::Never)
    }

    pub(crate) fn stream_closed() -> Self {
        let message = "the stream to the broker is closed; open another one";
        Self::local(Self::BROKER_UNREACHABLE, message, Origin::Broker, Retry::After)
    }

    pub(crate) fn not_current(because: &str) -> Self {
        let message = format!("what is known is not current: {because}");
        Self::local(Self::NOT_READY, message, Origin::Broker, Retry::After)
    }

    pub(crate) fn not_whole(because: &str) -> Self {
        let message = format!("what is known is not all: {because}");
        Self::local(Self::INCOMPLETE, message, Origin::Upstream, Retry::After)
    }

    pub(crate) fn invalid(message: &str) -> Self {
        Self::local(Self::INVALID_ARGUMENT, message, Origin::Client, Retry::Never)
    }

    fn local(code: &str, message: impl Into<String>, origin: Origin, retry: Retry) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            origin,
            retry,
            gateway_code: None,
            delivery: None,
            status: None,
        }
    }

    /// The error of a call that sends: where the broker does not say, it may have left, unless
    /// there was no connection at all.
    pub(crate) fn of_sending(status: Status) -> Self {
        let unheard = if is_connect(&status) { Delivery::NotSent } else { Delivery::MaybeSent };
        let error = Self::from(status);
        Self { delivery: error.delivery.or(Some(unheard)), ..error }
    }
}

/// Did no connection to the broker come about?
fn is_connect(status: &Status) -> bool {
    let first = std::error::Error::source(status);
    std::iter::successors(first, |error| error.source())
        .any(|error| error.is::<tonic::ConnectError>())
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let trailer = |name: &str| status.metadata().get(name)?.to_str().ok();
        let explained = trailer("ibouncer-code");
        // A status that came over the wire has no cause; one with a cause was made in here.
        let local = explained.is_none()
            && !matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded)
            && std::error::Error::source(&status).is_some();
        let (code, origin, retry) = if local {
            (Self::BROKER_UNREACHABLE, Origin::Broker, Retry::After)
        } else {
            by_status(status.code())
        };
        let message = match status.message() {
            message if local => format!("lost the connection to the broker: {message}"),
            "" => status.code().description().to_owned(),
            message => message.to_owned(),
        };
        Self {
            code: explained.unwrap_or(code).to_owned(),
            message,
            origin: trailer("ibouncer-source").and_then(Origin::parse).unwrap_or(origin),
            retry: trailer("ibouncer-retry").and_then(Retry::parse).unwrap_or(retry),
            gateway_code: trailer("ibouncer-gateway-code")
                .and_then(|number| number.parse().ok())
                .filter(|number| *number != 0),
            delivery: match trailer("ibouncer-delivery") {
                Some("not-sent") => Some(Delivery::NotSent),
                Some("maybe-sent") => Some(Delivery::MaybeSent),
                _ => None,
            },
            status: Some(Box::new(status)),
        }
    }
}

impl From<api::Error> for Error {
    /// The error of an ENDED mark.
    fn from(error: api::Error) -> Self {
        let origin = match error.source() {
            api::ErrorSource::Client => Origin::Client,
            api::ErrorSource::Worker => Origin::Worker,
            api::ErrorSource::Upstream => Origin::Upstream,
            api::ErrorSource::Broker | api::ErrorSource::Unspecified => Origin::Broker,
        };
        let retry = match error.retry() {
            api::ErrorRetry::Now => Retry::Now,
            api::ErrorRetry::After => Retry::After,
            api::ErrorRetry::Never | api::ErrorRetry::Unspecified => Retry::Never,
        };
        Self {
            origin,
            retry,
            gateway_code: Some(error.gateway_code).filter(|number| *number != 0),
            delivery: match error.delivery() {
                api::ErrorDelivery::NotSent => Some(Delivery::NotSent),
                api::ErrorDelivery::MaybeSent => Some(Delivery::MaybeSent),
                api::ErrorDelivery::Unspecified => None,
            },
            code: error.code,
            message: error.message,
            status: None,
        }
    }
}

fn by_status(code: Code) -> (&'static str, Origin, Retry) {
    match code {
        Code::InvalidArgument => (Error::INVALID_ARGUMENT, Origin::Client, Retry::Never),
        Code::OutOfRange => ("OUT_OF_RANGE", Origin::Client, Retry::Never),
        Code::NotFound => ("NOT_FOUND", Origin::Client, Retry::Never),
        Code::AlreadyExists => ("ALREADY_EXISTS", Origin::Client, Retry::Never),
        Code::Cancelled => ("CANCELLED", Origin::Client, Retry::Now),
        Code::PermissionDenied => ("PERMISSION_DENIED", Origin::Broker, Retry::Never),
        Code::Unauthenticated => ("UNAUTHENTICATED", Origin::Broker, Retry::Never),
        Code::Unimplemented => ("UNIMPLEMENTED", Origin::Broker, Retry::Never),
        Code::DeadlineExceeded => ("DEADLINE_EXCEEDED", Origin::Broker, Retry::Now),
        Code::ResourceExhausted => ("RESOURCE_EXHAUSTED", Origin::Broker, Retry::After),
        Code::FailedPrecondition => ("FAILED_PRECONDITION", Origin::Broker, Retry::After),
        Code::Aborted => ("ABORTED", Origin::Broker, Retry::Now),
        Code::Unavailable => (Error::BROKER_UNREACHABLE, Origin::Broker, Retry::After),
        Code::Ok | Code::Unknown => ("UNKNOWN", Origin::Broker, Retry::Never),
        Code::Internal => ("INTERNAL", Origin::Broker, Retry::Never),
        Code::DataLoss => ("DATA_LOSS", Origin::Broker, Retry::Never),
    }
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataMap;

    use super::*;

    #[test]
    fn trailers_decide_over_the_status() {
        let mut trailers = MetadataMap::new();
        for (name, value) in [
            ("ibouncer-code", "GATEWAY_ERROR"),
            ("ibouncer-source", "upstream"),
            ("ibouncer-retry", "never"),
            ("ibouncer-gateway-code", "200"),
        ] {
            trailers.insert(name, value.parse().unwrap());
        }
        let status = Status::with_metadata(Code::NotFound, "no security definition", trailers);
        let error = Error::from(status);
        assert_eq!(error.code(), "GATEWAY_ERROR");
        assert_eq!(error.origin(), Origin::Upstream);
        assert_eq!(error.retry(), Retry::Never);
        assert_eq!(error.gateway_code(), Some(200));
        assert_eq!(error.to_string(), "no security definition (GATEWAY_ERROR)");
    }

    #[test]
    fn a_status_without_trailers_is_classed_by_its_code() {
        let error = Error::from(Status::failed_precondition("not ready"));
        assert_eq!(error.code(), "FAILED_PRECONDITION");
        assert_eq!(error.retry(), Retry::After);
        assert_eq!(error.gateway_code(), None);
        assert!(!error.is_unreachable());
        let error = Error::from(Status::new(Code::Unimplemented, ""));
        assert!(!error.message().is_empty());
        assert!(Error::from(Status::unavailable("tcp connect error")).is_unreachable());
    }

    #[test]
    fn a_failure_made_on_this_side_means_that_the_broker_is_gone() {
        let cause = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let error = Error::from(Status::from_error(Box::new(cause)));
        assert!(error.is_unreachable(), "{error:?}");
        assert_eq!(error.retry(), Retry::After);
    }

    #[test]
    fn the_error_of_a_mark_reads_like_that_of_a_call() {
        let error = Error::from(api::Error {
            code: "LINES_EXHAUSTED".into(),
            message: "all lines are taken".into(),
            source: api::ErrorSource::Broker.into(),
            retry: api::ErrorRetry::After.into(),
            gateway_code: 0,
            ..Default::default()
        });
        assert_eq!((error.origin(), error.retry()), (Origin::Broker, Retry::After));
        assert_eq!(error.gateway_code(), None);
        assert!(error.status().is_none());
    }
}
