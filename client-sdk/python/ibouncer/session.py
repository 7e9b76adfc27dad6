"""Connecting, and the calls of the shared session.

A Session owns one gRPC channel to the broker. It never talks to Gateway, and closing it leaves
the session with Gateway to the other clients.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import grpc
import grpc.aio

from ibouncer import endpoint, errors
from ibouncer._pb import stubs
from ibouncer._pb.ibouncer.v1 import account_pb2, market_data_pb2, session_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer.admin import Admin
from ibouncer.contracts import as_contract
from ibouncer.market_data import MarketDataStream, Quotes, market_data_request, wire_feed
from ibouncer.status import Status, StatusWatch
from ibouncer.ticks import Feed, Snapshot, decode

if TYPE_CHECKING:
    from typing_extensions import Self

Request = TypeVar("Request")
Response = TypeVar("Response")

CALL_TIMEOUT = 10.0
# Gateway collects for up to 11 s, and the request may have to wait for its turn.
SNAPSHOT_TIMEOUT = 30.0
LONGEST_WAIT = 3600.0


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this login."""

    account: str
    paper: bool


def connect(
    target: str | None = None,
    *,
    name: str | None = None,
    token: str | None = None,
    instance: str | None = None,
    runtime_dir: str | Path | None = None,
    credentials: grpc.ChannelCredentials | None = None,
    timeout: float = 5.0,
) -> Session:
    """A session, to be used with `async with`; finds the broker unless `target` names one.

    `target` is "unix:/PATH" or "HOST:PORT"; `name` is what others see of this program, by default
    `program@host:pid`; `credentials` switches TLS on; `timeout` is for reaching the broker, in
    seconds. Entering raises BrokerNotFound if there is none.
    """
    return Session(
        target=target,
        name=name,
        token=token,
        instance=instance,
        runtime_dir=runtime_dir,
        credentials=credentials,
        timeout=timeout,
    )


class Session:
    """The session with Gateway, shared with other programs. Made by `connect`."""

    def __init__(
        self,
        *,
        target: str | None,
        name: str | None,
        token: str | None,
        instance: str | None,
        runtime_dir: str | Path | None,
        credentials: grpc.ChannelCredentials | None,
        timeout: float,
    ) -> None:
        self._wishes = (target, token, name, instance, runtime_dir)
        self._credentials = credentials
        self._timeout = timeout
        self._opened: _Opened | None = None
        self._streams: weakref.WeakSet[MarketDataStream | StatusWatch] = weakref.WeakSet()

    async def open(self) -> None:
        """Connects; `async with` does it."""
        if self._opened is not None:
            return
        target, token, name, instance, runtime_dir = self._wishes
        plan = endpoint.find(
            os.environ,
            target=target,
            token=token,
            name=name,
            instance=instance,
            runtime_dir=runtime_dir,
        )
        tried = list(plan.ruled_out)
        for found in plan.endpoints:
            opened = _Opened(found, self._credentials)
            failure: str | None = "given up"
            try:
                failure = await _reach(opened, self._timeout)
            finally:
                if failure is not None:
                    await opened.channel.close()
            if failure is None:
                self._opened = opened
                return
            tried.append(f"{found.target}{found.origin}: {failure}")
        raise endpoint.not_found(tried)

    async def close(self) -> None:
        """Ends all streams and the connection."""
        opened, self._opened = self._opened, None
        if opened is None:
            return
        for stream in list(self._streams):
            await (stream.close() if isinstance(stream, MarketDataStream) else stream.aclose())
        await opened.channel.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def target(self) -> str:
        """Where the broker was found."""
        return self._now.endpoint.target

    async def status(self) -> Status:
        """The session's status as it is now."""
        response = await self._ask(self._now.session.GetStatus, session_pb2.GetStatusRequest())
        return Status.from_message(response.status)

    async def wait_ready(self, timeout: float = 60.0) -> Status:
        """Waits until the session is READY; raises NotReady after `timeout` seconds."""
        timeout = min(max(timeout, 0.0), LONGEST_WAIT)
        request = session_pb2.WaitReadyRequest()
        request.timeout.FromNanoseconds(int(timeout * 1e9))
        response = await self._ask(
            self._now.session.WaitReady, request, timeout=timeout + CALL_TIMEOUT
        )
        status = Status.from_message(response.status)
        if not response.ready:
            raise errors.NotReady(f"the session is not ready after {timeout:g} s: {status}", status)
        return status

    def watch_status(self) -> StatusWatch:
        """Status and transitions at every change; the first one at once."""
        opened = self._now
        request = session_pb2.WatchStatusRequest()
        call = opened.session.WatchStatus(request, metadata=opened.endpoint.metadata())
        watch = StatusWatch(call)
        self._streams.add(watch)
        return watch

    async def accounts(self) -> list[Account]:
        """The accounts of this login."""
        request = account_pb2.ListAccountsRequest()
        response = await self._ask(self._now.account.ListAccounts, request)
        return [Account(item.account, item.paper) for item in response.accounts]

    def market_data(self, *, reconnect: bool = False) -> MarketDataStream:
        """A stream of its own; without `reconnect` it raises when the broker goes away."""
        opened = self._now
        stream = MarketDataStream(opened.market_data, opened.endpoint.metadata, reconnect=reconnect)
        self._streams.add(stream)
        return stream

    def quotes(
        self,
        *contracts: Contract | str,
        generic_ticks: str | Iterable[int] = "",
        feed: Feed | None = None,
        reconnect: bool = True,
    ) -> Quotes:
        """Quotes of some contracts; a string means a US stock."""
        stream = self.market_data(reconnect=reconnect)
        return Quotes(stream, contracts, generic_ticks=generic_ticks, feed=feed)

    async def snapshot(
        self,
        contract: Contract | str,
        *,
        generic_ticks: str = "",
        feed: Feed | None = None,
        timeout: float = SNAPSHOT_TIMEOUT,
    ) -> Snapshot:
        """One snapshot; Gateway collects for up to 11 s."""
        wanted = as_contract(contract)
        request = market_data_pb2.GetSnapshotRequest(
            request=market_data_request(wanted, generic_ticks), feed=wire_feed(feed)
        )
        response = await self._ask(self._now.market_data.GetSnapshot, request, timeout=timeout)
        events = list(response.events)
        contracts = {event.subscription_id: wanted for event in events}
        return Snapshot(wanted, tuple(decode(events, contracts)))

    @property
    def admin(self) -> Admin:
        """Orders for the broker."""
        return Admin(self._now.admin, self._ask)

    @property
    def _now(self) -> _Opened:
        if self._opened is None:
            raise errors.ClientError(
                "the session is not open: use `async with ibouncer.connect() as session`",
                code="SESSION_NOT_OPEN",
            )
        return self._opened

    async def _ask(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        *,
        timeout: float = CALL_TIMEOUT,
    ) -> Response:
        metadata = self._now.endpoint.metadata()
        try:
            return await method(request, timeout=timeout, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc(error) from error


class _Opened:
    """A channel and its stubs."""

    def __init__(
        self, found: endpoint.Endpoint, credentials: grpc.ChannelCredentials | None
    ) -> None:
        self.endpoint = found
        options = found.options()
        self.channel = (
            grpc.aio.insecure_channel(found.target, options=options)
            if credentials is None
            else grpc.aio.secure_channel(found.target, credentials, options=options)
        )
        self.session = stubs.SessionServiceStub(self.channel)
        self.account = stubs.AccountServiceStub(self.channel)
        self.market_data = stubs.MarketDataServiceStub(self.channel)
        self.admin = stubs.AdminServiceStub(self.channel)


async def _reach(opened: _Opened, timeout: float) -> str | None:
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
