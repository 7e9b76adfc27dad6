//! `gateway.eyes`: what the operator says about how Gateway is reached.

use std::fmt;
use std::str::FromStr;

/// What the operator says about how Gateway is reached.
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

/// A word that is none of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSetting(String);

impl Setting {
    /// Every setting.
    pub const ALL: [Self; 5] = [Self::Auto, Self::Local, Self::Relayed, Self::Remote, Self::None];

    /// Name in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Local => "local",
            Self::Relayed => "relayed",
            Self::Remote => "remote",
            Self::None => "none",
        }
    }
}

impl FromStr for Setting {
    type Err = UnknownSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|setting| setting.name() == text);
        found.ok_or_else(|| UnknownSetting(text.to_owned()))
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl fmt::Display for UnknownSetting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} is none of auto, local, relayed, remote, none", self.0)
    }
}

impl std::error::Error for UnknownSetting {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_are_refused() {
        for setting in Setting::ALL {
            assert_eq!(setting.to_string().parse(), Ok(setting));
        }
        let refused = "Local".parse::<Setting>().unwrap_err();
        assert!(refused.to_string().starts_with("\"Local\" is none of auto"));
    }
}
