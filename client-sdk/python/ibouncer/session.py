"""Connecting, and the calls about the shared session itself.

A Session never talks to Gateway, and closing it leaves the session with Gateway to the other
clients. Its channel, and how that is replaced after the broker was away: `connection`. How calls
are sent: `calls`; the calls of each family are in `reference`, `quotes`, `history`, `accounts`,
`orders`, `order_lists`, `news`, `scanners`.
"""

from __future__ import annotations

import asyncio
import functools
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

import grpc

from ibouncer import endpoint, errors
from ibouncer._pb.ibouncer.v1 import session_pb2
from ibouncer._pb.tws.v1.config_pb2 import ConfigResponse
from ibouncer.accounts import AccountCalls
from ibouncer.admin import Admin, EventWatch
from ibouncer.calls import CALL_TIMEOUT, GATEWAY_TIMEOUT
from ibouncer.connection import FIRST_PAUSE, LONGEST_PAUSE, Connection
from ibouncer.figures import from_seconds
from ibouncer.history import HistoryCalls
from ibouncer.news import NewsCalls
from ibouncer.order_lists import OrderListCalls
from ibouncer.orders import OrderCalls
from ibouncer.quotes import MarketDataCalls
from ibouncer.reference import ContractCalls
from ibouncer.rows import Rows
from ibouncer.scanners import ScannerCalls
from ibouncer.status import Status, StatusWatch

if TYPE_CHECKING:
    from typing_extensions import Self

LONGEST_WAIT = 3600.0


@dataclass(frozen=True, slots=True)
class QueuedRequest:
    """A request that waits for its turn to leave for Gateway.

    `place` messages leave before it, which is expected to take `expected_wait` seconds; None if
    that is not known, because only an answer of Gateway or a free line ends the wait. `because`
    names what it waits for, and is empty if that is only its turn.
    """

    client: str
    lane: str
    request: str
    label: str
    place: int
    expected_wait: float | None
    because: str


@dataclass(frozen=True, slots=True)
class WhoAmI:
    """Who this program is for the broker, and what it may do.

    `principal` is the section of the configuration that it falls under, empty if none does; its
    orders are those of that name. `role` is "observe", "trade" or "admin". If `may_trade` is
    false, `because` says why. Empty `accounts`, `security_types` and `symbols` mean all.
    """

    client: str
    principal: str
    role: str
    credential: str
    may_trade: bool
    because: str
    accounts: tuple[str, ...]
    security_types: tuple[str, ...]
    symbols: tuple[str, ...]
    limits: dict[str, str]


class Queue(Rows[QueuedRequest]):
    """Requests that wait, in the order in which they will leave."""

    _kind: ClassVar[Any] = QueuedRequest

    messages_per_second: float = 0.0


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

    `target` is "unix:/PATH", "HOST:PORT" or, with TLS, "https://HOST:PORT"; `name` is what others
    see of this program, by default `program@host:pid`; `credentials` switches TLS on, too: without
    it the files in PEM that IBOUNCER_TLS_CA, IBOUNCER_TLS_CERT and IBOUNCER_TLS_KEY name are taken;
    `timeout` is for reaching the broker, in seconds. Entering raises BrokerNotFound if there is
    none. With `reconnect`, streams outlive the broker and calls that only read are sent once more;
    each stream can say otherwise.
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


class Session(
    ContractCalls,
    MarketDataCalls,
    HistoryCalls,
    AccountCalls,
    OrderCalls,
    OrderListCalls,
    NewsCalls,
    ScannerCalls,
):
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
            secured=credentials is not None,
        )
        super().__init__(Connection(find, credentials, timeout), reconnect=reconnect)

    async def open(self) -> None:
        """Connects; `async with` does it."""
        await self._connection.open()

    async def close(self) -> None:
        """Ends all streams and the connection."""
        for stream in list(self._streams):
            await stream.aclose()
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

    async def who_am_i(self) -> WhoAmI:
        """Who this program is for the broker, and what it may do."""
        response = await self._ask(
            lambda opened: opened.session.WhoAmI, session_pb2.WhoAmIRequest(), read=True
        )
        return WhoAmI(
            client=response.client,
            principal=response.principal,
            role=response.role,
            credential=response.credential,
            may_trade=response.may_trade,
            because=response.because,
            accounts=tuple(response.accounts),
            security_types=tuple(response.security_types),
            symbols=tuple(response.symbols),
            limits=dict(response.limits),
        )

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
        return self._kept(StatusWatch(self._connection, reconnect=self._wish(reconnect)))

    async def queue(self, client: str = "") -> Queue:
        """Requests that wait to leave for Gateway, of one client by its name, or of all."""
        response = await self._ask(
            lambda opened: opened.session.GetQueue,
            session_pb2.GetQueueRequest(client=client),
            read=True,
        )
        queue = Queue(
            QueuedRequest(
                client=item.client,
                lane=item.lane,
                request=item.request,
                label=item.label,
                place=item.place,
                expected_wait=(
                    item.expected_wait.ToMilliseconds() / 1e3
                    if item.HasField("expected_wait")
                    else None
                ),
                because=item.because,
            )
            for item in response.requests
        )
        queue.messages_per_second = response.messages_per_second
        return queue

    async def current_time(self, *, timeout: float = GATEWAY_TIMEOUT) -> datetime:
        """Gateway's clock (TWS: reqCurrentTimeInMillis)."""
        response = await self._ask(
            lambda opened: opened.session.GetCurrentTime,
            session_pb2.GetCurrentTimeRequest(),
            timeout=timeout,
            read=True,
        )
        return from_seconds(response.current_time.current_time_in_millis / 1e3)

    async def gateway_configuration(self, *, timeout: float = GATEWAY_TIMEOUT) -> ConfigResponse:
        """Gateway's own API settings, to be read only (TWS: reqConfig; Gateway 219 and later)."""
        response = await self._ask(
            lambda opened: opened.session.GetGatewayConfiguration,
            session_pb2.GetGatewayConfigurationRequest(),
            timeout=timeout,
            read=True,
        )
        return response.configuration

    @property
    def admin(self) -> Admin:
        """Orders for the broker."""
        return Admin(self._ask, self._watch_events)

    def _watch_events(self, follow: bool, after: int) -> EventWatch:
        return self._kept(
            EventWatch(self._connection, follow=follow, after=after, reconnect=self._reconnect)
        )
