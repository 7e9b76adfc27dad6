//! Against real sockets of this process: the kernel's own tables are what is tested.
#![cfg(target_os = "linux")]

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};

use ibouncer_core::sight::Role;
use socket2::{Domain, Socket, Type};

use super::*;

/// For what the kernel does a moment later.
const PATIENCE: Duration = Duration::from_secs(20);

fn listener(address: &str, backlog: i32) -> (TcpListener, SocketAddr) {
    let address: SocketAddr = address.parse().unwrap();
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(backlog).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Looks until it shows.
#[track_caller]
fn look_until(eyes: &mut Eyes, what: &str, shows: impl Fn(&Sight) -> bool) -> Sight {
    let begun = Instant::now();
    loop {
        let sight = eyes.look(&Ours::default(), Instant::now());
        if shows(&sight) {
            return sight;
        }
        assert!(begun.elapsed() < PATIENCE, "still not: {what}; {sight:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn roles(sight: &Sight) -> Vec<(Role, TcpState)> {
    let sockets = sight.sockets.as_ref().unwrap();
    sockets.iter().map(|socket| (socket.role, socket.state)).collect()
}

#[test]
fn listener_queue_and_strangers_are_seen_with_their_owner() {
    let (listener, address) = listener("127.0.0.1:0", 5);
    let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut eyes = Eyes::new(address, Setting::Local);
    let sight = look_until(&mut eyes, "three wait", |sight| sight.accept_queue() == Some(3));
    let me = std::process::id();
    let found = sight.listener().unwrap();
    assert_eq!(found.address, address);
    let process = found.process.as_ref().unwrap();
    assert_eq!(process.pid, me);
    assert!(process.executable.as_ref().unwrap().contains("ibouncer_eyes"));
    assert!(found.backlog.is_err());
    assert_eq!(sight.listener_id().unwrap().process, Some((me, process.started)));
    assert_eq!(sight.strangers().count(), 3);
    for stranger in sight.strangers() {
        assert_eq!(stranger.owner.as_ref().unwrap().as_ref().unwrap().pid, me);
    }
    let waiting: Vec<_> = sight.sockets.as_ref().unwrap()[..3].iter().collect();
    assert!(waiting.iter().all(|socket| socket.role == Role::Waiting), "{waiting:#?}");
    assert!(waiting.iter().all(|socket| socket.owner == Ok(None)));

    // One is accepted: it is Gateway's now, and has bytes that nobody has read.
    let (_accepted, _) = listener.accept().unwrap();
    (&clients[0]).write_all(b"hello").unwrap();
    let sight = look_until(&mut eyes, "one is accepted", |sight| {
        sight.sockets.as_ref().unwrap().iter().any(|socket| socket.unread == 5)
    });
    assert_eq!(sight.accept_queue(), Some(2));
    let gateway: Vec<_> = sight.sockets.as_ref().unwrap().iter().collect();
    let accepted = gateway.iter().find(|socket| socket.role == Role::Gateway).unwrap();
    assert_eq!(accepted.remote, clients[0].local_addr().unwrap());
    assert_eq!(accepted.owner.as_ref().unwrap().as_ref().unwrap().pid, me);
}

#[test]
fn a_client_that_is_gone_leaves_close_wait_behind() {
    let (_listener, address) = listener("127.0.0.1:0", 5);
    drop(TcpStream::connect(address).unwrap());
    let mut eyes = Eyes::new(address, Setting::Local);
    let sight = look_until(&mut eyes, "CLOSE_WAIT", |sight| sight.close_wait() == Some(1));
    assert!(roles(&sight).contains(&(Role::Waiting, TcpState::CloseWait)), "{sight:#?}");
}

#[test]
fn our_own_processes_are_told_from_strangers() {
    let (_listener, address) = listener("127.0.0.1:0", 5);
    let _client = TcpStream::connect(address).unwrap();
    let mut eyes = Eyes::new(address, Setting::Local);
    let ours = Ours { worker: Some(std::process::id()), doctor: None };
    let sight = eyes.look(&ours, Instant::now());
    let found = roles(&sight).contains(&(Role::Worker, TcpState::Established));
    assert!(found && sight.strangers().count() == 0, "{sight:#?}");
}

#[test]
fn wildcards_and_mapped_addresses_are_served_by_their_listener() {
    let (_everywhere, address) = listener("0.0.0.0:0", 5);
    let here = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port());
    let _client = TcpStream::connect(here).unwrap();
    let mut eyes = Eyes::new(here, Setting::Local);
    let sight = look_until(&mut eyes, "one waits", |sight| sight.accept_queue() == Some(1));
    assert_eq!(sight.listener().unwrap().address, address);

    // Not every host of tests has IPv6.
    let Ok(listener) = TcpListener::bind("[::]:0") else { return };
    let port = listener.local_addr().unwrap().port();
    for client in ["127.0.0.1", "::1"] {
        let ip: IpAddr = client.parse().unwrap();
        let here = SocketAddr::new(ip, port);
        let Ok(_client) = TcpStream::connect(here) else { continue };
        let mut eyes = Eyes::new(here, Setting::Local);
        look_until(&mut eyes, "a stranger on either side", |sight| {
            let roles = roles(sight);
            roles.contains(&(Role::Waiting, TcpState::Established))
                && roles.contains(&(Role::Stranger, TcpState::Established))
        });
        drop(listener.accept().unwrap());
    }
}

#[test]
fn what_listens_here_and_is_not_gateway_does_not_count() {
    let (_listener, address) = listener("127.0.0.1:0", 5);
    let sight = Eyes::new(address, Setting::Auto).look(&Ours::default(), Instant::now());
    assert_eq!(sight.vantage, Vantage::Relayed);
    assert!(sight.because.contains("gateway.eyes = \"local\""), "{}", sight.because);
    assert!(!sight.counts());
}

#[test]
fn nothing_is_known_of_other_hosts_and_nothing_at_all_without_eyes() {
    let remote: SocketAddr = "192.0.2.1:4002".parse().unwrap();
    let sight = Eyes::new(remote, Setting::Auto).look(&Ours::default(), Instant::now());
    assert_eq!(sight.vantage, Vantage::Remote);
    assert_eq!((sight.listening(), sight.accept_queue()), (None, None));
    assert_eq!(sight.sockets, Ok(Vec::new()));
    let sight = Eyes::new(remote, Setting::None).look(&Ours::default(), Instant::now());
    assert_eq!(sight, Sight::blind("gateway.eyes = none"));
}

#[test]
fn a_listener_that_goes_and_comes_is_told() {
    let (listener, address) = listener("127.0.0.1:0", 5);
    let mut eyes = Eyes::new(address, Setting::Auto);
    eyes.look(&Ours::default(), Instant::now());
    assert_eq!(eyes.changes(), Vec::<String>::new());
    drop(listener);
    let sight = eyes.look(&Ours::default(), Instant::now());
    assert_eq!(sight.listener, Ok(None));
    // It stays what it was.
    assert_eq!(sight.vantage, Vantage::Relayed);
    let told = eyes.changes();
    assert!(told[0].contains("nothing listens") && told[0].contains("still runs"), "{told:?}");
    let _again = TcpListener::bind(address).unwrap();
    eyes.look(&Ours::default(), Instant::now());
    let told = eyes.changes();
    let pid = format!("(pid {})", std::process::id());
    assert!(told[0].contains(&pid) && told[0].ends_with("listens"), "{told:?}");
}

#[test]
fn short_connections_are_counted_for_their_program() {
    let (listener, address) = listener("127.0.0.1:0", 64);
    let mut eyes = Eyes::new(address, Setting::Local);
    let mut now = Instant::now();
    let mut look = |eyes: &mut Eyes| {
        now += Duration::from_millis(250);
        eyes.look(&Ours::default(), now)
    };
    look(&mut eyes);
    for _ in 0..6 {
        let client = TcpStream::connect(address).unwrap();
        let server = listener.accept().unwrap();
        look(&mut eyes);
        drop(client);
        drop(server);
        look(&mut eyes);
    }
    // Gone before it could be seen.
    drop(TcpStream::connect(address).unwrap());
    look(&mut eyes);
    let list = eyes.short_connections(now);
    let pid = std::process::id();
    assert_eq!((list[0].pid, list[0].last_hour, list[0].last_day), (Some(pid), 6, 6), "{list:#?}");
    assert!(list[0].advice.as_ref().unwrap().contains("this is a port check"));
    assert!(list[1].owner.contains("gone before"), "{list:#?}");
    assert_eq!((list[1].last_hour, &list[1].advice), (1, &None));
}

/// With `--nocapture` it says what a look costs; that is not asserted, machines differ.
#[test]
fn a_look_at_many_sockets() {
    let (listener, address) = listener("127.0.0.1:0", 1024);
    let mut pairs = Vec::new();
    // Two sockets each; some systems allow no more descriptors.
    while pairs.len() < 1000 {
        let Ok(client) = TcpStream::connect(address) else { break };
        let Ok((server, _)) = listener.accept() else { break };
        pairs.push((client, server));
    }
    let unused = Eyes::new(([127, 0, 0, 9], 1).into(), Setting::Local);
    time(unused, "a look at a port without sockets", 3);
    let mut eyes = Eyes::new(address, Setting::Local);
    for name in ["first", "second", "third"] {
        let begun = Instant::now();
        let sight = eyes.look(&Ours::default(), begun);
        println!("the {name} look at {} sockets took {:?}", 2 * pairs.len(), begun.elapsed());
        assert!(sight.sockets.as_ref().unwrap().len() >= 2 * pairs.len());
    }
    time(Eyes::new(address, Setting::Local), "a look", 20);
    let sight = eyes.look(&Ours::default(), Instant::now());
    let sockets = sight.sockets.unwrap();
    let known = sockets.iter().filter(|socket| matches!(socket.owner, Ok(Some(_))));
    assert_eq!(known.count(), 2 * pairs.len());
}

fn time(mut eyes: Eyes, what: &str, looks: u32) {
    let begun = Instant::now();
    for _ in 0..looks {
        eyes.look(&Ours::default(), Instant::now());
    }
    println!("{what} took {:?} (mean of {looks})", begun.elapsed() / looks);
}
