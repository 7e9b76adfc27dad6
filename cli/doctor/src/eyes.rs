//! The one place where the doctor looks at the kernel's tables.

use std::net::SocketAddr;

use ibouncer_core::sight::Sight;

/// How Gateway is reached, by the operator's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Setting {
    /// Find out.
    #[default]
    Auto,
    /// What listens here is Gateway itself.
    Local,
    /// What listens here passes on to Gateway.
    Relayed,
    /// Gateway is not on this host.
    Remote,
    /// Do not look at all.
    None,
}

impl std::str::FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "auto" => Self::Auto,
            "local" => Self::Local,
            "relayed" => Self::Relayed,
            "remote" => Self::Remote,
            "none" => Self::None,
            _ => return Err(format!("{text:?} is none of auto, local, relayed, remote, none")),
        })
    }
}

/// Eyes for one examination.
#[derive(Debug)]
pub(crate) struct Looker;

impl Looker {
    pub(crate) fn new(_gateway: SocketAddr, _setting: Setting) -> Self {
        Self
    }

    /// One look, without a packet.
    pub(crate) fn look(&mut self) -> Sight {
        Sight::blind("this build does not look at the kernel's tables")
    }
}
