//! What a socket of the port is to us.

use ibouncer_core::sight::{Owner, Role, TcpState, Vantage};

use crate::port::Side;
use crate::programs::{Program, classify};
use crate::table::Row;

/// Our own processes, as whoever started them knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ours {
    /// Pid of the worker.
    pub worker: Option<u32>,
    /// Pid of the doctor.
    pub doctor: Option<u32>,
}

impl Ours {
    /// Is it one of them?
    pub(crate) fn has(&self, pid: u32) -> bool {
        [self.worker, self.doctor].contains(&Some(pid))
    }
}

/// What this socket is to us. `owner` is who holds it, or held it when it was seen last.
pub(crate) fn role(
    side: Side,
    row: &Row,
    owner: Option<&Owner>,
    ours: &Ours,
    vantage: Vantage,
) -> Role {
    match side {
        Side::Server if is_waiting(row) => Role::Waiting,
        Side::Server if vantage == Vantage::Local => Role::Gateway,
        Side::Server => Role::Relay,
        Side::Client => match owner {
            Some(owner) if ours.worker == Some(owner.pid) => Role::Worker,
            Some(owner) if ours.doctor == Some(owner.pid) => Role::Doctor,
            Some(owner) if matches!(classify("", &owner.command), Program::Relay(_)) => Role::Relay,
            Some(_) | None => Role::Stranger,
        },
    }
}

/// Not accepted yet: the kernel has the connection, and no process has a descriptor of it. A
/// socket that a process closed is in none of these states.
pub(crate) fn is_waiting(row: &Row) -> bool {
    let state = matches!(
        row.state,
        TcpState::Established | TcpState::CloseWait | TcpState::SynRecv | TcpState::NewSynRecv
    );
    state && row.inode == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: TcpState, inode: u64) -> Row {
        let address = "127.0.0.1:4002".parse().unwrap();
        Row { local: address, remote: address, state, receive_queue: 0, uid: 0, inode }
    }

    fn owner(pid: u32, command: &str) -> Owner {
        Owner { pid, started: 1, started_unix: 1, command: command.to_owned() }
    }

    #[test]
    fn sockets_of_the_listening_side_wait_or_are_gateways() {
        use TcpState::{CloseWait, Established, FinWait2, LastAck, SynRecv, TimeWait};
        for (state, inode, role_expected) in [
            (Established, 0, Role::Waiting),
            (CloseWait, 0, Role::Waiting),
            (SynRecv, 0, Role::Waiting),
            (Established, 5, Role::Gateway),
            (CloseWait, 5, Role::Gateway),
            (LastAck, 0, Role::Gateway),
            (FinWait2, 0, Role::Gateway),
            (TimeWait, 0, Role::Gateway),
        ] {
            let row = row(state, inode);
            let found = role(Side::Server, &row, None, &Ours::default(), Vantage::Local);
            assert_eq!(found, role_expected, "{state:?} {inode}");
        }
        let behind = row(Established, 5);
        let found = role(Side::Server, &behind, None, &Ours::default(), Vantage::Relayed);
        assert_eq!(found, Role::Relay);
    }

    #[test]
    fn sockets_of_the_connecting_side_are_told_by_their_owner() {
        let ours = Ours { worker: Some(10), doctor: Some(11) };
        let row = row(TcpState::Established, 5);
        for (owner, role_expected) in [
            (Some(owner(10, "ibouncer-worker")), Role::Worker),
            (Some(owner(11, "ibouncer doctor")), Role::Doctor),
            (Some(owner(12, "python app.py")), Role::Stranger),
            (Some(owner(13, "socat TCP-LISTEN:4003 TCP:127.0.0.1:4002")), Role::Relay),
            (None, Role::Stranger),
        ] {
            let found = role(Side::Client, &row, owner.as_ref(), &ours, Vantage::Local);
            assert_eq!(found, role_expected, "{owner:?}");
        }
    }
}
