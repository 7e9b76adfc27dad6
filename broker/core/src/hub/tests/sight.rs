//! What a client that is limited to accounts sees of lines that it shares with others.

use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;

use super::*;
use crate::principals::{Credential, Principal};

const OWN: &str = "DU0000001";
const OTHER: &str = "DU0000002";

/// READY, with a client that is limited to its own account, and one that is not.
fn limited() -> (World, StreamId, StreamId) {
    let one = Principal { accounts: vec![OWN.into()], ..Principal::default() };
    let principals = [("one".to_owned(), one)].into();
    let settings = Settings { principals, ..Settings::default() };
    let mut world = World::at(settings, 215, &[OWN, OTHER]);
    let (client, stream) = (ClientId(7), StreamId(7));
    world.queues.insert(stream, StreamQueue::new(1 << 20));
    world.input(Input::ClientJoined {
        client,
        name: "one".into(),
        peer: "here".into(),
        credential: Credential { principal: Some("one".into()), ..Credential::default() },
    });
    world.input(Input::StreamOpened { client, stream, single: false });
    let free = world.open(8);
    (world, stream, free)
}

impl World {
    /// READY at a Gateway of this version, with these accounts.
    pub(super) fn at(settings: Settings, server_version: i32, accounts: &[&str]) -> Self {
        let mut world = Self::new(settings);
        world.come_up(server_version, accounts);
        world
    }

    /// Becomes READY there, for the first time.
    pub(super) fn come_up(&mut self, server_version: i32, accounts: &[&str]) {
        self.input(Input::Start);
        self.worker(WorkerEvent::Spawned { pid: 100 });
        self.worker(WorkerEvent::Hello(Hello { epoch: 1, ..Hello::default() }));
        for stage in
            [Stage::TcpConnected, Stage::VersionReceived, Stage::AccountsReceived, Stage::Ready]
        {
            let accounts = accounts.join(",");
            let stage = stage.into();
            let stage = StageReached { stage, server_version, accounts, ..Default::default() };
            self.worker(WorkerEvent::Stage(stage));
        }
        assert!(self.hub.session.is_up());
    }

    fn hold(&mut self, account: &str, symbol: &str) {
        let position = tws::Position {
            account: Some(account.into()),
            contract: Some(Contract { symbol: Some(symbol.into()), ..Contract::default() }),
            position: Some("5".into()),
            avg_cost: Some(1.0),
        };
        self.frame(id::POSITION_DATA, &position);
    }

    /// Everything that came, and is not a mark, in words.
    fn bodies(&mut self, stream: StreamId) -> Vec<String> {
        use ibouncer_proto::api::v1::{StreamPositionsResponse, account_event::Body};
        let mut out = BytesMut::new();
        self.queues.get_mut(&stream).unwrap().pull(usize::MAX, &mut out);
        let events = StreamPositionsResponse::decode(&out[..]).unwrap().events;
        let tell = |event: ibouncer_proto::api::v1::AccountEvent| match event.body? {
            Body::Mark(_) => None,
            Body::Position(one) => Some(format!("{} {}", one.account(), one.position())),
            other => Some(format!("{other:?}")),
        };
        events.into_iter().filter_map(tell).collect()
    }
}

#[test]
fn positions_of_other_accounts_that_vanished_are_told_to_those_who_saw_them() {
    let (mut world, limited, free) = limited();
    for stream in [limited, free] {
        world.want(stream, 0, Ok(Wanted::positions()), Manner::default());
    }
    for account in [OWN, OTHER] {
        world.hold(account, AAPL);
        world.hold(account, "MSFT");
    }
    world.frame(id::POSITION_END, &tws::PositionEnd {});
    assert_eq!(world.bodies(limited).len(), 3);
    assert_eq!(world.bodies(free).len(), 5);

    world.worker(WorkerEvent::Exited(ExitStatus::Signal(9)));
    world.look();
    world.pass(1);
    world.handshake();
    for account in [OWN, OTHER] {
        world.hold(account, AAPL);
    }
    world.frame(id::POSITION_END, &tws::PositionEnd {});
    let told = world.bodies(limited);
    assert_eq!(told[..2], [format!("{OWN} 5"), format!("{OWN} 0")]);
    assert!(told.iter().all(|body| !body.contains(OTHER)), "{told:?}");
    assert!(world.bodies(free).contains(&format!("{OTHER} 0")));
}

#[test]
fn a_client_of_some_accounts_names_the_one_that_it_means() {
    let (mut world, limited, _) = limited();
    world.want(limited, 0, Wanted::account_updates(""), Manner::default());
    let told = world.events(limited);
    let Some(Body::Mark(ended)) = &told[0].body else { panic!("{told:?}") };
    let error = ended.error.clone().unwrap_or_default();
    assert!(error.message.contains("must name one account"), "{error:?}");
    world.want(limited, 0, Wanted::account_updates(OWN), Manner::default());
    assert_eq!(world.sent_of(id::REQ_ACCT_DATA).len(), 1);
}

#[test]
fn a_message_that_is_not_understood_is_not_for_those_who_see_some_accounts_only() {
    let (mut world, limited, free) = limited();
    let summary = || Wanted::account_summary(tws::AccountSummaryRequest::default());
    for stream in [limited, free] {
        world.want(stream, 0, summary(), Manner::default());
    }
    let request = world.sent_of(id::REQ_ACCOUNT_SUMMARY)[0];
    // Nothing that belongs to a summary, as far as is known.
    let newer = tws::UserInfo { req_id: Some(request), ..Default::default() };
    world.frame(id::USER_INFO, &newer);
    assert!(world.bodies(limited).is_empty());
    assert_eq!(world.bodies(free).len(), 1);
}

#[test]
fn an_error_that_names_an_account_is_masked_for_whoever_may_not_see_all() {
    let (mut world, limited, free) = limited();
    for stream in [free, limited] {
        let summary = Wanted::account_summary(tws::AccountSummaryRequest::default());
        world.want(stream, 1, summary, Manner::default());
    }
    let request = world.sent_of(id::REQ_ACCOUNT_SUMMARY)[0];
    world.about(request, 321, &format!("no summary of account {OTHER}"));
    let names = |world: &mut World, stream| format!("{:?}", world.events(stream)).contains(OTHER);
    assert!(!names(&mut world, limited));
    assert!(names(&mut world, free));
}

#[test]
fn whoever_a_reload_has_removed_sees_nothing_though_nothing_limits_it_any_more() {
    let (mut world, limited, free) = limited();
    world.input(Input::Settings(Box::default()));
    for stream in [limited, free] {
        world.want(stream, 0, Ok(Wanted::positions()), Manner::default());
    }
    let told = world.events(limited);
    let Some(Body::Mark(refused)) = &told[0].body else { panic!("{told:?}") };
    assert_eq!(refused.error.clone().unwrap_or_default().code, "RIGHTS_CHANGED");
    // Clients 7 and 8: the one that was removed, and one that was never configured.
    for (client, call) in [(7, 1), (8, 2)] {
        let (client, call) = (ClientId(client), CallId(call));
        let asked = Ok(Box::new(crate::calls::Asked::open_orders(false)));
        world.input(Input::Call { client, call, asked });
    }
    assert_eq!(world.error(1).code, "RIGHTS_CHANGED");
    let request = crate::orders::request::OrderRequest::List(Default::default());
    world.input(Input::Order { client: ClientId(7), call: CallId(3), request });
    assert_eq!(world.error(3).code, "RIGHTS_CHANGED");
    world.hold(OTHER, AAPL);
    assert_eq!(world.bodies(free), [format!("{OTHER} 5")]);
    assert!(!world.replies.contains_key(&CallId(2)), "it is asked for");
}

#[test]
fn what_others_wait_for_is_counted_and_not_described() {
    let (mut world, limited, free) = limited();
    for (stream, symbol) in [(limited, "OWN1"), (free, "SECRET1")] {
        for subscription in 1..40 {
            world.subscribe(stream, subscription, &format!("{symbol}{subscription}"));
        }
    }
    let told = |caller| world.hub.queue(ClientId(caller), "", world.now).requests;
    let (shown, all) = (told(7), told(8));
    assert_eq!(shown.len(), all.len());
    assert!(format!("{all:?}").contains("SECRET1"));
    assert!(!format!("{shown:?}").contains("SECRET1") && format!("{shown:?}").contains("OWN1"));
    let others: Vec<_> = shown.iter().filter(|one| one.client.is_empty()).collect();
    assert!(!others.is_empty() && others.iter().all(|one| one.request.is_empty()), "{others:?}");
    assert_eq!(world.hub.queue(ClientId(7), "test", world.now).requests.len(), 0);
}

#[test]
fn whose_updates_are_in_the_way_is_told_to_those_who_may_know() {
    let (mut world, limited, free) = limited();
    world.want(free, 0, Wanted::account_updates(OTHER), Manner::default());
    world.want(limited, 0, Wanted::account_updates(OWN), Manner::default());
    let told = format!("{:?}", world.events(limited));
    assert!(told.contains("now of another account"), "{told}");
    assert!(!told.contains("DU***002"), "{told}");
}
