//! What a caller is by the configuration that counts, and whether it still is that.
//!
//! A stream lives longer than a configuration. What its caller has shown is kept beside it, and
//! shown again to every roster that comes: if the answer is another one (other rights, other
//! accounts, another client, or none), the stream ends, and whoever is still let in opens it anew.
//! A caller about whom nothing changed is not disturbed. Which answer a roster gives is decided in
//! `credentials.rs`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ibouncer_core::error;
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::Status;

use super::connection::Peer;
use super::credentials::{Roster, Secret, Standing};
use super::status::status;

/// What a caller has shown, and what it was found to be.
#[derive(Debug)]
pub(super) struct Proof {
    peer: Peer,
    authorization: Option<Secret>,
    name: Option<String>,
    pub(super) standing: Standing,
    /// What comes after the roster that found it.
    rosters: watch::Receiver<Arc<Roster>>,
}

impl Proof {
    /// Asks the newest roster.
    pub(super) fn of(
        peer: &Peer,
        authorization: Option<&str>,
        name: Option<&str>,
        mut rosters: watch::Receiver<Arc<Roster>>,
    ) -> Result<Self, Status> {
        let roster = Arc::clone(&rosters.borrow_and_update());
        let standing = roster.standing(peer, authorization, name)?;
        Ok(Self {
            peer: peer.clone(),
            authorization: authorization.map(Secret::of),
            name: name.map(str::to_owned),
            standing,
            rosters,
        })
    }

    /// Is it what it was, by the newest roster?
    pub(super) fn check(&self) -> Result<(), Status> {
        // Nothing has changed, nearly always.
        match self.rosters.has_changed() {
            Ok(true) => self.check_by(&self.rosters.borrow()),
            _ => Ok(()),
        }
    }

    /// Waits until it is not.
    pub(super) fn lost(self: &Arc<Self>) -> Lost {
        let (proof, mut rosters) = (Arc::clone(self), self.rosters.clone());
        Lost(Box::pin(async move {
            while rosters.changed().await.is_ok() {
                let roster = Arc::clone(&rosters.borrow_and_update());
                if let Err(status) = proof.check_by(&roster) {
                    return status;
                }
            }
            // The broker ends, and says so to every stream itself.
            std::future::pending().await
        }))
    }

    fn check_by(&self, roster: &Roster) -> Result<(), Status> {
        let authorization = self.authorization.as_ref().map(Secret::shown);
        let now = roster.standing(&self.peer, authorization, self.name.as_deref());
        if now.is_ok_and(|now| now == self.standing) {
            return Ok(());
        }
        let principal = self.standing.credential.principal.as_deref();
        Err(status(&error::rights_changed(principal)))
    }
}

/// Ready when a caller is not any more what it was.
pub(super) struct Lost(Pin<Box<dyn Future<Output = Status> + Send>>);

impl Future for Lost {
    type Output = Status;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Status> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for Lost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Lost")
    }
}

/// A stream that ends when its caller is not any more what it was.
pub(super) struct WhileItStands<S> {
    /// None once it has ended.
    stream: Option<S>,
    lost: Lost,
}

impl<S> WhileItStands<S> {
    pub(super) fn new(stream: S, lost: Lost) -> Self {
        Self { stream: Some(stream), lost }
    }
}

impl<T, S: Stream<Item = Result<T, Status>> + Unpin> Stream for WhileItStands<S> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(stream) = &mut this.stream else {
            return Poll::Ready(None);
        };
        // First: what waits in the stream is not for this caller any more.
        if let Poll::Ready(status) = Pin::new(&mut this.lost).poll(context) {
            this.stream = None;
            return Poll::Ready(Some(Err(status)));
        }
        Pin::new(stream).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt as _;

    use super::*;
    use crate::config::Config;

    const PEER: Peer = Peer::Unix { uid: 2000, pid: None };

    fn roster(text: &str) -> Arc<Roster> {
        let config: Config = toml::from_str(text).unwrap();
        Arc::new(Roster::new(1000, "own").with_clients(&config).unwrap())
    }

    #[test]
    fn who_sees_something_else_has_lost_its_standing_and_nobody_else() {
        const SEE: &str = "[clients.see]\nuid = 2000\naccounts = [\"DU1\"]\n";
        for (next, stands) in [
            ("[clients.see]\nuid = 2000\naccounts = [\"DU1\"]\nmax_quantity = 5\n", true),
            ("[clients.see]\nuid = 2000\naccounts = [\"DU1\"]\n[clients.b]\nuid = 3000\n", true),
            ("[clients.see]\nuid = 2000\naccounts = [\"DU2\"]\n", false),
            ("[clients.see]\nuid = 2000\naccounts = [\"DU1\", \"DU2\"]\n", false),
            ("[clients.see]\nuid = 2000\n", false),
            ("[clients.see]\nuid = 2000\naccounts = [\"DU1\"]\nrole = \"admin\"\n", false),
            ("[clients.see]\nuid = 2000\naccounts = [\"DU1\"]\nrole = \"trade\"\n", false),
            ("[clients.see]\nuid = 2001\naccounts = [\"DU1\"]\n", false),
            ("[clients.other]\nuid = 2000\naccounts = [\"DU1\"]\n", false),
            ("", false),
        ] {
            let (rosters, seen) = watch::channel(roster(SEE));
            let proof = Proof::of(&PEER, None, None, seen).unwrap();
            assert!(proof.check().is_ok());
            rosters.send_replace(roster(next));
            let checked = proof.check();
            assert_eq!(checked.is_ok(), stands, "{next}");
            if let Err(status) = checked {
                assert_eq!(status.code(), tonic::Code::Unavailable);
                assert_eq!(status.metadata().get("ibouncer-retry").unwrap(), "now");
                assert!(status.message().contains("clients.see"), "{status}");
            }
        }
    }

    #[test]
    fn another_token_and_a_user_that_becomes_a_client_are_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.token");
        let text = format!("[clients.a]\ntoken_file = {path:?}\n");
        let (rosters, seen) = watch::channel(roster(&text));
        let token = format!("Bearer {}", std::fs::read_to_string(&path).unwrap().trim());
        let tcp = Peer::Tcp("127.0.0.1:5000".parse().unwrap());
        let remote = Proof::of(&tcp, Some(&token), None, seen.clone()).unwrap();
        assert!(!format!("{remote:?}").contains(&token[7..]), "it is a secret");
        let own = Proof::of(&tcp, Some("Bearer own"), None, seen.clone()).unwrap();
        let nobody = Proof::of(&PEER, None, Some("quotes"), seen).unwrap();
        rosters.send_replace(roster(&text));
        for proof in [&remote, &own, &nobody] {
            proof.check().unwrap();
        }
        std::fs::remove_file(&path).unwrap();
        rosters.send_replace(roster(&format!("{text}[clients.b]\nuid = 2000\n")));
        assert!(remote.check().is_err(), "another token");
        assert!(nobody.check().is_err(), "it is b now");
        own.check().unwrap();
    }

    #[tokio::test]
    async fn a_stream_ends_at_once_also_if_the_roster_came_before_it_was_read() {
        let (rosters, seen) = watch::channel(roster("[clients.see]\nuid = 2000\n"));
        let proof = Arc::new(Proof::of(&PEER, None, None, seen).unwrap());
        let endless = || tokio_stream::iter(std::iter::repeat_with(|| Ok(7)));
        let mut open = WhileItStands::new(endless(), proof.lost());
        assert_eq!(open.next().await.unwrap().unwrap(), 7);
        rosters.send_replace(roster("[clients.see]\nuid = 2000\nmax_quantity = 1\n"));
        assert_eq!(open.next().await.unwrap().unwrap(), 7, "nothing changed for it");
        rosters.send_replace(roster(""));
        let mut late = WhileItStands::new(endless(), proof.lost());
        for stream in [&mut open, &mut late] {
            let end = stream.next().await.unwrap().unwrap_err();
            assert_eq!(end.metadata().get("ibouncer-code").unwrap(), "RIGHTS_CHANGED");
            assert!(stream.next().await.is_none());
        }
    }

    #[tokio::test]
    async fn a_stream_that_waits_is_woken() {
        let (rosters, seen) = watch::channel(roster("[clients.see]\nuid = 2000\n"));
        let proof = Arc::new(Proof::of(&PEER, None, None, seen).unwrap());
        let silent = tokio_stream::pending::<Result<u32, Status>>();
        let mut stream = WhileItStands::new(silent, proof.lost());
        let waits = tokio::spawn(async move { stream.next().await });
        tokio::task::yield_now().await;
        rosters.send_replace(roster(""));
        assert!(waits.await.unwrap().unwrap().is_err());
    }
}
