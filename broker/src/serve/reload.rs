//! SIGHUP: what can be decided by other numbers from now on is; of the rest it is said that it
//! waits. The session is not touched.

use ibouncer_proto::places::Places;

use super::Reload;
use super::ground::Ground;
use crate::config::Config;
use crate::grpc::connection::Doorkeeper;
use crate::grpc::credentials::Roster;
use crate::grpc::tls::Tls;
use crate::handle::{Command, Handle};

/// Who is told of another configuration, and what that is read with.
pub(super) struct Reloader<'a> {
    pub(super) reload: &'a Reload,
    pub(super) ground: &'a Ground,
    pub(super) places: &'a Places,
    pub(super) handle: &'a Handle,
    pub(super) doorkeeper: &'a Doorkeeper,
    pub(super) tls: Option<&'a Tls>,
    pub(super) own_uid: u32,
    pub(super) own_token: &'a str,
}

impl Reloader<'_> {
    /// The configuration that holds from now on.
    pub(super) async fn reread(&self, current: Config) -> Config {
        match self.apply(&current).await {
            Ok(next) => {
                tracing::info!(
                    "SIGHUP: the configuration was read again; the session is not touched"
                );
                next
            }
            Err(error) => {
                let because = format!("{error:#}");
                tracing::error!(
                    because,
                    "SIGHUP: the configuration is not good; the old one stays"
                );
                current
            }
        }
    }

    async fn apply(&self, current: &Config) -> anyhow::Result<Config> {
        let next = (self.reload)()?;
        let roster = Roster::new(self.own_uid, self.own_token).with_clients(&next)?;
        // The places of the files are fixed; what stands in them may be renewed.
        let renewed = current.grpc.tls.files()?.as_ref().map(Tls::read).transpose()?;
        let windows = next.restart_windows()?;
        let waiting = current.fixed_changes(&next);
        let next = next.with_fixed_of(current);
        let mut settings = Box::new(self.ground.settings(&next, self.places)?);
        roster.imprint(&mut settings.principals);
        let told = self.handle.tell(Command::Reload(settings, windows)).await;
        told.map_err(|error| anyhow::anyhow!(error.message))?;
        // The hub first: whoever is let in is somebody that it knows.
        self.doorkeeper.replace(roster);
        if let (Some(tls), Some(renewed)) = (self.tls, renewed) {
            tls.replace(&renewed);
        }
        if !waiting.is_empty() {
            let keys = waiting.join(", ");
            tracing::warn!(
                keys,
                "SIGHUP: these settings wait for the next start, or ibouncer handover"
            );
        }
        Ok(next)
    }
}
