//! States whose end mark waits while newer values come.

use ibouncer_proto::api::v1::{StreamPositionsResponse, account_event};
use ibouncer_proto::tws::v1::{Contract, Position};

use super::*;

fn entry(field: u8, sequence: u64, length: usize) -> Entry {
    Entry { length: length as u32, ..event(1, field, 0, sequence) }
}

fn position(con_id: i32, sequence: u64) -> Chunk {
    let contract = Some(Contract { con_id: Some(con_id), ..Contract::default() });
    let position = Some(sequence.to_string());
    let body = Position { contract, position, ..Position::default() }.encode_to_vec();
    Chunk::new(body.clone().into(), vec![entry(field::POSITION, sequence, body.len())])
}

fn mark(kind: MarkKind, sequence: u64) -> Chunk {
    let body = StreamMark { kind: kind.into(), ..StreamMark::default() }.encode_to_vec();
    Chunk::new(body.clone().into(), vec![entry(field::MARK, sequence, body.len())])
}

proptest! {
    /// Loads of some things each, changes between and behind them, and a reader who comes now and then.
    #[test]
    fn what_is_told_up_to_an_end_mark_is_the_whole_state(
        loads in prop::collection::vec(
            (prop::collection::btree_set(0_i32..6, 0..6), prop::collection::vec(0_i32..6, 0..8), any::<bool>()),
            1..4,
        ),
        pulls in prop::collection::vec(0_usize..120, 0..60),
    ) {
        let mut queue = StreamQueue::new(150);
        let mut pulls = pulls.into_iter();
        let mut out = BytesMut::new();
        let (mut sequence, mut pushed) = (0, 0);
        let mut wholes = BTreeMap::new();
        let mut newest = BTreeMap::new();
        for (things, changes, gap) in loads {
            let mut chunks = vec![];
            let mut next = || { sequence += 1; sequence };
            chunks.push(mark(MarkKind::Stale, next()));
            chunks.push(mark(MarkKind::Resumed, next()));
            newest.clear();
            for thing in &things {
                let at = next();
                newest.insert(*thing, at);
                chunks.push(position(*thing, at));
            }
            let end = next();
            wholes.insert(end, things);
            chunks.push(Chunk::new(Bytes::new(), vec![entry(field::POSITION_END, end, 0)]));
            if gap {
                chunks.push(mark(MarkKind::Gap, next()));
            }
            for thing in changes {
                let at = next();
                newest.insert(thing, at);
                chunks.push(position(thing, at));
            }
            for chunk in chunks {
                queue.push(chunk, now());
                pushed += 1;
                if let Some(most) = pulls.next() {
                    queue.pull(most, &mut out);
                }
            }
        }
        while queue.pull(100, &mut out) {}
        let mut state = BTreeMap::new();
        let (mut events, mut ended) = (0, 0);
        for event in StreamPositionsResponse::decode(&out[..]).unwrap().events {
            events += 1 + u64::from(event.skipped);
            match event.body.unwrap() {
                account_event::Body::Mark(mark) if mark.kind() == MarkKind::Resumed => state.clear(),
                account_event::Body::Position(one) => {
                    let con_id = one.contract.unwrap_or_default().con_id();
                    state.insert(con_id, one.position.unwrap_or_default().parse::<u64>().unwrap());
                }
                account_event::Body::PositionEnd(_) => {
                    ended = event.sequence;
                    for thing in &wholes[&event.sequence] {
                        prop_assert!(state.contains_key(thing), "{thing} before end {ended}");
                    }
                }
                _ => {}
            }
        }
        prop_assert_eq!(ended, *wholes.keys().last().unwrap(), "the newest end always comes");
        prop_assert_eq!(state, newest);
        prop_assert_eq!(events, pushed, "all are accounted for");
    }
}
