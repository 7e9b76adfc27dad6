//! Reading a state to its end, so that what is told is current; otherwise it says what it is not.
//!
//! A line that others share tells what it remembers at once, end mark included, and says STALE
//! behind that: the end mark alone proves nothing. Here the session must have been READY from
//! before the first value until behind the last one, and what was remembered stands only if no
//! STALE follows it. With a GAP it is not whole, and no answer either.

use std::time::Duration;

use crate::api::{GetStatusRequest, MarkKind, SessionState, Status, StreamMark};
use crate::client::{Service, no_status};
use crate::error::Error;
use crate::stubs::session_service_client::SessionServiceClient;
use crate::subscription::Subscription;
use crate::told::Event;

/// How long a mark may take from the broker's queue to here.
const UNDER_WAY: Duration = Duration::from_millis(300);

/// The whole state, gathered by `take`, which answers true at its end mark.
pub(crate) async fn current<E: Event, T: Default>(
    service: &Service,
    open: impl AsyncFnMut() -> Result<Subscription<E>, Error>,
    take: impl FnMut(E, &mut T) -> bool,
) -> Result<T, Error> {
    // Requests are large, and are held until the end.
    Box::pin(gather(Asked { service, open, events: None }, take)).await
}

fn check(status: &Status) -> Result<(), Error> {
    if status.state() == SessionState::Ready {
        return Ok(());
    }
    let state = status.state().as_str_name().trim_start_matches("SESSION_STATE_");
    Err(Error::not_current(&format!("the session is {state}: {}", status.reason)))
}

/// Where a state is read from.
trait Source<E> {
    async fn status(&mut self) -> Result<Status, Error>;
    /// Begins, from the start if it had begun.
    async fn open(&mut self) -> Result<(), Error>;
    /// All that is here, of what is open; empty at its end.
    async fn next_batch(&mut self) -> Result<Vec<E>, Error>;
}

async fn gather<E: Event, T: Default>(
    mut source: impl Source<E>,
    mut take: impl FnMut(E, &mut T) -> bool,
) -> Result<T, Error> {
    let mut before = source.status().await?;
    loop {
        check(&before)?;
        source.open().await?;
        let mut found = T::default();
        let remembered = read(&mut source, &mut take, &mut found).await?;
        // Answered after the broker has queued the STALE of what it remembers, if there is one.
        let after = source.status().await?;
        check(&after)?;
        if remembered {
            settle(&mut source).await?;
        }
        if after.epoch == before.epoch {
            return Ok(found);
        }
        // Another session: what came meanwhile may be of the one before. Whatever happens within
        // one, the line itself says STALE.
        before = after;
    }
}

/// Reads to the end mark; true if that was a remembered one.
async fn read<E: Event, T: Default>(
    source: &mut impl Source<E>,
    mut take: impl FnMut(E, &mut T) -> bool,
    found: &mut T,
) -> Result<bool, Error> {
    loop {
        let mut end = None;
        for event in next_batch(source).await? {
            if end.is_some() {
                continue;
            }
            if event.mark().is_some_and(|mark| mark.kind() == MarkKind::Reset) {
                *found = T::default();
                continue;
            }
            let remembered = event.is_replayed();
            if take(event, found) {
                end = Some(remembered);
            }
        }
        if let Some(remembered) = end {
            return Ok(remembered);
        }
    }
}

/// Waits for a STALE that is under way.
async fn settle<E: Event>(source: &mut impl Source<E>) -> Result<(), Error> {
    let fresh = async {
        loop {
            let batch = next_batch(source).await?;
            if batch.iter().any(|event| event.mark().is_none() && !event.is_replayed()) {
                return Ok(());
            }
        }
    };
    tokio::time::timeout(UNDER_WAY, fresh).await.unwrap_or(Ok(()))
}

/// A batch in which nothing says that its values are old, or not all.
async fn next_batch<E: Event>(source: &mut impl Source<E>) -> Result<Vec<E>, Error> {
    let batch = source.next_batch().await?;
    if batch.is_empty() {
        return Err(Error::stream_closed());
    }
    batch.iter().filter_map(Event::mark).try_for_each(check_mark)?;
    Ok(batch)
}

fn check_mark(mark: &StreamMark) -> Result<(), Error> {
    match mark.kind() {
        MarkKind::Stale => Err(Error::not_current(&mark.because)),
        MarkKind::Gap => Err(Error::not_whole(&mark.because)),
        MarkKind::Ended | MarkKind::Refused => Err(match mark.error.clone() {
            Some(error) => error.into(),
            None => Error::bad_answer(format!(
                "the subscription ended before its state was whole: {}",
                mark.because
            )),
        }),
        _ => Ok(()),
    }
}

/// The broker.
struct Asked<'a, F, E> {
    service: &'a Service,
    open: F,
    events: Option<Subscription<E>>,
}

impl<E, F> Source<E> for Asked<'_, F, E>
where
    E: Event,
    F: AsyncFnMut() -> Result<Subscription<E>, Error>,
{
    async fn status(&mut self) -> Result<Status, Error> {
        let mut session = SessionServiceClient::new(self.service.clone());
        let answer = session.get_status(GetStatusRequest {}).await?;
        answer.into_inner().status.ok_or_else(no_status)
    }

    async fn open(&mut self) -> Result<(), Error> {
        self.events = Some((self.open)().await?);
        Ok(())
    }

    async fn next_batch(&mut self) -> Result<Vec<E>, Error> {
        match &mut self.events {
            Some(events) => events.next_batch().await,
            None => Ok(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::api::AccountEvent;
    use crate::api::account_event::Body;
    use crate::tws::{Position, PositionEnd};

    /// Statuses in the order in which they are asked for, and the batches of each opening; then
    /// silence.
    #[derive(Default)]
    struct Script {
        statuses: VecDeque<Status>,
        openings: VecDeque<Vec<Vec<AccountEvent>>>,
        batches: VecDeque<Vec<AccountEvent>>,
        opened: usize,
    }

    impl Source<AccountEvent> for &mut Script {
        async fn status(&mut self) -> Result<Status, Error> {
            Ok(self.statuses.pop_front().expect("asked for no more"))
        }

        async fn open(&mut self) -> Result<(), Error> {
            self.opened += 1;
            self.batches = self.openings.pop_front().expect("opened no more").into();
            Ok(())
        }

        async fn next_batch(&mut self) -> Result<Vec<AccountEvent>, Error> {
            match self.batches.pop_front() {
                Some(batch) => Ok(batch),
                None => std::future::pending().await,
            }
        }
    }

    fn status(state: SessionState, epoch: u64) -> Status {
        let reason = "1100: Connectivity between IB and Gateway has been lost".into();
        Status { state: state.into(), epoch, reason, ..Default::default() }
    }

    fn ready(epoch: u64) -> Status {
        status(SessionState::Ready, epoch)
    }

    fn event(replayed: bool, body: Body) -> AccountEvent {
        AccountEvent { replayed, body: Some(body), ..Default::default() }
    }

    fn mark(kind: MarkKind) -> AccountEvent {
        let because = "Gateway has lost IB".into();
        let mark = StreamMark { kind: kind.into(), because, ..Default::default() };
        event(false, Body::Mark(mark))
    }

    /// A holding and the end mark.
    fn state(replayed: bool, size: &str) -> Vec<AccountEvent> {
        let position = Position { position: Some(size.into()), ..Default::default() };
        let end = event(replayed, Body::PositionEnd(PositionEnd {}));
        vec![mark(MarkKind::Subscribed), event(replayed, Body::Position(position)), end]
    }

    fn script<const N: usize>(
        statuses: [Status; N],
        openings: impl Into<VecDeque<Vec<Vec<AccountEvent>>>>,
    ) -> Script {
        Script { statuses: statuses.into(), openings: openings.into(), ..Script::default() }
    }

    async fn told(script: &mut Script) -> Result<Vec<String>, Error> {
        let take = |event: AccountEvent, found: &mut Vec<String>| match event.body {
            Some(Body::Position(position)) => {
                found.push(position.position.unwrap_or_default());
                false
            }
            body => matches!(body, Some(Body::PositionEnd(_))),
        };
        gather(script, take).await
    }

    #[track_caller]
    fn not_ready(answer: Result<Vec<String>, Error>, word: &str) {
        let error = answer.unwrap_err();
        assert_eq!(error.code(), Error::NOT_READY);
        assert!(error.message().contains(word), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_session_and_while_ib_is_lost_nothing_is_asked() {
        for state in [SessionState::Degraded, SessionState::GatewayAbsent] {
            let mut script = script([status(state, 1)], []);
            not_ready(told(&mut script).await, "1100");
            assert_eq!(script.opened, 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_no_answer_if_stale_follows_it_in_any_batch() {
        let mut joined = state(true, "5");
        joined.push(mark(MarkKind::Stale));
        let apart = vec![state(true, "5"), vec![mark(MarkKind::Stale)]];
        for batches in [vec![joined], apart] {
            let mut script = script([ready(1), ready(1)], [batches]);
            not_ready(told(&mut script).await, "Gateway has lost IB");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_with_a_gap_is_no_answer() {
        for replayed in [true, false] {
            let mut told_of = state(replayed, "5");
            told_of.insert(1, mark(MarkKind::Gap));
            let mut script = script([ready(1)], [vec![told_of]]);
            assert_eq!(told(&mut script).await.unwrap_err().code(), Error::INCOMPLETE);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_of_a_live_line_and_what_is_fresh_are_answers() {
        for replayed in [true, false] {
            let mut script = script([ready(1), ready(1)], [vec![state(replayed, "5")]]);
            assert_eq!(told(&mut script).await.unwrap(), ["5"], "replayed: {replayed}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_gateway_told_while_it_lost_ib_is_no_answer_even_without_stale() {
        let lost = status(SessionState::Degraded, 1);
        let mut script = script([ready(1), lost], [vec![state(false, "5")]]);
        not_ready(told(&mut script).await, "DEGRADED");
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_session_told_is_asked_for_again() {
        let openings = [vec![state(true, "5")], vec![state(false, "6")]];
        let mut script = script([ready(1), ready(2), ready(2)], openings);
        assert_eq!(told(&mut script).await.unwrap(), ["6"]);
        assert_eq!(script.opened, 2);
    }
}
