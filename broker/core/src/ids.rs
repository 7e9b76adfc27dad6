//! Names of things that live for a while, each a type of its own with a form that can be grepped.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!($prefix, "-{}"), self.0)
            }
        }
    };
}

id!(
    /// One worker's life; counts every attempt of this broker from 1.
    Epoch, "epoch"
);
id!(
    /// One connected program.
    ClientId, "client"
);
id!(
    /// One open market-data stream of a client.
    StreamId, "stream"
);
id!(
    /// One unary call that waits for its answer.
    CallId, "call"
);
id!(
    /// One shared market-data line.
    LineId, "line"
);

/// A request id at Gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub i32);

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "request-{}", self.0)
    }
}
