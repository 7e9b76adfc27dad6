//! How a command ends: stable exit codes, and errors as users meet them.
//!
//! This is the only place that turns an error of the SDK into an exit code and into a sentence
//! that says what to do next.

use std::io;
use std::process::ExitCode;

use ibouncer_broker::chain;
use ibouncer_client::api::SessionState;
use ibouncer_client::{ConnectError, Delivery, Error, Origin, Retry};

use crate::explain::{Wish, comes_again, next_step};
use crate::output::escapes::decoded;

/// Exit codes; they are part of the interface (`ibouncer help` lists them).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; or the session is READY.
    Good = 0,
    /// The broker cannot be reached.
    Unreachable = 1,
    /// The command line, or the request it stands for, is wrong.
    Usage = 2,
    /// The session is not READY, or the answer did not come; later it may.
    NotReady = 3,
    /// Gateway is wedged, or nothing is tried until a person says so.
    WedgedOrHeld = 4,
    /// A fault of this program.
    Internal = 70,
}

impl Exit {
    /// What the state of the session means for scripts.
    pub(crate) fn of_state(state: SessionState) -> Self {
        match state {
            SessionState::Ready => Self::Good,
            SessionState::Wedged | SessionState::Held => Self::WedgedOrHeld,
            SessionState::Unspecified
            | SessionState::Stopped
            | SessionState::GatewayAbsent
            | SessionState::Connecting
            | SessionState::Handshaking
            | SessionState::Degraded
            | SessionState::Backoff
            | SessionState::ClientIdInUse => Self::NotReady,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ended before its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody reads stdout any more (`| head`): not an error.
    StdoutClosed,
    /// To be told to the user.
    Told(Box<Complaint>),
}

/// One error, for people and for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) exit: Exit,
    /// Stable, in capitals.
    pub(crate) code: String,
    pub(crate) message: String,
    /// What to do now.
    pub(crate) next: Option<String>,
    /// "now", "never" or "after".
    pub(crate) retry: &'static str,
    /// "client", "broker", "worker" or "upstream".
    pub(crate) source: &'static str,
    pub(crate) gateway_code: Option<i32>,
    /// Whether what was to be sent to Gateway has left, if anything was.
    pub(crate) delivery: Option<Delivery>,
}

impl Complaint {
    /// The command line is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            code: "USAGE".to_owned(),
            message: message.into(),
            next: None,
            retry: Retry::Never.as_str(),
            source: Origin::Client.as_str(),
            gateway_code: None,
            delivery: None,
        }
    }

    /// The broker ended a stream in good order.
    pub(crate) fn broker_stopped() -> Self {
        Self {
            exit: Exit::Unreachable,
            code: "BROKER_STOPPED".to_owned(),
            message: "the broker ended the stream: it is stopping".to_owned(),
            next: Some("`ibouncer wait-ready` waits for the next one".to_owned()),
            retry: Retry::After.as_str(),
            source: Origin::Broker.as_str(),
            gateway_code: None,
            delivery: None,
        }
    }

    /// Something failed that is neither the user's nor the broker's doing.
    pub(crate) fn internal(code: &str, message: impl Into<String>) -> Self {
        Self { exit: Exit::Internal, code: code.to_owned(), ..Self::usage(message) }
    }

    /// An error of the SDK, about this wish.
    pub(crate) fn about(wish: Wish, error: Error) -> Self {
        let explained =
            error.gateway_code().and_then(|code| next_step(code, error.message(), wish));
        let complaint = Self::from(error);
        match explained {
            Some(next) => complaint.next(next),
            None => complaint,
        }
    }

    /// Adds what to do now.
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

impl From<Complaint> for Failure {
    fn from(complaint: Complaint) -> Self {
        Self::Told(Box::new(complaint))
    }
}

impl From<Error> for Complaint {
    fn from(error: Error) -> Self {
        let gateway_code = error.gateway_code();
        let for_good = gateway_code.is_some_and(|code| comes_again(code, error.message()));
        let retry = if for_good { Retry::Never } else { error.retry() };
        let exit = match retry {
            // A broker that is ending cannot be reached the next moment.
            _ if error.is_unreachable() || error.code() == Error::STOPPING => Exit::Unreachable,
            _ if error.code() == Error::BAD_ANSWER => Exit::Internal,
            Retry::Now | Retry::After => Exit::NotReady,
            Retry::Never => Exit::Usage,
        };
        let explained = gateway_code.and_then(|code| next_step(code, error.message(), Wish::Any));
        let next = match error.code() {
            Error::STOPPING => Some("`ibouncer wait-ready` waits for the next one"),
            Error::BROKER_UNREACHABLE => Some("is `ibouncer serve` still running?"),
            "PERMISSION_DENIED" => Some(
                "run this as the user who runs the broker, or by the name of a client that you are \
                 (--client-name)",
            ),
            "TRADING_HALTED" => Some("`ibouncer trading status` says why, and what ends it"),
            "UNAUTHENTICATED" => {
                Some("set IBOUNCER_TOKEN, or name the broker's folder with --runtime-dir")
            }
            "UNKNOWN_METHOD" | "UNIMPLEMENTED" => {
                Some("the broker is of another version: restart it with this one")
            }
            _ if explained.is_some() => explained,
            _ if retry == Retry::Now => Some("try again"),
            _ if retry == Retry::After => Some(
                "`ibouncer status` says what it waits for, `ibouncer wait-ready` waits with it",
            ),
            _ => None,
        };
        Self {
            exit,
            code: error.code().to_owned(),
            message: decoded(error.message()),
            next: next.map(str::to_owned),
            retry: retry.as_str(),
            source: error.origin().as_str(),
            gateway_code,
            delivery: error.delivery(),
        }
    }
}

impl From<ConnectError> for Complaint {
    fn from(error: ConnectError) -> Self {
        let ConnectError::Unreachable { instance, tried } = error else {
            return Self::usage(chain(&error));
        };
        let tried: Vec<_> =
            tried.iter().map(|one| format!("{}: {}", one.what, one.because)).collect();
        Self {
            exit: Exit::Unreachable,
            code: Error::BROKER_UNREACHABLE.to_owned(),
            message: format!(
                "cannot reach the broker of instance {instance:?}; tried {}",
                tried.join("; ")
            ),
            next: Some(
                "start it with `ibouncer serve`, or name a running one with IBOUNCER_TARGET"
                    .to_owned(),
            ),
            retry: Retry::After.as_str(),
            source: Origin::Broker.as_str(),
            gateway_code: None,
            delivery: None,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Complaint::from(error).into()
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Complaint::from(error).into()
    }
}

impl From<io::Error> for Failure {
    /// Of writing to stdout.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::StdoutClosed;
        }
        Complaint::internal("OUTPUT", format!("cannot write to stdout: {error}")).into()
    }
}

#[cfg(test)]
mod tests {
    use ibouncer_client::api;

    use super::*;

    fn error(code: &str, retry: api::ErrorRetry) -> Complaint {
        let error = api::Error {
            code: code.into(),
            message: "m".into(),
            source: api::ErrorSource::Broker.into(),
            retry: retry.into(),
            gateway_code: 0,
            ..Default::default()
        };
        Error::from(error).into()
    }

    #[test]
    fn states_have_exit_codes() {
        for (state, code) in [
            (SessionState::Ready, 0),
            (SessionState::Degraded, 3),
            (SessionState::Handshaking, 3),
            (SessionState::GatewayAbsent, 3),
            (SessionState::Wedged, 4),
            (SessionState::Held, 4),
        ] {
            assert_eq!(Exit::of_state(state) as u8, code, "{state:?}");
        }
    }

    #[test]
    fn errors_have_exit_codes() {
        let after = error("NOT_READY", api::ErrorRetry::After);
        assert_eq!(after.exit, Exit::NotReady);
        assert!(after.next.unwrap().contains("ibouncer status"));
        assert_eq!(error("X", api::ErrorRetry::Never).exit, Exit::Usage);
        let gone = error(Error::BROKER_UNREACHABLE, api::ErrorRetry::After);
        assert_eq!(gone.exit, Exit::Unreachable);
    }

    #[test]
    fn a_scanner_that_there_is_not_is_a_mistake_though_history_under_that_code_may_work_later() {
        let told = |message: &str| {
            let error = api::Error {
                code: "GATEWAY_ERROR".into(),
                message: message.into(),
                retry: api::ErrorRetry::After.into(),
                gateway_code: 162,
                ..Default::default()
            };
            Complaint::from(Error::from(error))
        };
        let unknown = told(r"error message:invalid scan code \u00e9");
        assert_eq!((unknown.exit, unknown.retry), (Exit::Usage, "never"));
        assert!(unknown.message.ends_with('é') && unknown.next.is_some(), "{unknown:?}");
        let cut_off = told("error message:HMDS server disconnect occurred");
        assert_eq!((cut_off.exit, cut_off.retry), (Exit::NotReady, "after"));
    }

    #[test]
    fn an_unreachable_broker_is_told_with_what_was_tried_and_what_to_do() {
        let complaint = Complaint::from(ConnectError::Unreachable {
            instance: "default".into(),
            tried: vec![ibouncer_client::Tried {
                what: "/run/ibouncer.sock".into(),
                because: "no such socket".into(),
            }],
        });
        assert_eq!(complaint.exit, Exit::Unreachable);
        assert!(complaint.message.contains("/run/ibouncer.sock: no such socket"));
        assert!(complaint.next.unwrap().contains("ibouncer serve"));
    }

    #[test]
    fn a_closed_pipe_is_not_an_error() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(matches!(Failure::from(closed), Failure::StdoutClosed));
    }
}
