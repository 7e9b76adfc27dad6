//! Streams that outlive their broker: finding the next one, and asking it for the same.
//!
//! [`Returning`] is the one loop behind all of them but market data, which sends as well as it
//! reads. What the program is told meanwhile is decided by whoever owns the stream.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;
use tonic::codec::Streaming;

use crate::client::{Client, Service};
use crate::error::{Error, Retry};
use crate::options::Options;

/// How to find a broker, again and again.
#[derive(Debug, Clone)]
pub(crate) struct Finder {
    options: Options,
}

impl Finder {
    /// `None` if streams are to end with their broker.
    pub(crate) fn new(options: &Options) -> Option<Self> {
        options.reconnect.then(|| Self { options: options.clone() })
    }

    /// One look.
    pub(crate) async fn look(&self) -> Option<Service> {
        let client = Client::connect(self.options.clone()).await.ok()?;
        Some(client.service())
    }
}

/// True for an error after which the same is asked anew: of another broker, or of this one under the
/// rights that hold now.
pub(crate) fn is_away(error: &Error) -> bool {
    error.is_unreachable() || [Error::STOPPING, Error::RIGHTS_CHANGED].contains(&error.code())
}

/// The broker ended a stream in good order, and another one is looked for.
pub(crate) const ENDED: &str = "the broker is away: it ended the stream";

/// Why values are old, for those who need do nothing: the stream comes back by itself.
pub(crate) fn why_stale(error: &Error) -> String {
    match error.code() {
        Error::RIGHTS_CHANGED => error.message().to_owned(),
        _ => format!("the broker is away: {error}"),
    }
}

/// True for an error with which the next broker would answer too.
pub(crate) fn is_final(error: &Error) -> bool {
    !is_away(error) && error.retry() == Retry::Never
}

/// Pauses between tries, from 0.1 to 5 s; each program of a crowd waits another time.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    tries: u32,
    until: Option<tokio::time::Instant>,
}

impl Pause {
    /// Can be dropped and called again.
    pub(crate) async fn wait(&mut self) {
        let until = *self.until.get_or_insert_with(|| {
            let longest = Duration::from_millis(100 << self.tries.min(6)).min(LONGEST_PAUSE);
            tokio::time::Instant::now() + longest.mul_f64(0.5 + 0.5 * fastrand::f64())
        });
        tokio::time::sleep_until(until).await;
        self.tries += 1;
        self.until = None;
    }
}

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The answers of one call.
pub(crate) type Answers<A> = Pin<Box<dyn Stream<Item = Result<A, Status>> + Send>>;

type Opening<A> = Pin<Box<dyn Future<Output = Result<Answers<A>, Status>> + Send>>;

/// Makes the same call of one broker after the other.
pub(crate) struct Opener<A>(Box<dyn Fn(Service) -> Opening<A> + Send + Sync>);

impl<A> Opener<A> {
    pub(crate) fn new<F>(open: impl Fn(Service) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Answers<A>, Status>> + Send + 'static,
    {
        Self(Box::new(move |service| Box::pin(open(service))))
    }
}

/// Answers as they come, each turned into what its stream hands out.
pub(crate) fn answers<A, B>(
    answer: tonic::Response<Streaming<A>>,
    turn: impl Fn(A) -> B + Send + 'static,
) -> Answers<B>
where
    A: Send + 'static,
    B: 'static,
{
    Box::pin(answer.into_inner().map(move |one| one.map(&turn)))
}

/// What a stream has to say next.
#[derive(Debug)]
pub(crate) enum Step<A> {
    Answer(A),
    /// The broker is away, or the rights were changed; what comes next is another call's.
    Lost(String),
    /// The broker ended the stream in good order, and no other one is looked for.
    End,
}

/// One call that is made again of the next broker.
pub(crate) struct Returning<A> {
    answers: Option<Answers<A>>,
    open: Opener<A>,
    /// Without, the stream ends with its broker.
    finder: Option<Finder>,
    pause: Pause,
    /// An end in good order is the end of it.
    ends: bool,
}

impl<A> Returning<A> {
    /// Makes the call for the first time; then an error is an error.
    pub(crate) async fn open(
        service: Service,
        finder: Option<Finder>,
        open: Opener<A>,
    ) -> Result<Self, Error> {
        let answers = (open.0)(service).await?;
        Ok(Self { answers: Some(answers), open, finder, pause: Pause::default(), ends: false })
    }

    /// For a call whose answers have an end.
    pub(crate) fn that_ends(self) -> Self {
        Self { ends: true, ..self }
    }

    /// The next step. May be dropped while it waits: nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Step<A>, Error> {
        loop {
            let Some(answers) = &mut self.answers else {
                if self.finder.is_none() {
                    return Ok(Step::End);
                }
                self.come_back().await?;
                continue;
            };
            let because = match answers.next().await {
                Some(Ok(answer)) => return Ok(Step::Answer(answer)),
                None if self.finder.is_none() || self.ends => {
                    self.stop();
                    return Ok(Step::End);
                }
                None => ENDED.to_owned(),
                Some(Err(status)) => {
                    let error = Error::from(status);
                    if self.finder.is_none() || !is_away(&error) {
                        self.stop();
                        return Err(error);
                    }
                    why_stale(&error)
                }
            };
            self.answers = None;
            self.pause = Pause::default();
            return Ok(Step::Lost(because));
        }
    }

    /// One try to find another broker, after a pause.
    async fn come_back(&mut self) -> Result<(), Error> {
        self.pause.wait().await;
        let Some(service) = (match &self.finder {
            Some(finder) => finder.look().await,
            None => None,
        }) else {
            return Ok(());
        };
        match (self.open.0)(service).await.map_err(Error::from) {
            Ok(answers) => self.answers = Some(answers),
            Err(error) if is_final(&error) => {
                self.stop();
                return Err(error);
            }
            Err(_) => {}
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.answers = None;
        self.finder = None;
    }
}

impl<A> fmt::Debug for Returning<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Returning")
            .field("is_open", &self.answers.is_some())
            .field("finder", &self.finder)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api;

    #[test]
    fn only_a_broker_that_is_away_is_called_so() {
        let of = |code: &str, message: &str| {
            let (code, message) = (code.to_owned(), message.to_owned());
            why_stale(&Error::from(api::Error { code, message, ..Default::default() }))
        };
        let changed = "the rights of clients.momentum were changed by a reload; ask anew";
        assert_eq!(of(Error::RIGHTS_CHANGED, changed), changed);
        assert!(of(Error::STOPPING, "it stops").starts_with("the broker is away: "));
    }
}
