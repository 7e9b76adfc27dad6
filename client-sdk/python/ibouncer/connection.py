"""The channel to the broker: finding it, reaching it, and finding it again after it was away.

A `Connection` belongs to one session; all its calls and streams share the channel. A new broker
has a new token and perhaps other addresses, so each search looks at everything anew. What breaks
asks for another channel with `renewing`; one search at a time serves all who wait. `Comeback` says
when a stream may try, and nothing here sends a request a second time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from ibouncer import endpoint, errors
from ibouncer._pb import stubs
from ibouncer._pb.ibouncer.v1 import market_data_pb2

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


class Opened:
    """A channel and its stubs."""

    def __init__(
        self, found: endpoint.Endpoint, credentials: grpc.ChannelCredentials | None
    ) -> None:
        self.endpoint = found
        options = found.options()
        if credentials is None and found.tls is not None:
            credentials = found.tls.credentials()
        self.channel = (
            grpc.aio.insecure_channel(found.target, options=options)
            if credentials is None
            else grpc.aio.secure_channel(found.target, credentials, options=options)
        )
        self.session = stubs.SessionServiceStub(self.channel)
        self.account = stubs.AccountServiceStub(self.channel)
        self.market_data = stubs.MarketDataServiceStub(self.channel)
        # Its answers stay bytes: `bulk` reads more of them than a message at a time.
        self.stream_market_data: grpc.aio.StreamStreamMultiCallable[
            market_data_pb2.StreamMarketDataRequest, bytes
        ] = self.channel.stream_stream(
            "/ibouncer.v1.MarketDataService/StreamMarketData",
            request_serializer=market_data_pb2.StreamMarketDataRequest.SerializeToString,
        )
        self.admin = stubs.AdminServiceStub(self.channel)
        self.contract = stubs.ContractServiceStub(self.channel)
        self.history = stubs.HistoryServiceStub(self.channel)
        self.order = stubs.OrderServiceStub(self.channel)
        self.news = stubs.NewsServiceStub(self.channel)
        self.scanner = stubs.ScannerServiceStub(self.channel)


class Connection:
    """The session's channel, replaced when it broke."""

    def __init__(
        self,
        find: Callable[[], endpoint.Plan],
        credentials: grpc.ChannelCredentials | None,
        timeout: float,
    ) -> None:
        self._find = find
        self._credentials = credentials
        self._timeout = timeout
        self._now: Opened | None = None
        self._search: asyncio.Task[Opened] | None = None
        self._closed = False

    @property
    def now(self) -> Opened:
        """The channel as it is; raises if the session is not open, or not any more."""
        if self._closed:
            raise errors.session_closed("not-sent")
        if self._now is None:
            raise errors.ClientError(
                "the session is not open: use `async with ibouncer.connect() as session`",
                code="SESSION_NOT_OPEN",
                delivery="not-sent",
            )
        return self._now

    async def open(self) -> None:
        """Connects, unless that is done; raises BrokerNotFound."""
        self._closed = False
        if self._now is None:
            self._now = await self._reach_one()

    async def close(self) -> None:
        """Ends the channel, and a search for another one."""
        self._closed = True
        now, self._now = self._now, None
        search, self._search = self._search, None
        if search is not None:
            search.cancel()
            await asyncio.wait([search])
        if now is not None:
            await now.channel.close()

    def renewing(self, broken: Opened) -> asyncio.Future[Opened]:
        """A channel in place of one on which something broke; not to be cancelled by who waits.

        It is the same one if that works: then only the call broke, and not the transport.
        """
        now = self.now
        if now is not broken or now.channel.get_state() is grpc.ChannelConnectivity.READY:
            found = asyncio.get_running_loop().create_future()
            found.set_result(now)
            return found
        if self._search is None or self._search.done():
            self._search = asyncio.ensure_future(self._replace())
            self._search.add_done_callback(look_at_exception)
        return self._search

    async def renew(self, broken: Opened) -> Opened:
        """The same for who waits for nothing else."""
        renewing = self.renewing(broken)
        await asyncio.wait([renewing])
        if renewing.cancelled():
            raise errors.session_closed()
        return renewing.result()

    async def _replace(self) -> Opened:
        # The old channel is closed when the last stream lets go of it: what it still has for its
        # reader is not lost.
        self._now = found = await self._reach_one()
        return found

    async def _reach_one(self) -> Opened:
        plan = self._find()
        tried = list(plan.ruled_out)
        for found in plan.endpoints:
            opened = Opened(found, self._credentials)
            failure: str | None = "given up"
            try:
                failure = await _reach(opened, self._timeout)
            finally:
                if failure is not None:
                    await opened.channel.close()
            if failure is None:
                return opened
            tried.append(f"{found.target}{found.origin}: {failure}")
        raise endpoint.not_found(tried)


class Comeback:
    """How one stream returns: over which channel, and not before when.

    Pauses double from 0.1 to 5 s, with jitter, and start anew once a stream has lived for long.
    """

    def __init__(self, connection: Connection, *, reconnect: bool) -> None:
        self.opened = connection.now
        self.closing = asyncio.Event()
        self._connection = connection
        self._reconnect = reconnect
        self._pause = FIRST_PAUSE
        self._not_before = 0.0
        self._opened_at: float | None = None

    def on_opened(self) -> None:
        """The stream was opened over `opened`."""
        self._opened_at = asyncio.get_running_loop().time()

    def on_broken(self, error: errors.IBouncerError) -> None:
        """The stream broke, or could not be opened; raises what will not go away by itself."""
        if not self._reconnect or error.retry == "never":
            self.closing.set()
            raise error
        now = asyncio.get_running_loop().time()
        if self._opened_at is not None and now - self._opened_at >= LONGEST_PAUSE:
            self._pause = FIRST_PAUSE
        self._opened_at = None
        pause = min(self._pause * random.uniform(0.8, 1.2), LONGEST_PAUSE)
        self._not_before = now + pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    async def wait(self) -> bool:
        """Waits for the time and a channel; False if the stream was closed meanwhile.

        May be cancelled: who waits next waits for the rest.
        """
        pause = self._not_before - asyncio.get_running_loop().time()
        if pause > 0:
            await self._closing_or((), pause)
        if self.closing.is_set():
            return False
        renewing = self._connection.renewing(self.opened)
        await self._closing_or((renewing,), None)
        if self.closing.is_set():
            return False
        if renewing.cancelled():
            # Not the one who waits here, who asks for another search.
            raise errors.unavailable("the search for it was cancelled")
        self.opened = renewing.result()
        return True

    async def _closing_or(
        self, others: tuple[asyncio.Future[Any], ...], timeout: float | None
    ) -> None:
        closing = asyncio.ensure_future(self.closing.wait())
        try:
            await asyncio.wait(
                (closing, *others), timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            closing.cancel()


def look_at_exception(done: asyncio.Future[Any]) -> None:
    """For work that perhaps nobody waits for any more: asyncio shall not complain of that."""
    if not done.cancelled():
        done.exception()


async def _reach(opened: Opened, timeout: float) -> str | None:
    """Waits until the channel is up; says why it is not. gRPC alone would try for ever."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while True:
        state = opened.channel.get_state(try_to_connect=True)
        if state is grpc.ChannelConnectivity.READY:
            return None
        if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            return "nobody answers there"
        change = asyncio.ensure_future(opened.channel.wait_for_state_change(state))
        changed = False
        try:
            await asyncio.wait({change}, timeout=max(deadline - loop.time(), 0))
            changed = change.done()
        finally:
            if not changed:
                # A watch that is merely cancelled answers after the loop has gone.
                await opened.channel.close()
                await asyncio.wait({change}, timeout=1)
        if not changed:
            return f"no answer within {timeout:g} s"
