//! What all reading services do: check the caller, hand the wish to the hub, give back Gateway's
//! bytes.

use std::sync::Arc;

use ibouncer_core::calls::Asked;
use ibouncer_core::error::Error;
use ibouncer_core::hub::{Input, Manner, Reply};
use ibouncer_core::ids::StreamId;
use ibouncer_core::lines::wanted::Wanted;
use ibouncer_core::orders::request::OrderRequest;
use tonic::{Request, Response, Status};

use super::admin::unexpected;
use super::answers::say_waited;
use super::codec::Answer;
use super::connection::{Caller, Doorkeeper};
use super::events::{Elsewhere, Events};
use super::status::status;
use super::stream::StreamShared;
use crate::handle::{Command, Handle};

/// Serves all reading services.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Checks callers.
    pub doorkeeper: Doorkeeper,
    /// The way to the driver.
    pub handle: Handle,
    /// Bytes that wait for one stream before it is conflated.
    pub stream_buffer: usize,
}

impl Reader {
    /// A one-shot request: Gateway's answer, or its error.
    pub(super) async fn answer<T>(
        &self,
        request: Request<T>,
        ask: impl FnOnce(T) -> Result<Asked, Error>,
    ) -> Result<Response<Answer>, Status> {
        let caller = self.doorkeeper.admit(&request).await?;
        caller.account.admit()?;
        let asked = ask(request.into_inner()).map(Box::new);
        let made = |call| Input::Call { client: caller.client, call, asked };
        let reply = self.handle.call(made).await.map_err(|error| status(&error))?;
        // Gateway may have taken minutes, and the answer is cut to what the caller was.
        caller.check()?;
        match reply {
            Reply::Answer(answer) => caller.account.give(Answer(answer)),
            Reply::Paced(answer, waited) => {
                let mut response = caller.account.give(Answer(answer))?;
                say_waited(&mut response, waited);
                Ok(response)
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Something about orders.
    pub(super) async fn order<T>(
        &self,
        request: Request<T>,
        ask: impl FnOnce(T) -> OrderRequest,
    ) -> Result<Response<Answer>, Status> {
        let caller = self.doorkeeper.admit(&request).await?;
        let request = ask(request.into_inner());
        let made = |call| Input::Order { client: caller.client, call, request };
        match self.handle.call(made).await.map_err(|error| status(&error))? {
            Reply::Answer(answer) => Ok(caller.account.give_surely(Answer(answer))),
            other => Err(unexpected(&other)),
        }
    }

    /// A stream for one subscription, which ends with it.
    pub(super) async fn stream<T>(
        &self,
        request: Request<T>,
        want: impl FnOnce(T) -> Result<Wanted, Error>,
    ) -> Result<Response<Elsewhere>, Status> {
        let caller = self.doorkeeper.admit(&request).await?;
        let wanted = want(request.into_inner()).map(Box::new).map_err(|error| status(&error));
        let wanted = Ok(wanted?);
        let events = self.open(caller, true).await?;
        let subscribe = Input::Subscribe {
            stream: events.stream(),
            subscription: 0,
            wanted,
            manner: Manner::default(),
        };
        self.handle.tell(Command::Input(subscribe)).await.map_err(|error| status(&error))?;
        Ok(events.into_response())
    }

    /// A stream without a subscription yet.
    pub(super) async fn open(&self, caller: Caller, single: bool) -> Result<Events, Status> {
        let stream = StreamId(self.handle.number());
        let (handle, account) = (self.handle.clone(), Arc::clone(&caller.account));
        let shared = StreamShared::new(self.stream_buffer, stream, handle, account);
        let opened = Command::OpenStream(caller.client, stream, single, Arc::clone(&shared));
        self.handle.tell(opened).await.map_err(|error| status(&error))?;
        Ok(Events::new(shared, stream, caller))
    }
}
