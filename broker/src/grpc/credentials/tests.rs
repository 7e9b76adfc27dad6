//! Who is what, by which credential.

use super::*;

const OWN: u32 = 1000;

fn roster() -> Roster {
    let mut roster = Roster::new(OWN, "own-token");
    for (name, uid, token, admin) in [
        ("momentum", Some(2000), None, false),
        ("momentum-eu", Some(2000), None, false),
        ("risk", Some(3000), Some("risk-token"), true),
        ("house", Some(OWN), None, false),
        ("remote", None, Some("remote-token"), false),
    ] {
        let token = token.map(Secret::of);
        let subject = (name == "remote").then(|| "CN=remote,O=Desk".parse().unwrap());
        let role = if admin { RoleConfig::Admin } else { RoleConfig::Observe };
        let known = Known { uid, token, subject, role, accounts: Vec::new() };
        roster.clients.insert(name.into(), known);
    }
    roster
}

fn unix(uid: u32, name: Option<&str>) -> Result<(Option<String>, bool, Rights), String> {
    let proven = roster().prove(&Peer::Unix { uid, pid: Some(7) }, None, name);
    let proven = proven.map_err(|status| status.message().to_owned());
    proven.map(|(proven, rights)| (proven.principal, proven.operator, rights))
}

fn tcp(token: &str, name: Option<&str>) -> Result<(Option<String>, bool, Rights), String> {
    let peer = Peer::Tcp("127.0.0.1:5000".parse().unwrap());
    let header = format!("Bearer {token}");
    let proven = roster().prove(&peer, Some(&header), name);
    let proven = proven.map_err(|status| status.message().to_owned());
    proven.map(|(proven, rights)| (proven.principal, proven.operator, rights))
}

#[test]
fn a_user_chooses_by_name_among_its_own_clients_only() {
    let observes = |name: &str| Ok((Some(name.to_owned()), false, Rights::Observe));
    assert_eq!(unix(2000, Some("momentum")), observes("momentum"));
    assert_eq!(unix(2000, Some("momentum/2")), observes("momentum"));
    assert_eq!(unix(2000, Some("momentum.py@host:17")), observes("momentum"));
    assert_eq!(unix(2000, Some("momentum-eu")), observes("momentum-eu"));
    assert_eq!(unix(2000, Some("momentum-eu:3")), observes("momentum-eu"));
    for unnamed in [Some("momentums"), None] {
        let error = unix(2000, unnamed).unwrap_err();
        assert!(error.contains("(momentum, momentum-eu)"), "{unnamed:?}: {error}");
    }
    let nobody = Ok((None, false, Rights::Observe));
    assert_eq!(unix(4000, Some("quotes")), nobody);
    let risk = Ok((Some("risk".to_owned()), false, Rights::Admin));
    assert_eq!(unix(3000, Some("anything")), risk, "the only client of that user");
    assert_eq!(unix(3000, None), risk);
}

#[test]
fn the_own_user_and_root_are_operators_and_a_client_only_by_name() {
    for (uid, name, principal) in [
        (OWN, Some("house@host"), Some("house")),
        (OWN, Some("ibouncer@host:5"), None),
        (OWN, None, None),
        (0, Some("quotes"), None),
    ] {
        let proven = (principal.map(str::to_owned), true, Rights::Operator);
        assert_eq!(unix(uid, name), Ok(proven), "{uid} {name:?}");
    }
}

#[test]
fn nobody_takes_the_name_of_a_client_that_it_is_not() {
    for refused in [
        unix(2000, Some("risk")),
        unix(OWN, Some("momentum")),
        unix(0, Some("house")),
        unix(3000, Some("momentum-eu")),
        tcp("own-token", Some("risk")),
        tcp("risk-token", Some("remote")),
    ] {
        let error = refused.unwrap_err();
        assert!(error.contains("is the name of a configured client"), "{error}");
        assert!(!error.contains("uid = ") && !error.contains("3000,"), "{error}");
    }
}

#[test]
fn a_token_is_one_client_and_an_unknown_one_is_nobody() {
    assert_eq!(tcp("own-token", Some("cli")), Ok((None, true, Rights::Operator)));
    let remote = Ok((Some("remote".to_owned()), false, Rights::Observe));
    assert_eq!(tcp("remote-token", None), remote);
    assert_eq!(tcp("remote-token", Some("remote-7")), remote);
    assert_eq!(tcp("risk-token", None).unwrap().2, Rights::Admin);
    for wrong in ["remote-toke", "remote-token2", "", "remote-tokem"] {
        assert!(tcp(wrong, None).unwrap_err().contains("wrong token"), "{wrong}");
    }
    let peer = Peer::Tcp("127.0.0.1:5000".parse().unwrap());
    for header in [None, Some("Basic own-token")] {
        assert!(roster().prove(&peer, header, None).is_err());
    }
}

#[test]
fn a_certificate_is_one_client_and_a_token_counts_beside_it() {
    let prove = |subject: Option<&str>, token: Option<&str>, name: Option<&str>| {
        let address = "192.0.2.7:5000".parse().unwrap();
        let subject = subject.map(|text| text.parse().unwrap());
        let header = token.map(|token| format!("Bearer {token}"));
        let peer = Peer::Tls { address, subject };
        let proven = roster().prove(&peer, header.as_deref(), name);
        proven.map(|(one, _)| one.principal).map_err(|status| status.message().to_owned())
    };
    let remote = Some("CN=remote,O=Desk");
    assert_eq!(prove(remote, None, Some("remote-7")), Ok(Some("remote".into())));
    assert_eq!(prove(remote, Some("risk-token"), None), Ok(Some("risk".into())));
    assert_eq!(prove(None, Some("remote-token"), None), Ok(Some("remote".into())));
    for (refused, why) in [
        (prove(Some("CN=remote"), None, None), "is no client's"),
        (prove(None, None, None), "no token"),
        (prove(remote, Some("wrong"), None), "wrong token"),
        (prove(remote, None, Some("risk")), "the certificate of CN=remote,O=Desk"),
    ] {
        let error = refused.unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn who_is_a_client_bears_an_imprint_of_its_credential_and_who_is_none_does_not() {
    let mut clients = Principals::default();
    for name in ["momentum", "risk", "house", "remote", "gone"] {
        clients.insert(name.into(), Default::default());
    }
    roster().imprint(&mut clients);
    assert!(clients["gone"].imprints.is_empty());
    assert_eq!((clients["risk"].imprints.len(), clients["remote"].imprints.len()), (2, 2));
    let tcp = Peer::Tcp("127.0.0.1:5000".parse().unwrap());
    let unix = |uid| Peer::Unix { uid, pid: None };
    let subject = Some("CN=remote,O=Desk".parse().unwrap());
    let tls = Peer::Tls { address: "192.0.2.7:5000".parse().unwrap(), subject };
    for (peer, token, name) in [
        (unix(2000), None, Some("momentum")),
        (unix(3000), None, None),
        (unix(OWN), None, Some("house")),
        (tcp.clone(), Some("Bearer risk-token"), None),
        (tcp.clone(), Some("Bearer  remote-token "), None),
        (tls, None, None),
    ] {
        let (proven, _) = roster().prove(&peer, token, name).unwrap();
        let principal = &clients[proven.principal.as_deref().unwrap()];
        assert!(principal.imprints.contains(&proven.imprint.unwrap()), "{peer}");
        assert!(!format!("{principal:?}").contains("token"), "{principal:?}");
    }
    for (peer, token) in [(unix(OWN), None), (unix(4000), None), (tcp, Some("Bearer own-token"))] {
        let (proven, _) = roster().prove(&peer, token, None).unwrap();
        assert_eq!((proven.principal, proven.imprint), (None, None));
    }
}

#[test]
fn clients_with_one_token_are_refused_and_tokens_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let config = |other: &str| {
        let path = |name: &str| folder.path().join(name).display().to_string();
        let text = format!(
            "[clients.a]\ntoken_file = {:?}\n[clients.b]\ntoken_file = {:?}\n",
            path("a.token"),
            path(other)
        );
        toml::from_str::<Config>(&text).unwrap()
    };
    let roster = Roster::new(OWN, "own").with_clients(&config("b.token")).unwrap();
    let token = std::fs::read_to_string(folder.path().join("a.token")).unwrap();
    assert!(!format!("{roster:?}").contains(token.trim()));
    std::fs::copy(folder.path().join("a.token"), folder.path().join("c.token")).unwrap();
    let error = Roster::new(OWN, "own").with_clients(&config("c.token")).unwrap_err();
    assert!(error.to_string().contains("the token of a"), "{error}");
}
