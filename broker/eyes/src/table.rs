//! Lines of `/proc/net/tcp` and `/proc/net/tcp6`: only those of one port, from either side.
//!
//! Columns as `get_tcp4_sock` of the kernel prints them: addresses are words of the host's own
//! byte order in hex; the receive queue of a listener is the number of connections that wait to
//! be accepted. The backlog of a listener is not among them. Sockets that no process holds (not
//! accepted yet, or closed already) have inode 0.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ibouncer_core::sight::TcpState;

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its own address; an IPv4 address of an IPv6 socket is shown as IPv4.
    pub(crate) local: SocketAddr,
    /// The other end's; port 0 for a listener.
    pub(crate) remote: SocketAddr,
    pub(crate) state: TcpState,
    /// Bytes that were not read yet, or connections that were not accepted yet.
    pub(crate) receive_queue: u32,
    /// User id of the owner.
    pub(crate) uid: u32,
    /// 0 if no process holds it.
    pub(crate) inode: u64,
}

/// The lines that have this port on either side.
pub(crate) fn rows(table: &str, port: u16) -> Result<Vec<Row>, String> {
    let mut lines = table.lines();
    if !lines.next().is_some_and(|header| header.contains("local_address")) {
        return Err("it has no header".to_owned());
    }
    // Tables can have many thousand lines, of which a few are ours. Only ports are four digits
    // behind a colon.
    let needle = format!(":{port:04X} ");
    let mut rows: Vec<Row> = Vec::new();
    let mut places = BTreeMap::new();
    for line in lines.filter(|line| line.contains(&needle)) {
        let row = row(line).ok_or_else(|| format!("a line cannot be understood: {line:?}"))?;
        // The kernel hands the table out in pieces, and a socket can stand in two of them if
        // others come and go meanwhile: the later line counts.
        match places.entry((row.local, row.remote, row.inode)) {
            Entry::Occupied(place) => rows[*place.get()] = row,
            Entry::Vacant(place) => {
                place.insert(rows.len());
                rows.push(row);
            }
        }
    }
    Ok(rows)
}

fn row(line: &str) -> Option<Row> {
    let mut columns = line.split_ascii_whitespace().skip(1);
    let local = address(columns.next()?)?;
    let remote = address(columns.next()?)?;
    let state = state(u8::from_str_radix(columns.next()?, 16).ok()?)?;
    let (_, receive_queue) = columns.next()?.split_once(':')?;
    let receive_queue = u32::from_str_radix(receive_queue, 16).ok()?;
    // Timer and retransmissions.
    let mut columns = columns.skip(2);
    let uid = columns.next()?.parse().ok()?;
    let inode = columns.nth(1)?.parse().ok()?;
    Some(Row { local, remote, state, receive_queue, uid, inode })
}

fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |index: usize| {
        let digits = ip.get(index * 8..index * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (index, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(index)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// By the numbers of the kernel's `tcp_states.h`.
fn state(number: u8) -> Option<TcpState> {
    Some(match number {
        1 => TcpState::Established,
        2 => TcpState::SynSent,
        3 => TcpState::SynRecv,
        4 => TcpState::FinWait1,
        5 => TcpState::FinWait2,
        6 => TcpState::TimeWait,
        7 => TcpState::Close,
        8 => TcpState::CloseWait,
        9 => TcpState::LastAck,
        10 => TcpState::Listen,
        11 => TcpState::Closing,
        12 => TcpState::NewSynRecv,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when \
                          retrnsmt   uid  timeout inode";

    #[cfg(target_endian = "little")]
    #[test]
    fn lines_as_a_kernel_printed_them_are_understood() {
        let table = format!(
            "{HEADER}\n\
             \x20  0: 0100007F:0FA2 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000 \
             0 10602 4 000000002df65619 100 0 0 10 0\n\
             \x20  1: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0 \
             0 10 1 0000000000000000 100 0 0 10 0\n\
             \x20  3: 0100007F:B210 0100007F:0FA2 05 00000000:00000000 03:0000175C 00000000     0 \
             0 0 3 00000000d6b58909\n\
             \x20  7: 0100007F:0FA2 0100007F:B210 08 00000000:0000000A 00:00000000 00000000     0 \
             0 0 1 00000000b8d19467 20 4 0 10 -1\n"
        );
        let rows = rows(&table, 4002).unwrap();
        let brief: Vec<_> = rows
            .iter()
            .map(|row| (row.local.to_string(), row.state.name(), row.receive_queue, row.inode))
            .collect();
        assert_eq!(
            brief,
            [
                ("127.0.0.1:4002".to_owned(), "LISTEN", 3, 10602),
                ("127.0.0.1:45584".to_owned(), "FIN_WAIT2", 0, 0),
                ("127.0.0.1:4002".to_owned(), "CLOSE_WAIT", 10, 0),
            ]
        );
        assert_eq!(rows[0].uid, 1000);
        assert_eq!(rows[1].remote, "127.0.0.1:4002".parse().unwrap());
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_socket_that_the_kernel_printed_twice_is_one() {
        let line = "0100007F:0FA2 0100007F:B210 08 00000000:0000000A 00:00000000 00000000     0 \
                    0 77 1 00000000b8d19467 20 4 0 10 -1";
        let later = line.replace("B210 08", "B210 09");
        let table = format!("{HEADER}\n   7: {line}\n   8: {later}\n");
        let rows = rows(&table, 4002).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].state, TcpState::LastAck);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn addresses_of_both_families_are_understood() {
        for (text, means) in [
            ("0100007F:0FA2", "127.0.0.1:4002"),
            ("0501A8C0:0FA2", "192.168.1.5:4002"),
            ("00000000000000000000000001000000:0FA2", "[::1]:4002"),
            ("00000000000000000000000000000000:0FA2", "[::]:4002"),
            ("0000000000000000FFFF00000100007F:0FA2", "127.0.0.1:4002"),
            ("B80D0120000000000000000034120000:0FA2", "[2001:db8::1234]:4002"),
        ] {
            assert_eq!(address(text), Some(means.parse().unwrap()), "{text}");
        }
        for text in ["", "0100007F", "0100007:0FA2", "0100007F:FFFFF", "ZZZZZZZZ:0001", "é:1"] {
            assert_eq!(address(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_table_is_an_error_and_not_an_empty_one() {
        assert!(rows("", 4002).is_err());
        assert!(rows("something else\n", 4002).is_err());
        assert_eq!(rows(HEADER, 4002), Ok(Vec::new()));
        let broken = format!("{HEADER}\n 0: 0100007F:0FA2 00000000:0000 0A\n");
        assert!(rows(&broken, 4002).unwrap_err().contains("cannot be understood"));
        let strange = format!("{HEADER}\n 0: 0100007F:0FA2 00000000:0000 0D 0:0 00:0 0 0 0 1 1\n");
        assert!(rows(&strange, 4002).is_err());
    }

    #[test]
    fn every_state_has_its_number() {
        let names: Vec<_> = (1..=12).filter_map(state).map(TcpState::name).collect();
        assert_eq!(names.len(), 12);
        assert_eq!(names[0], "ESTABLISHED");
        assert_eq!(names[9], "LISTEN");
        assert_eq!((state(0), state(13)), (None, None));
    }
}
