//! How many connections may wait at a listener: what the tables below `/proc` do not tell.
//!
//! Asked of the kernel over its socket for diagnosis (`sock_diag(7)`), as `ss -lt` does: no
//! right is needed, nothing of the network is touched, and only listeners are walked through.
//! Layouts are those of `linux/netlink.h` and `linux/inet_diag.h`, in the host's byte order but
//! for addresses and ports.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ibouncer_core::sight::{Seen, Unknown};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

/// The kernel answers at once; this is for one that does not.
const PATIENCE: Duration = Duration::from_millis(200);

/// Parts of an answer that are read; a host has that many listeners of one port only by mistake.
const PARTS: usize = 64;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const LISTEN: u32 = 1 << 10;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_AND_DUMP: u16 = 0x301;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// Of a message, of a request, and of the part of an answer that every kernel sends.
const HEADER: usize = 16;
const REQUEST: usize = 56;
const ANSWER: usize = 72;

/// The backlog of whoever listens on exactly this address; of several the sum, as it is with
/// their queues.
pub(super) fn backlog(address: SocketAddr) -> Seen<u32> {
    let unknown = |error: io::Error| Unknown(format!("ask the kernel for it: {error}"));
    let mut found = Vec::new();
    // An IPv6 socket can listen on an IPv4 address.
    for family in [AF_INET, AF_INET6] {
        found.append(&mut listeners(family, address.port()).map_err(unknown)?);
    }
    let of_address = found.iter().filter(|(bound, _)| *bound == address);
    let backlogs: Vec<_> = of_address.map(|(_, backlog)| *backlog).collect();
    if backlogs.is_empty() {
        return Err(Unknown("the kernel does not name this listener".to_owned()));
    }
    Ok(backlogs.into_iter().fold(0, u32::saturating_add))
}

fn listeners(family: u8, port: u16) -> io::Result<Vec<(SocketAddr, u32)>> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    send(&socket, &request(family, port), SendFlags::empty())?;
    let mut found = Vec::new();
    let mut buffer = [0; 32 << 10];
    for _ in 0..PARTS {
        let (_, length) = recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        let part = buffer.get(..length).unwrap_or(&buffer);
        if take(part, &mut found)? {
            return Ok(found);
        }
    }
    Err(io::Error::other("the answer has no end"))
}

fn request(family: u8, port: u16) -> [u8; HEADER + REQUEST] {
    let mut bytes = [0; HEADER + REQUEST];
    let length = u32::try_from(bytes.len()).expect("it has 72 bytes");
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&REQUEST_AND_DUMP.to_ne_bytes());
    bytes[HEADER] = family;
    bytes[HEADER + 1] = IPPROTO_TCP;
    bytes[HEADER + 4..HEADER + 8].copy_from_slice(&LISTEN.to_ne_bytes());
    bytes[HEADER + 8..HEADER + 10].copy_from_slice(&port.to_be_bytes());
    bytes
}

/// Takes the messages of one part; true if it was the last.
fn take(mut part: &[u8], found: &mut Vec<(SocketAddr, u32)>) -> io::Result<bool> {
    while part.len() >= HEADER {
        let length = usize::try_from(word(part, 0)?).unwrap_or(usize::MAX);
        let message = part.get(..length).filter(|_| length >= HEADER).ok_or_else(strange)?;
        match u16::from_ne_bytes([message[4], message[5]]) {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let code = i32::from_ne_bytes(word(message, HEADER)?.to_ne_bytes());
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            SOCK_DIAG_BY_FAMILY => found.push(listener(&message[HEADER..])?),
            _ => {}
        }
        // Messages begin at multiples of four.
        part = part.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// Of a listener the write queue is its backlog.
fn listener(answer: &[u8]) -> io::Result<(SocketAddr, u32)> {
    let answer: &[u8; ANSWER] = answer.first_chunk().ok_or_else(strange)?;
    let port = u16::from_be_bytes([answer[4], answer[5]]);
    let address: [u8; 16] = answer[8..24].try_into().map_err(|_| strange())?;
    let ip = match answer[0] {
        AF_INET => IpAddr::V4(Ipv4Addr::new(address[0], address[1], address[2], address[3])),
        AF_INET6 => IpAddr::V6(Ipv6Addr::from(address)).to_canonical(),
        _ => return Err(strange()),
    };
    Ok((SocketAddr::new(ip, port), word(answer, 60)?))
}

fn word(bytes: &[u8], at: usize) -> io::Result<u32> {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
    Ok(u32::from_ne_bytes(*word.ok_or_else(strange)?))
}

fn strange() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer cannot be understood")
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket, Type};

    use super::*;

    fn listen(address: &str, backlog: i32) -> Option<(Socket, SocketAddr)> {
        let address: SocketAddr = address.parse().unwrap();
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).ok()?;
        socket.set_reuse_port(true).unwrap();
        socket.bind(&address.into()).ok()?;
        socket.listen(backlog).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        Some((socket, address))
    }

    #[test]
    fn the_kernel_names_the_backlog_of_either_family() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            // Not every host of tests has IPv6.
            let Some((_socket, address)) = listen(address, 7) else { continue };
            assert_eq!(backlog(address), Ok(7), "{address}");
        }
    }

    #[test]
    fn of_several_listeners_it_is_the_sum_and_of_none_it_is_unknown() {
        let (one, address) = listen("127.0.0.1:0", 3).unwrap();
        let (two, _) = listen(&address.to_string(), 4).unwrap();
        assert_eq!(backlog(address), Ok(7));
        drop((one, two));
        assert!(backlog(address).unwrap_err().0.contains("does not name"));
    }

    #[test]
    fn nonsense_is_an_error_and_never_a_panic() {
        let mut found = Vec::new();
        assert!(!take(&[], &mut found).unwrap());
        for length in 0..HEADER + ANSWER + 8 {
            let mut bytes = vec![0xff; length];
            assert!(length < HEADER || take(&bytes, &mut found).is_err());
            if length >= HEADER {
                let short = u32::try_from(length).unwrap();
                bytes[..4].copy_from_slice(&short.to_ne_bytes());
                bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
                assert!(take(&bytes, &mut found).is_err(), "{length}");
            }
        }
        assert_eq!(found, []);
    }
}
