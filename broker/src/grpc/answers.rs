//! Answers of calls on their way to clients: what is not taken is counted, bounded, and let go of
//! in the end.
//!
//! What may be left is decided in `ibouncer_core::unread`. Here is the response body that hands an
//! answer out piece by piece, and the driver's look at all clients. An answer is shared until a
//! piece of it leaves: a body of tonic's own would copy it whole before the client has room.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Frame;
use ibouncer_core::ids::ClientId;
use ibouncer_core::unread::{Next, Unread};
use tonic::{Response, Status};

use super::bodies::trailers;
use super::codec::Answer;
use super::status::status;

/// How long the request waited to leave for Gateway, in milliseconds.
const WAITED: &str = "ibouncer-waited-ms";

/// The answers of all clients.
#[derive(Debug, Default)]
pub struct Answers {
    limit: AtomicUsize,
    accounts: Mutex<BTreeMap<ClientId, Weak<Account>>>,
}

/// Clients that did not take their answers: whose, how many, and for how long.
pub type Evicted = Vec<(ClientId, usize, Duration)>;

impl Answers {
    /// Each client may leave so many bytes.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// The account of a client that joins; forgotten with its last holder.
    pub fn open(self: &Arc<Self>, client: ClientId) -> Arc<Account> {
        let unread = Mutex::new(Unread::default());
        let answers = Arc::clone(self);
        let account = Arc::new(Account { client, unread, streams: AtomicUsize::new(0), answers });
        self.lock().insert(client, Arc::downgrade(&account));
        account
    }

    /// Bytes that a client has not taken.
    pub fn unread(&self, client: ClientId) -> usize {
        let account = self.lock().get(&client).and_then(Weak::upgrade);
        account.map_or(0, |account| account.lock().bytes())
    }

    /// Lets go of what was left for longer than `patience`.
    pub fn evict(&self, now: Instant, patience: Duration) -> Evicted {
        // An account that goes away meanwhile locks the map.
        let accounts: Vec<_> = self.lock().values().filter_map(Weak::upgrade).collect();
        let evict = |account: Arc<Account>| {
            let (count, left) = account.lock().evict(now, patience)?;
            Some((account.client, count, left))
        };
        accounts.into_iter().filter_map(evict).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ClientId, Weak<Account>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answers of one client.
#[derive(Debug)]
pub struct Account {
    client: ClientId,
    unread: Mutex<Unread>,
    /// Streams that it has open.
    streams: AtomicUsize,
    answers: Arc<Answers>,
}

impl Account {
    /// Whose they are.
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// May this client ask for more?
    pub fn admit(&self) -> Result<(), Status> {
        let limit = self.answers.limit.load(Ordering::Relaxed);
        self.lock().admit(limit).map_err(|error| status(&error))
    }

    /// Gives an answer, if the client has room for it.
    pub fn give(self: &Arc<Self>, answer: Answer) -> Result<Response<Answer>, Status> {
        self.admit()?;
        Ok(self.give_surely(answer))
    }

    /// Gives an answer that must not be refused: what was asked for has been done.
    pub fn give_surely(self: &Arc<Self>, answer: Answer) -> Response<Answer> {
        let number = self.lock().hold(answer.0.clone(), Instant::now());
        let held = Held { account: Arc::clone(self), number };
        let mut response = Response::new(answer);
        response.extensions_mut().insert(Arc::new(held));
        response
    }

    /// One stream more or less; they share what may wait.
    pub(super) fn streams(&self) -> &AtomicUsize {
        &self.streams
    }

    fn lock(&self) -> MutexGuard<'_, Unread> {
        // Plain data, and no step of it can be seen half done.
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.answers.lock().remove(&self.client);
    }
}

/// Says how long a request waited.
pub fn say_waited(response: &mut Response<Answer>, waited: Duration) {
    response.metadata_mut().insert(WAITED, (waited.as_millis() as u64).into());
}

/// An answer that is counted; its place in the account is given back with it.
#[derive(Debug)]
pub(super) struct Held {
    account: Arc<Account>,
    number: u64,
}

impl Held {
    pub(super) fn body(self: Arc<Self>) -> AnswerBody {
        AnswerBody { held: self, over: false }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.account.lock().close(self.number);
    }
}

/// The body of a call's response.
#[derive(Debug)]
pub(super) struct AnswerBody {
    held: Arc<Held>,
    over: bool,
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let next = self.held.account.lock().next(self.held.number);
        let frame = match next {
            Next::Piece(bytes) => {
                let (account, number) = (Arc::clone(&self.held.account), self.held.number);
                Frame::data(Bytes::from_owner(Piece { bytes, account, number }))
            }
            Next::Over => Frame::trailers(trailers(&Status::ok(""))),
            Next::Evicted(error) => Frame::trailers(trailers(&status(&error))),
        };
        self.over = frame.is_trailers();
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}

/// Bytes that the transport has; they count until it lets go of them.
#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    account: Arc<Account>,
    number: u64,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.account.lock().left(self.number, self.bytes.len(), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http_body::Body as _;

    use super::super::bodies::hand_out;
    use super::*;

    fn account(limit: usize) -> (Arc<Answers>, Arc<Account>) {
        let answers = Arc::new(Answers::default());
        answers.set_limit(limit);
        let account = answers.open(ClientId(7));
        (answers, account)
    }

    fn body(response: Response<Answer>) -> tonic::body::Body {
        let (_, _, extensions) = response.into_parts();
        let mut response = http::Response::new(tonic::body::Body::empty());
        *response.extensions_mut() = extensions;
        hand_out(response).into_body()
    }

    async fn frame(body: &mut tonic::body::Body) -> Frame<Bytes> {
        poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_body_is_the_message_behind_its_header_and_the_status() {
        let (answers, account) = account(1000);
        let answer = Answer(Bytes::from(vec![7; 20_000]));
        let mut body = body(account.give(answer).unwrap());
        let mut message = Vec::new();
        let trailers = loop {
            match frame(&mut body).await.into_data() {
                Ok(piece) => message.extend_from_slice(&piece),
                Err(last) => break last.into_trailers().unwrap(),
            }
        };
        assert_eq!(message[..5], [0, 0, 0, 78, 32]);
        assert_eq!(message[5..], [7; 20_000]);
        assert_eq!(trailers["grpc-status"], "0");
        assert_eq!(answers.unread(ClientId(7)), 0);
    }

    #[tokio::test]
    async fn what_nobody_takes_is_refused_counted_and_let_go_of() {
        let (answers, account) = account(1000);
        let large = Bytes::from(vec![7; 100_000]);
        let mut body = body(account.give(Answer(large.clone())).unwrap());
        let first = frame(&mut body).await.into_data().unwrap();
        assert_eq!(answers.unread(ClientId(7)), 100_005, "also what the transport has");
        let refused = account.give(Answer(large.clone())).unwrap_err();
        assert_eq!(refused.metadata().get("ibouncer-code").unwrap(), "TOO_MANY");
        drop(account.give_surely(Answer(large.clone())));
        assert!(!large.is_unique(), "it is shared");
        let later = Instant::now() + Duration::from_secs(2);
        let evicted = answers.evict(later, Duration::from_secs(1));
        assert_eq!(evicted.iter().map(|(_, count, _)| *count).collect::<Vec<_>>(), [1]);
        assert!(large.is_unique(), "only a piece is left");
        assert_eq!(answers.unread(ClientId(7)), 0);
        drop(first);
        let trailers = frame(&mut body).await.into_trailers().unwrap();
        assert_eq!(trailers["ibouncer-code"], "SLOW_CLIENT");
        drop((body, account));
        assert!(answers.lock().is_empty(), "nothing is kept of a client that left");
    }
}
