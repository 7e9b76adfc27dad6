//! Faults by name, and which connection suffers which.
//!
//! A fault is one way in which Gateway fails on a connection. A [`FaultPlan`] is a list of them,
//! each for a number of connections or for all: every accepted connection takes the first fault
//! that has connections left. `serial-accept` is a fault of the listener, so it holds beside the
//! fault of the connection. What a fault does on the wire is in `gateway/connection.rs`.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// A text that names no fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FaultError {
    /// No fault has this name.
    #[error("there is no fault \"{0}\"; the faults are: {list}", list = Fault::names())]
    Unknown(String),
    /// What follows the colon is no number of connections.
    #[error("\"{0}\" is no number of connections; write NAME or NAME:N with N of 1 or more")]
    BadCount(String),
}

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)*) => {
        /// One way in which Gateway fails.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Fault {
            /// All faults, in the order in which they are listed to users.
            pub const ALL: &[Fault] = &[$(Fault::$variant),*];

            /// The name on the command line and in events.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Fault::$variant => $name,)*
                }
            }

            /// What it does, in one line.
            pub const fn summary(self) -> &'static str {
                match self {
                    $(Fault::$variant => concat!($($doc),+),)*
                }
            }
        }
    };
}

faults! {
    /// Listens and never accepts; with a count, they are held unread.
    NeverAccept = "never-accept",
    /// Accepts, never reads, never answers.
    AcceptAndMute = "accept-and-mute",
    /// Accepts the next only once the current has started the API or is gone.
    SerialAccept = "serial-accept",
    /// Sends the version reply, then nothing.
    MuteAfterVersion = "mute-after-version",
    /// Sends the accounts but no next valid id.
    NoNextId = "no-next-id",
    /// Sends the next valid id but no accounts.
    NoAccounts = "no-accounts",
    /// Sends an empty list of accounts.
    EmptyAccounts = "empty-accounts",
    /// Closes with FIN as soon as it has accepted.
    CloseAtConnect = "close-at-connect",
    /// Closes with FIN behind the version reply.
    CloseAfterVersion = "close-after-version",
    /// Answers START_API with error 326 and closes, whatever the client id.
    ClientIdInUse = "client-id-in-use",
    /// Shakes hands, then reads everything and answers nothing.
    MuteAfterReady = "mute-after-ready",
    /// Serves one market-data line, then answers no request while its ticks flow on.
    IgnoreRequests = "ignore-requests",
    /// Never closes after the client's FIN: the socket stays in CLOSE_WAIT.
    LeakCloseWait = "leak-close-wait",
    /// Sends the ids, then half of a frame, then closes with FIN.
    CutMidFrame = "cut-mid-frame",
    /// Answers START_API with a frame header of 0x7fffffff bytes.
    OversizeLength = "oversize-length",
    /// Sends random bytes in place of the version reply.
    Garbage = "garbage",
    /// Works, but everything leaves in pieces of 1 to 7 bytes.
    SplitFrames = "split-frames",
    /// Works, but the handshake leaves byte by byte, one every --drip.
    SlowDrip = "slow-drip",
    /// Works, but other frames, one of them unknown, come before the ids.
    ExtraFramesBeforeIds = "extra-frames-before-ids",
    /// Is a Gateway of server version 187, which speaks text only.
    OldServerVersion = "old-server-version",
}

impl Fault {
    /// All names, joined by commas.
    pub fn names() -> String {
        let names: Vec<_> = Self::ALL.iter().map(|fault| fault.name()).collect();
        names.join(", ")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(name: &str) -> Result<Self, FaultError> {
        let known = Self::ALL.iter().find(|fault| fault.name() == name);
        known.copied().ok_or_else(|| FaultError::Unknown(name.to_owned()))
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A fault and for how many connections: `NAME` or `NAME:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultSpec {
    /// The fault.
    pub fault: Fault,
    /// How many connections suffer it; `None`: all.
    pub connections: Option<u32>,
}

impl FromStr for FaultSpec {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (name, count) = match text.split_once(':') {
            Some((name, count)) => (name, Some(count)),
            None => (text, None),
        };
        let fault = name.parse()?;
        let connections = match count.map(str::parse::<u32>) {
            None => None,
            Some(Ok(count)) if count > 0 => Some(count),
            Some(_) => return Err(FaultError::BadCount(count.unwrap_or_default().to_owned())),
        };
        Ok(Self { fault, connections })
    }
}

/// Hands out faults to connections, in the order in which they are accepted.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    /// Faults of connections, the first with anything left is next.
    steps: Vec<FaultSpec>,
    /// The fault of the listener, if it has one.
    serial: Option<FaultSpec>,
}

impl FaultPlan {
    /// A plan of these steps.
    pub fn new(specs: &[FaultSpec]) -> Self {
        let (serial, steps) =
            specs.iter().partition::<Vec<FaultSpec>, _>(|spec| spec.fault == Fault::SerialAccept);
        Self { steps, serial: serial.first().copied() }
    }

    /// Whether the next connection must stay in the kernel's queue for good.
    pub fn never_accepts(&self) -> bool {
        matches!(
            self.steps.first(),
            Some(FaultSpec { fault: Fault::NeverAccept, connections: None })
        )
    }

    /// The fault of the connection that is being accepted, and whether the listener is serial
    /// for it.
    pub fn take(&mut self) -> (Option<Fault>, bool) {
        let serial = match &mut self.serial {
            None => false,
            Some(spec) => {
                if count_down(spec) {
                    self.serial = None;
                }
                true
            }
        };
        let fault = self.steps.first_mut().map(|spec| {
            let fault = spec.fault;
            (fault, count_down(spec))
        });
        if let Some((_, true)) = fault {
            self.steps.remove(0);
        }
        (fault.map(|(fault, _)| fault), serial)
    }
}

/// Takes one connection off; true once none is left.
fn count_down(spec: &mut FaultSpec) -> bool {
    match &mut spec.connections {
        None => false,
        Some(left) => {
            *left -= 1;
            *left == 0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(texts: &[&str]) -> FaultPlan {
        let specs: Vec<_> = texts.iter().map(|text| text.parse().unwrap()).collect();
        FaultPlan::new(&specs)
    }

    #[test]
    fn every_name_is_read_back() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(*fault));
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "sleepy".parse::<FaultSpec>().unwrap_err().to_string();
        assert!(error.contains("accept-and-mute, serial-accept"), "{error}");
        assert!("garbage:0".parse::<FaultSpec>().is_err());
        assert!("garbage:x".parse::<FaultSpec>().is_err());
    }

    #[test]
    fn faults_are_taken_in_order_and_run_out() {
        let mut plan = plan(&["garbage:2", "serial-accept:1", "no-accounts:1"]);
        assert_eq!(plan.take(), (Some(Fault::Garbage), true));
        assert_eq!(plan.take(), (Some(Fault::Garbage), false));
        assert_eq!(plan.take(), (Some(Fault::NoAccounts), false));
        assert_eq!(plan.take(), (None, false));
    }

    #[test]
    fn a_fault_without_count_lasts() {
        let mut plan = plan(&["close-at-connect:1", "never-accept"]);
        assert!(!plan.never_accepts());
        plan.take();
        assert!(plan.never_accepts());
    }
}
