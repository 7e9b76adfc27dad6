"""Connecting, and the calls of the shared session.

A Session never talks to Gateway, and closing it leaves the session with Gateway to the other
clients. Its channel, and how that is replaced after the broker was away: `connection`. A call is
sent once; one that only reads is sent once more if the broker went away under it.
"""

from __future__ import annotations

import asyncio
import functools
import os
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import grpc
import grpc.aio

from ibouncer import endpoint, errors
from ibouncer._pb.ibouncer.v1 import account_pb2, market_data_pb2, session_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer.admin import Admin, EventWatch
from ibouncer.connection import FIRST_PAUSE, LONGEST_PAUSE, Connection, Opened
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
    reconnect: bool = True,
) -> Session:
    """A session, to be used with `async with`; finds the broker unless `target` names one.

    `target` is "unix:/PATH" or "HOST:PORT"; `name` is what others see of this program, by default
    `program@host:pid`; `credentials` switches TLS on; `timeout` is for reaching the broker, in
    seconds. Entering raises BrokerNotFound if there is none. With `reconnect`, streams outlive the
    broker and calls that only read are sent once more; each stream can say otherwise.
    """
    return Session(
        target=target,
        name=name,
        token=token,
        instance=instance,
        runtime_dir=runtime_dir,
        credentials=credentials,
        timeout=timeout,
        reconnect=reconnect,
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
        reconnect: bool,
    ) -> None:
        find = functools.partial(
            endpoint.find,
            os.environ,
            target=target,
            token=token,
            name=name,
            instance=instance,
            runtime_dir=runtime_dir,
        )
        self._connection = Connection(find, credentials, timeout)
        self._reconnect = reconnect
        self._streams: weakref.WeakSet[MarketDataStream | StatusWatch | EventWatch] = (
            weakref.WeakSet()
        )

    async def open(self) -> None:
        """Connects; `async with` does it."""
        await self._connection.open()

    async def close(self) -> None:
        """Ends all streams and the connection."""
        for stream in list(self._streams):
            await (stream.close() if isinstance(stream, MarketDataStream) else stream.aclose())
        await self._connection.close()

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
        return self._connection.now.endpoint.target

    async def status(self) -> Status:
        """The session's status as it is now."""
        response = await self._ask(
            lambda opened: opened.session.GetStatus, session_pb2.GetStatusRequest(), read=True
        )
        return Status.from_message(response.status)

    async def wait_ready(self, timeout: float = 60.0) -> Status:
        """Waits until the session is READY; raises NotReady after `timeout` seconds.

        With `reconnect` it waits also for a broker that went away, and raises BrokerUnavailable
        after `timeout` if that did not come back.
        """
        timeout = min(max(timeout, 0.0), LONGEST_WAIT)
        loop = asyncio.get_running_loop()
        deadline, left, pause = loop.time() + timeout, timeout, FIRST_PAUSE
        while True:
            request = session_pb2.WaitReadyRequest()
            request.timeout.FromNanoseconds(int(left * 1e9))
            try:
                response = await self._ask(
                    lambda opened: opened.session.WaitReady,
                    request,
                    timeout=left + CALL_TIMEOUT,
                )
                break
            except errors.BrokerUnavailable:
                left = deadline - loop.time() - pause
                if left < 0 or not self._reconnect:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        status = Status.from_message(response.status)
        if not response.ready:
            raise errors.NotReady(f"the session is not ready after {timeout:g} s: {status}", status)
        return status

    def watch_status(self, *, reconnect: bool | None = None) -> StatusWatch:
        """Status and transitions at every change; the first one at once."""
        watch = StatusWatch(self._connection, reconnect=self._wish(reconnect))
        self._streams.add(watch)
        return watch

    async def accounts(self) -> list[Account]:
        """The accounts of this login."""
        response = await self._ask(
            lambda opened: opened.account.ListAccounts,
            account_pb2.ListAccountsRequest(),
            read=True,
        )
        return [Account(item.account, item.paper) for item in response.accounts]

    def market_data(self, *, reconnect: bool | None = None) -> MarketDataStream:
        """A stream of its own; without `reconnect` it raises when the broker goes away."""
        stream = MarketDataStream(self._connection, reconnect=self._wish(reconnect))
        self._streams.add(stream)
        return stream

    def quotes(
        self,
        *contracts: Contract | str,
        generic_ticks: str | Iterable[int] = "",
        feed: Feed | None = None,
        reconnect: bool | None = None,
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
        response = await self._ask(
            lambda opened: opened.market_data.GetSnapshot, request, timeout=timeout
        )
        events = list(response.events)
        contracts = {event.subscription_id: wanted for event in events}
        return Snapshot(wanted, tuple(decode(events, contracts)))

    @property
    def admin(self) -> Admin:
        """Orders for the broker."""
        return Admin(self._ask, self._watch_events)

    def _watch_events(self, follow: bool, after: int) -> EventWatch:
        watch = EventWatch(self._connection, follow=follow, after=after, reconnect=self._reconnect)
        self._streams.add(watch)
        return watch

    def _wish(self, reconnect: bool | None) -> bool:
        return self._reconnect if reconnect is None else reconnect

    async def _ask(
        self,
        method: Callable[[Opened], grpc.aio.UnaryUnaryMultiCallable[Request, Response]],
        request: Request,
        *,
        timeout: float = CALL_TIMEOUT,
        read: bool = False,
    ) -> Response:
        """Sends a request; with `read` once more if the broker went away and another is there."""
        opened = self._connection.now
        try:
            return await _send(opened, method, request, timeout)
        except errors.BrokerUnavailable:
            if not self._reconnect:
                raise
            # The next call shall find the new broker, whether or not this one may be repeated.
            try:
                opened = await self._connection.renew(opened)
            except errors.BrokerUnavailable:
                read = False
            if not read:
                raise
        return await _send(opened, method, request, timeout)


async def _send(
    opened: Opened,
    method: Callable[[Opened], grpc.aio.UnaryUnaryMultiCallable[Request, Response]],
    request: Request,
    timeout: float,
) -> Response:
    try:
        return await method(opened)(request, timeout=timeout, metadata=opened.endpoint.metadata())
    except grpc.aio.AioRpcError as error:
        raise errors.from_rpc(error) from error
