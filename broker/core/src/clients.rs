//! Who is connected, under which name.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::error::{self, Error};
use crate::ids::ClientId;
use crate::orders::Caller;
use crate::principals::Credential;
use crate::settings::LimitSettings;

/// A burst of so many seconds' requests is no flood: programs ask for much when they start.
const BURST: f64 = 10.0;

/// One connected program.
#[derive(Debug, Clone)]
pub struct Client {
    /// Unique among those connected: a second one of a name is `name#2`.
    pub name: String,
    /// Where it comes from.
    pub peer: String,
    /// What it was proven to be.
    pub credential: Credential,
    /// Since when.
    pub since: Instant,
    /// Requests so far.
    pub requests: u64,
    /// Streams and answers of it that were ended because it did not read them.
    pub evicted: u32,
    /// Requests that it may make now; none before the first.
    tokens: Option<(f64, Instant)>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Clients {
    table: BTreeMap<ClientId, Client>,
}

impl Clients {
    /// One connected.
    pub fn join(
        &mut self,
        id: ClientId,
        wanted: &str,
        peer: String,
        credential: Credential,
        now: Instant,
    ) {
        let taken = |name: &str| self.table.values().any(|client| client.name == name);
        let mut name = wanted.to_owned();
        let mut count = 1;
        while taken(&name) {
            count += 1;
            name = format!("{wanted}#{count}");
        }
        self.table.insert(
            id,
            Client { name, peer, credential, since: now, requests: 0, evicted: 0, tokens: None },
        );
    }

    /// One makes a request, if it does not make too many.
    pub fn charge(
        &mut self,
        id: ClientId,
        limits: &LimitSettings,
        now: Instant,
    ) -> Result<(), Error> {
        let Some(client) = self.table.get_mut(&id) else {
            return Ok(());
        };
        let rate = f64::from(limits.requests_per_second.max(1));
        let (tokens, counted) = client.tokens.unwrap_or((rate * BURST, now));
        let passed = now.saturating_duration_since(counted).as_secs_f64();
        let tokens = (tokens + passed * rate).min(rate * BURST);
        client.tokens = Some(((tokens - 1.0).max(0.0), now));
        if tokens < 1.0 {
            return Err(error::too_fast(limits.requests_per_second));
        }
        client.requests += 1;
        Ok(())
    }

    /// The configured client that it is.
    pub fn principal(&self, id: ClientId) -> Option<&str> {
        self.credential(id)?.principal.as_deref()
    }

    /// What it was proven to be.
    pub fn credential(&self, id: ClientId) -> Option<&Credential> {
        Some(&self.table.get(&id)?.credential)
    }

    /// Who asks, for the desk.
    pub fn caller(&self, id: ClientId) -> Caller {
        let Some(client) = self.table.get(&id) else {
            return Caller { client: id, ..Caller::default() };
        };
        Caller {
            client: id,
            name: client.name.clone(),
            principal: client.credential.principal.clone(),
            operator: client.credential.operator,
            credential: client.credential.shown.clone(),
            imprint: client.credential.imprint,
        }
    }

    /// So many streams or answers of one were ended because it did not read.
    pub fn on_evicted(&mut self, id: ClientId, count: usize) {
        if let Some(client) = self.table.get_mut(&id) {
            client.evicted = client.evicted.saturating_add(count as u32);
        }
    }

    /// One left.
    pub fn leave(&mut self, id: ClientId) -> Option<Client> {
        self.table.remove(&id)
    }

    /// Name of one.
    pub fn name(&self, id: ClientId) -> &str {
        self.table.get(&id).map_or("a client that left", |client| &client.name)
    }

    /// All, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (ClientId, &Client)> {
        self.table.iter().map(|(id, client)| (*id, client))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_requests_is_refused_and_a_burst_is_not() {
        let mut clients = Clients::default();
        let now = Instant::now();
        clients.join(ClientId(1), "quotes", "unix uid=1".into(), Credential::default(), now);
        let limits = LimitSettings { requests_per_second: 10, ..LimitSettings::default() };
        let made = (0..200).filter(|_| clients.charge(ClientId(1), &limits, now).is_ok()).count();
        assert_eq!(made, 100);
        let later = now + std::time::Duration::from_secs(1);
        let made = (0..200).filter(|_| clients.charge(ClientId(1), &limits, later).is_ok()).count();
        assert_eq!(made, 10);
    }

    #[test]
    fn a_second_one_of_a_name_is_numbered_and_a_free_name_is_reused() {
        let mut clients = Clients::default();
        let now = Instant::now();
        for id in 1..=3 {
            clients.join(ClientId(id), "quotes", "unix uid=1".into(), Credential::default(), now);
        }
        assert_eq!(clients.name(ClientId(3)), "quotes#3");
        clients.leave(ClientId(2));
        clients.join(ClientId(4), "quotes", "unix uid=1".into(), Credential::default(), now);
        assert_eq!(clients.name(ClientId(4)), "quotes#2");
    }
}
