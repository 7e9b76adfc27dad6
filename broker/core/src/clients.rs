//! Who is connected, under which name.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::ids::ClientId;

/// One connected program.
#[derive(Debug, Clone)]
pub struct Client {
    /// Unique among those connected: a second one of a name is `name#2`.
    pub name: String,
    /// Where it comes from.
    pub peer: String,
    /// Since when.
    pub since: Instant,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Clients {
    table: BTreeMap<ClientId, Client>,
}

impl Clients {
    /// One connected.
    pub fn join(&mut self, id: ClientId, wanted: &str, peer: String, now: Instant) {
        let taken = |name: &str| self.table.values().any(|client| client.name == name);
        let mut name = wanted.to_owned();
        let mut count = 1;
        while taken(&name) {
            count += 1;
            name = format!("{wanted}#{count}");
        }
        self.table.insert(id, Client { name, peer, since: now });
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
    fn a_second_one_of_a_name_is_numbered_and_a_free_name_is_reused() {
        let mut clients = Clients::default();
        let now = Instant::now();
        for id in 1..=3 {
            clients.join(ClientId(id), "quotes", "unix uid=1".into(), now);
        }
        assert_eq!(clients.name(ClientId(3)), "quotes#3");
        clients.leave(ClientId(2));
        clients.join(ClientId(4), "quotes", "unix uid=1".into(), now);
        assert_eq!(clients.name(ClientId(4)), "quotes#2");
    }
}
