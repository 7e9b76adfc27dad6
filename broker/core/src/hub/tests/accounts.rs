//! Account updates: Gateway sends those of one account at a time, without an id.

use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;

use super::*;

const FIRST: &str = "DU0000001";
const SECOND: &str = "DU0000002";

impl World {
    pub(super) fn updates(&mut self, stream: StreamId, account: &str) {
        self.want(stream, 0, Wanted::account_updates(account), Manner::default());
    }

    /// What a stream listens to: the request, and the account in it.
    pub(super) fn heard(&self, stream: StreamId) -> Vec<(&'static str, String)> {
        let of = |(id, _): &(StreamId, _)| *id == stream;
        let (_, stream) = self.hub.streams.of(ClientId(stream.0)).find(of).unwrap();
        let stream = stream.subscriptions.values();
        let lines = stream.map(|slot| self.hub.lines.get(*slot).unwrap());
        let heard = lines.map(|line| {
            let body = &line.wanted.body[..];
            let account = match line.kind().tws {
                "reqAccountUpdates" => tws::AccountDataRequest::decode(body).unwrap().acct_code,
                "reqAccountUpdatesMulti" => {
                    tws::AccountUpdatesMultiRequest::decode(body).unwrap().account
                }
                _ => tws::PositionsMultiRequest::decode(body).unwrap().account,
            };
            (line.kind().tws, account.unwrap_or_default())
        });
        heard.collect()
    }

    /// READY again, with these accounts.
    pub(super) fn login(&mut self, accounts: &str) {
        let epoch = self.spawned.last().unwrap().0;
        self.worker(WorkerEvent::Spawned { pid: 101 });
        self.worker(WorkerEvent::Hello(Hello { epoch, ..Hello::default() }));
        for stage in
            [Stage::TcpConnected, Stage::VersionReceived, Stage::AccountsReceived, Stage::Ready]
        {
            let (stage, accounts) = (stage.into(), accounts.to_owned());
            let stage = StageReached { stage, server_version: 215, accounts, ..Default::default() };
            self.worker(WorkerEvent::Stage(stage));
        }
        assert!(self.hub.session.is_up());
    }

    /// Codes of the errors in its marks.
    pub(super) fn errors(&mut self, stream: StreamId) -> Vec<String> {
        let code = |event: MarketDataEvent| match event.body {
            Some(Body::Mark(mark)) => mark.error.map(|error| error.code),
            _ => None,
        };
        self.events(stream).into_iter().filter_map(code).collect()
    }

    /// The marks of a stream, and what was told with each.
    pub(super) fn marks(&mut self, stream: StreamId) -> Vec<(MarkKind, String)> {
        let mark = |event: MarketDataEvent| match event.body {
            Some(Body::Mark(mark)) => Some((mark.kind(), mark.because)),
            _ => None,
        };
        self.events(stream).into_iter().filter_map(mark).collect()
    }

    fn value(&mut self, account: &str, value: &str) {
        let value = tws::AccountValue {
            key: Some("NetLiquidation".into()),
            value: Some(value.into()),
            currency: Some("USD".into()),
            account_name: Some(account.into()),
        };
        self.frame(id::ACCT_VALUE, &value);
    }
}

pub(super) fn whole(account: &str) -> Vec<(&'static str, String)> {
    vec![("reqAccountUpdates", account.into())]
}

pub(super) fn instead(account: &str) -> Vec<(&'static str, String)> {
    vec![("reqAccountUpdatesMulti", account.into()), ("reqPositionsMulti", account.into())]
}

#[test]
fn an_account_that_is_not_named_is_the_first_of_the_login_whatever_others_ask_for() {
    for ready_first in [true, false] {
        for (before, served) in [(None, whole(FIRST)), (Some(SECOND), instead(FIRST))] {
            let mut world = match ready_first {
                true => World::at(Settings::default(), 215, &[FIRST, SECOND]),
                false => World::new(Settings::default()),
            };
            let (other, unnamed, named) = (world.open(1), world.open(2), world.open(3));
            if let Some(before) = before {
                world.updates(other, before);
            }
            world.updates(unnamed, "");
            if !ready_first {
                world.come_up(215, &[FIRST, SECOND]);
            }
            world.updates(named, FIRST);
            assert_eq!(world.heard(unnamed), served, "before READY: {}", !ready_first);
            if ready_first || before.is_none() {
                assert_eq!(world.heard(named), served, "and shares with whoever names it");
            }
            let asked = world.hub.lines.iter().filter(|(_, line)| line.wanted.unnamed).count();
            assert_eq!(asked, 0);
        }
    }
}

#[test]
fn all_accounts_are_not_taken_for_one_that_is_not_named_yet() {
    let mut world = World::new(Settings::default());
    let (other, all, unnamed) = (world.open(1), world.open(2), world.open(3));
    world.updates(other, SECOND);
    let multi = Wanted::account_updates_multi(tws::AccountUpdatesMultiRequest::default());
    world.want(all, 0, multi, Manner::default());
    world.updates(unnamed, "");
    world.come_up(215, &[FIRST, SECOND]);
    assert_eq!(world.heard(all), [("reqAccountUpdatesMulti", String::new())]);
    assert_eq!(world.heard(unnamed), instead(FIRST));
}

#[test]
fn a_number_that_is_too_large_is_refused_by_that_number_and_touches_no_second_line() {
    let mut world = World::at(Settings::default(), 215, &[FIRST, SECOND]);
    let (first, second) = (world.open(1), world.open(2));
    world.updates(first, FIRST);
    world.updates(second, SECOND);
    world.events(second);
    let too_large = 1 << 31;
    world.want(second, too_large + 5, Ok(Wanted::positions()), Manner::default());
    world.input(Input::Unsubscribe { stream: second, subscription: too_large });
    let told: Vec<_> = world
        .events(second)
        .into_iter()
        .map(|event| {
            let Some(Body::Mark(mark)) = event.body else { panic!("{event:?}") };
            let error = mark.error.clone().unwrap_or_default();
            (event.subscription_id, mark.kind(), error.code)
        })
        .collect();
    let refused = |number| (number, MarkKind::Refused, "BAD_SUBSCRIPTION_ID".to_owned());
    assert_eq!(told, [refused(too_large + 5), refused(too_large)]);
    assert_eq!(world.heard(second), instead(SECOND));
}

#[test]
fn what_still_comes_of_the_account_before_is_not_told_as_the_next_ones() {
    let mut world = World::at(Settings::default(), 215, &[FIRST, SECOND]);
    let (first, second) = (world.open(1), world.open(2));
    world.updates(first, FIRST);
    world.value(FIRST, "1");
    world.input(Input::StreamClosed { stream: first });
    world.updates(second, SECOND);
    world.value(FIRST, "2");
    let end = |account: &str| tws::AccountDataEnd { account_name: Some(account.into()) };
    world.frame(id::ACCT_DOWNLOAD_END, &end(FIRST));
    assert_eq!(world.events(second).len(), 1, "the mark that it is subscribed");
    // An advisor's name for all of them is none of the list, and passes.
    for account in [SECOND, "DU0000000A"] {
        world.value(account, "3");
    }
    world.frame(id::ACCT_DOWNLOAD_END, &end(SECOND));
    assert_eq!(world.events(second).len(), 3);
}

#[test]
fn a_state_that_is_to_be_asked_for_again_is_not_begun_by_what_still_comes_of_the_old_request() {
    let mut settings = Settings::default();
    settings.pacing.messages_per_second = 1;
    let mut world = World::at(settings, 215, &[FIRST]);
    let stream = world.open(1);
    world.pass(1);
    world.updates(stream, FIRST);
    let end = || tws::AccountDataEnd { account_name: Some(FIRST.into()) };
    world.value(FIRST, "1");
    world.frame(id::ACCT_DOWNLOAD_END, &end());
    world.events(stream);
    world.pass(1);
    // Its cancel leaves; the request waits for its turn.
    world.about(-1, 1101, "restored, data lost");
    world.value(FIRST, "2");
    world.frame(id::ACCT_DOWNLOAD_END, &end());
    let kinds = |world: &mut World| -> Vec<_> {
        let kind = |event: MarketDataEvent| match event.body {
            Some(Body::Mark(mark)) => mark.kind().as_str_name().to_owned(),
            _ => "data".to_owned(),
        };
        world.events(stream).into_iter().map(kind).collect()
    };
    assert_eq!(kinds(&mut world), ["MARK_KIND_STALE"]);
    world.pass(1);
    assert_eq!(world.sent_of(id::REQ_ACCT_DATA).len(), 3, "asked, cancelled, asked again");
    world.value(FIRST, "3");
    assert_eq!(kinds(&mut world), ["MARK_KIND_RESUMED", "data"]);
}

#[test]
fn whoever_named_no_account_is_not_told_of_the_one_before_once_another_login_follows() {
    for before_ready in [true, false] {
        for other in [None, Some(SECOND)] {
            let mut world = World::new(Settings::default());
            let (first, unnamed, named) = (world.open(1), world.open(2), world.open(3));
            if !before_ready {
                world.come_up(215, &[FIRST, SECOND]);
            }
            if let Some(other) = other {
                world.updates(first, other);
            }
            world.updates(unnamed, "");
            if before_ready {
                world.come_up(215, &[FIRST, SECOND]);
            }
            world.updates(named, FIRST);
            world.events(unnamed);

            let again = |world: &mut World, accounts: &str| {
                let spawned = world.spawned.len();
                world.worker(WorkerEvent::Exited(ExitStatus::Signal(9)));
                for _ in 0..100 {
                    world.look();
                    world.pass(u64::from(world.spawned.len() == spawned));
                }
                world.login(accounts);
            };
            // The same login, with its accounts in another order.
            again(&mut world, "DU0000002,DU0000001");
            assert!(!world.heard(unnamed).is_empty());
            world.events(unnamed);
            again(&mut world, "DU0000009");
            assert!(world.heard(unnamed).is_empty());
            assert_eq!(world.errors(unnamed), ["LOGIN_CHANGED"], "{before_ready} {other:?}");
            assert!(world.heard(named).is_empty(), "the login has no such account any more");
            let told = world.errors(named);
            assert_eq!(told, ["INVALID_ARGUMENT"]);
            world.updates(unnamed, "");
            assert!(world.heard(unnamed).iter().all(|(_, account)| account == "DU0000009"));
        }
    }
}

#[test]
fn an_account_that_the_login_does_not_have_never_gets_the_one_place() {
    let mut world = World::at(Settings::default(), 215, &[FIRST, SECOND]);
    let (mistyped, other) = (world.open(1), world.open(2));
    world.updates(mistyped, "DU0000009");
    assert_eq!(world.errors(mistyped), ["INVALID_ARGUMENT"]);
    world.updates(other, SECOND);
    assert_eq!(world.heard(other), whole(SECOND));
    // An advisor asks for all of its accounts by a name that is none of the list.
    for account in ["DU0000001A", "DF0000009A", "All"] {
        let advisor = world.open(3);
        world.updates(advisor, account);
        assert_eq!(world.heard(advisor), instead(account));
        world.input(Input::StreamClosed { stream: advisor });
    }

    // Before READY the accounts are not known.
    let mut world = World::new(Settings::default());
    let (mistyped, other) = (world.open(1), world.open(2));
    world.updates(mistyped, "DU0000009");
    world.updates(other, SECOND);
    assert_eq!(world.heard(other), instead(SECOND));
    let told = world.marks(other);
    assert!(told.iter().any(|(_, because)| because.contains("now of DU***009")), "{told:?}");
    world.come_up(215, &[FIRST, SECOND]);
    assert!(world.heard(mistyped).is_empty());
    assert_eq!(world.errors(mistyped), ["INVALID_ARGUMENT"]);
    assert_eq!(world.heard(other), whole(SECOND));
}

#[test]
fn whoever_was_served_from_other_requests_gets_the_updates_once_their_place_is_free() {
    let mut world = World::at(Settings::default(), 215, &[FIRST, SECOND, "DU0000003"]);
    let (first, second, same) = (world.open(1), world.open(2), world.open(3));
    let (third, values) = (world.open(4), world.open(5));
    world.updates(first, FIRST);
    for stream in [second, same] {
        world.updates(stream, SECOND);
        world.events(stream);
    }
    world.updates(third, "DU0000003");
    // One who asked for those values themselves keeps them.
    let request = tws::AccountUpdatesMultiRequest {
        account: Some(SECOND.into()),
        ..tws::AccountUpdatesMultiRequest::default()
    };
    world.want(values, 1, Wanted::account_updates_multi(request), Manner::default());
    world.pass(1);
    let end = tws::AccountDataEnd { account_name: Some(FIRST.into()) };
    world.frame(id::ACCT_DOWNLOAD_END, &end);
    world.input(Input::StreamClosed { stream: first });
    world.pass(1);
    for stream in [second, same] {
        assert_eq!(world.heard(stream), whole(SECOND));
        let kinds: Vec<_> = world.marks(stream).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [MarkKind::Reset, MarkKind::Subscribed]);
    }
    assert_eq!(world.heard(third), instead("DU0000003"));
    assert_eq!(world.heard(values).len(), 1);
    assert_eq!(world.sent_of(id::REQ_ACCT_DATA).len(), 3, "asked, cancelled, asked");
    assert_eq!(world.sent_of(id::CANCEL_POSITIONS_MULTI).len(), 1);
    assert!(world.sent_of(id::CANCEL_ACCOUNT_UPDATES_MULTI).is_empty(), "one is left");
    world.value(SECOND, "1");
    assert_eq!(world.events(second).len(), 1);
    world.input(Input::Unsubscribe { stream: second, subscription: 0 });
    assert_eq!(world.heard(third), instead("DU0000003"), "another has the place still");
    world.events(third);
    world.input(Input::Unsubscribe { stream: same, subscription: 0 });
    world.pass(1);
    // The rest of that load would be taken for the next one's, so who is served stays as it is.
    assert_eq!(world.heard(third), instead("DU0000003"));
    assert!(world.events(third).is_empty());
    world.frame(id::ACCT_DOWNLOAD_END, &tws::AccountDataEnd { account_name: Some(SECOND.into()) });
    assert_eq!(world.heard(third), whole("DU0000003"));
}

#[test]
fn updates_that_gateway_refuses_are_told_and_leave_their_place() {
    let mut world = World::at(Settings::default(), 215, &[FIRST, SECOND]);
    let (first, second) = (world.open(1), world.open(2));
    world.updates(first, FIRST);
    world.updates(second, SECOND);
    world.pass(1);
    world.about(-1, 321, "Error validating request: invalid account code");
    assert!(world.heard(first).is_empty());
    assert_eq!(world.errors(first), ["GATEWAY_ERROR"]);
    assert_eq!(world.heard(second), whole(SECOND));
}

#[test]
fn updates_that_another_program_has_are_served_from_other_requests_until_it_may_be_gone() {
    for code in [2100, 2101] {
        let mut world = World::at(Settings::default(), 215, &[FIRST, SECOND]);
        let (first, second, third) = (world.open(1), world.open(2), world.open(3));
        world.updates(first, FIRST);
        world.updates(second, SECOND);
        world.pass(1);
        world.events(first);
        world.about(-1, code, "another client has it");
        assert_eq!(world.heard(first), instead(FIRST));
        let told = world.marks(first);
        assert_eq!((told[0].0, told[1].0), (MarkKind::Reset, MarkKind::Subscribed));
        assert!(told[0].1.contains("another API program"), "{told:?}");
        assert_eq!(world.heard(second), instead(SECOND), "asking would end what serves it");
        // No fight: a wish that comes does not ask either, and no cancel leaves.
        world.updates(third, FIRST);
        world.pass(59);
        assert_eq!(world.heard(third), instead(FIRST));
        assert!(world.marks(third).iter().any(|(_, why)| why.contains("another API program")));
        assert_eq!(world.sent_of(id::REQ_ACCT_DATA).len(), 1);
        assert!(world.errors(first).is_empty() && world.ended.is_empty());

        world.worker(WorkerEvent::Exited(ExitStatus::Signal(9)));
        world.look();
        world.pass(1);
        world.login(&format!("{FIRST},{SECOND}"));
        assert_eq!(world.heard(second), whole(SECOND), "who has waited longest asks again");
        assert_eq!(world.heard(first), instead(FIRST));
    }
}

#[test]
fn a_wish_that_comes_a_minute_after_another_program_took_the_updates_asks_for_them() {
    let mut world = World::at(Settings::default(), 215, &[FIRST, SECOND]);
    let (first, second) = (world.open(1), world.open(2));
    world.updates(first, FIRST);
    world.pass(1);
    world.about(-1, 2101, "another client has it");
    world.pass(61);
    world.updates(second, SECOND);
    world.pass(1);
    assert_eq!(world.heard(second), whole(SECOND));
    world.about(-1, 2101, "another client has it");
    assert_eq!(world.heard(second), instead(SECOND));
}

#[test]
fn an_error_without_an_id_is_about_account_updates_if_it_names_them_or_nothing_else_is_open() {
    let mut world = World::at(Settings::default(), 215, &[FIRST]);
    let stream = world.open(1);
    world.updates(stream, FIRST);
    world.call(1, Ok(crate::calls::Asked::family_codes()));
    world.pass(1);
    world.about(-1, 321, "Error validating request");
    assert!(world.errors(stream).is_empty() && world.replies.is_empty(), "it may be either");
    world.about(-1, 321, "Error validating request: account code 'DU0000001'");
    assert_eq!(world.errors(stream), ["GATEWAY_ERROR"]);
    world.about(-1, 321, "Error validating request");
    assert_eq!(world.error(1).gateway_code, 321);
}
