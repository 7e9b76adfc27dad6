//! Verdicts: their stable names, what each means in a sentence, and how grave it is.
//!
//! Which one applies is decided in [`crate::diagnose`].

use std::fmt;

/// What a verdict means for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// Gateway answers as it should.
    Good,
    /// Something is wrong, or it is not known that nothing is.
    Problem,
    /// Gateway is wedged, or the session is held: leave it alone.
    WedgedOrHeld,
}

macro_rules! verdicts {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $grade:ident;)*) => {
        /// What is the matter.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Verdict {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Verdict {
            /// All of them.
            pub const ALL: &[Verdict] = &[$(Verdict::$variant),*];

            /// The stable name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Verdict::$variant => $name,)*
                }
            }

            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Verdict::$variant => concat!($($doc),+).trim(),)*
                }
            }

            /// How grave it is.
            pub const fn grade(self) -> Grade {
                match self {
                    $(Verdict::$variant => Grade::$grade,)*
                }
            }
        }
    };
}

verdicts! {
    /// The broker's session is READY; nothing was tried, because nothing may disturb it.
    SessionReady = "SESSION_READY", Good;
    /// The broker's session lives, but Gateway has lost Interactive Brokers.
    SessionDegraded = "SESSION_DEGRADED", Problem;
    /// The broker is in the middle of an attempt.
    BrokerConnecting = "BROKER_CONNECTING", Problem;
    /// An operator holds the session: nothing is tried until the hold is released.
    Held = "HELD", WedgedOrHeld;
    /// Gateway took TCP and answered nothing, several times in a row: leave it alone.
    Wedged = "WEDGED", WedgedOrHeld;
    /// The whole handshake works, and Gateway answers in the session.
    Healthy = "HEALTHY", Good;
    /// The handshake works, but far slower than a Gateway in good health.
    Slow = "SLOW", Problem;
    /// The handshake itself works, but this Gateway is older than IBouncer can serve (213 to 226).
    OldGateway = "OLD_GATEWAY", Problem;
    /// Something listens and nothing is seen wrong; only an active test can say more.
    Listening = "LISTENING", Problem;
    /// Nothing is known: the kernel's tables show nothing from here, and no test was made.
    Unknown = "UNKNOWN", Problem;
    /// Nothing listens there.
    NoListener = "NO_LISTENER", Problem;
    /// TCP itself got no answer.
    Unreachable = "UNREACHABLE", Problem;
    /// Gateway does not accept the connections that the kernel has completed for it.
    AcceptQueueStuck = "ACCEPT_QUEUE_STUCK", WedgedOrHeld;
    /// Gateway keeps sockets that their clients closed long ago.
    CloseWaitLeft = "CLOSE_WAIT_LEFT", Problem;
    /// TCP is up, and not one byte came.
    SilentAfterTcp = "SILENT_AFTER_TCP", Problem;
    /// A relay took the connection, and nothing came through it.
    RelaySilent = "RELAY_SILENT", Problem;
    /// A relay took the connection and closed it at once: it reaches no Gateway.
    RelayWithoutGateway = "RELAY_WITHOUT_GATEWAY", Problem;
    /// Gateway began its version and did not finish it.
    VersionIncomplete = "VERSION_INCOMPLETE", Problem;
    /// Gateway named its version, and then neither accounts nor next order id came.
    SilentAfterVersion = "SILENT_AFTER_VERSION", Problem;
    /// The next order id came, and no account did.
    NoAccounts = "NO_ACCOUNTS", Problem;
    /// The account list came, and it is empty.
    EmptyAccounts = "EMPTY_ACCOUNTS", Problem;
    /// The account list came, the next order id did not.
    NoNextId = "NO_NEXT_ID", Problem;
    /// Another connection holds the client id (error 326).
    ClientIdInUse = "CLIENT_ID_IN_USE", Problem;
    /// Closed at once, without a byte: rejected, or nothing is behind it.
    ClosedAtConnect = "CLOSED_AT_CONNECT", Problem;
    /// Gateway named its version and closed.
    ClosedAfterVersion = "CLOSED_AFTER_VERSION", Problem;
    /// The session became READY, and Gateway closed it.
    ClosedAfterReady = "CLOSED_AFTER_READY", Problem;
    /// The session became READY, and then nothing was answered in it.
    MuteAfterReady = "MUTE_AFTER_READY", Problem;
    /// All works, but Gateway does not close a socket that its client has closed.
    CloseNotAnswered = "CLOSE_NOT_ANSWERED", Problem;
    /// The connection ended in the middle of a frame.
    CutMidFrame = "CUT_MID_FRAME", Problem;
    /// A frame announced more bytes than any frame has.
    OversizeFrame = "OVERSIZE_FRAME", Problem;
    /// The version reply is one, but cannot be accepted.
    BadVersion = "BAD_VERSION", Problem;
    /// A web server answers there.
    SpeaksHttp = "SPEAKS_HTTP", Problem;
    /// A TLS server answers there.
    SpeaksTls = "SPEAKS_TLS", Problem;
    /// What answers there does not speak the TWS API.
    NotTws = "NOT_TWS", Problem;
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
