"""For operators: who uses the session, and orders to the broker.

Served only over the Unix socket of the broker's own user or root, or with the token. The newer
calls answer with the schema's own messages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from ibouncer import errors
from ibouncer._pb.ibouncer.v1 import admin_pb2
from ibouncer.connection import Connection, Opened
from ibouncer.status import moment
from ibouncer.streams import Watch
from ibouncer.words import number_of

# The one that takes over proves first that it can.
HAND_OVER_TIMEOUT = 60.0

# What became of an order, as a person knows from elsewhere.
Resolution = Literal["filled", "cancelled", "never-arrived"]
_RESOLUTIONS = {
    "filled": admin_pb2.RESOLUTION_FILLED,
    "cancelled": admin_pb2.RESOLUTION_CANCELLED,
    "never-arrived": admin_pb2.RESOLUTION_NEVER_ARRIVED,
}


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """One connected client, with what was delivered to it and skipped for its slowness.

    `calls` wait for Gateway's answer, `waiting` requests for their turn to leave for it; `lines`
    are those of market data that it opened, `unread_bytes` wait for it to read.
    """

    id: str
    name: str
    peer: str
    since: datetime | None
    streams: int
    subscriptions: int
    delivered: int
    skipped: int
    streams_limit: int = 0
    subscriptions_limit: int = 0
    calls: int = 0
    calls_limit: int = 0
    lines: int = 0
    waiting: int = 0
    unread_bytes: int = 0
    requests: int = 0
    lines_limit: int = 0
    evicted: int = 0


@dataclass(frozen=True, slots=True)
class LineInfo:
    """One line at Gateway; `state` is "queued", "requested", "live" or "stale".

    `kind` is "market data", "market depth", "positions", and so on; `symbol` is what it is about.
    """

    id: str
    symbol: str
    sec_type: str
    exchange: str
    currency: str
    generic_ticks: str
    clients: tuple[str, ...]
    state: str
    sequence: int
    upstream_id: int
    kind: str = ""


class Admin:
    """`session.admin`."""

    def __init__(
        self,
        ask: Callable[..., Awaitable[Any]],
        watch_events: Callable[[bool, int], EventWatch],
    ) -> None:
        self._ask = ask
        self._watch_events = watch_events

    async def clients(self) -> list[ClientInfo]:
        """Every connected client."""
        response: admin_pb2.ListClientsResponse = await self._ask(
            lambda opened: opened.admin.ListClients, admin_pb2.ListClientsRequest(), read=True
        )
        return [
            ClientInfo(
                id=item.id,
                name=item.name,
                peer=item.peer,
                since=moment(item.since) if item.HasField("since") else None,
                streams=item.streams,
                subscriptions=item.subscriptions,
                delivered=item.delivered,
                skipped=item.skipped,
                streams_limit=item.streams_limit,
                subscriptions_limit=item.subscriptions_limit,
                calls=item.calls,
                calls_limit=item.calls_limit,
                lines=item.lines,
                waiting=item.waiting,
                unread_bytes=item.unread_bytes,
                requests=item.requests,
                lines_limit=item.lines_limit,
                evicted=item.evicted,
            )
            for item in response.clients
        ]

    async def lines(self) -> list[LineInfo]:
        """Every line at Gateway."""
        response: admin_pb2.ListLinesResponse = await self._ask(
            lambda opened: opened.admin.ListLines, admin_pb2.ListLinesRequest(), read=True
        )
        return [
            LineInfo(
                id=item.id,
                symbol=item.symbol,
                sec_type=item.sec_type,
                exchange=item.exchange,
                currency=item.currency,
                generic_ticks=item.generic_ticks,
                clients=tuple(item.clients),
                state=item.state,
                sequence=item.sequence,
                upstream_id=item.upstream_id,
                kind=item.kind,
            )
            for item in response.lines
        ]

    async def restart_worker(self, reason: str, drop_live_session: bool = False) -> int:
        """Ends the worker and returns its number; the next one follows at once.

        A READY session is kept unless `drop_live_session` says otherwise.
        """
        request = admin_pb2.RestartWorkerRequest(reason=reason, drop_live_session=drop_live_session)
        response: admin_pb2.RestartWorkerResponse = await self._ask(
            lambda opened: opened.admin.RestartWorker, request
        )
        return response.epoch

    async def retry(self, reason: str = "") -> None:
        """Ends the broker's waiting with one attempt now."""
        request = admin_pb2.RetryRequest(reason=reason)
        await self._ask(lambda opened: opened.admin.Retry, request)

    async def hold(self, reason: str, drop_live_session: bool = False) -> None:
        """Stops dialling until `release`, also over a restart of the broker.

        A READY session is kept, and this fails, unless `drop_live_session` says otherwise.
        """
        request = admin_pb2.HoldSessionRequest(reason=reason, drop_live_session=drop_live_session)
        await self._ask(lambda opened: opened.admin.HoldSession, request)

    async def release(self, reason: str = "") -> None:
        """Ends what `hold` began, with one attempt now."""
        request = admin_pb2.ReleaseSessionRequest(reason=reason)
        await self._ask(lambda opened: opened.admin.ReleaseSession, request)

    async def hand_over(self, binary: str = "") -> admin_pb2.HandOverResponse:
        """Lets another build of the broker take over, with the same worker and socket.

        Without `binary` it is the broker's own, as it is on disk now. The answer has `build` and
        `epoch`; it comes before this broker is gone.
        """
        request = admin_pb2.HandOverRequest(binary=binary)
        response: admin_pb2.HandOverResponse = await self._ask(
            lambda opened: opened.admin.HandOver, request, timeout=HAND_OVER_TIMEOUT
        )
        return response

    async def connections(self) -> admin_pb2.ListConnectionsResponse:
        """Sockets of Gateway's port as the kernel's tables show them; without a packet."""
        response: admin_pb2.ListConnectionsResponse = await self._ask(
            lambda opened: opened.admin.ListConnections,
            admin_pb2.ListConnectionsRequest(),
            read=True,
        )
        return response

    async def halt_trading(
        self, reason: str, *, client: str = "", cancel_open: bool = False
    ) -> admin_pb2.HaltTradingResponse:
        """Refuses new and changed orders of `client`, or of all; cancels pass. Kept over restarts.

        With `cancel_open` what is open is cancelled as well; returns how many cancels that are
        (`cancels`), and the orders that live on (`spared`).
        """
        request = admin_pb2.HaltTradingRequest(
            client=client, cancel_open=cancel_open, reason=reason
        )
        with errors.sending("look with session.orders('all'), and halt again"):
            response: admin_pb2.HaltTradingResponse = await self._ask(
                lambda opened: opened.admin.HaltTrading, request
            )
        return response

    async def resume_trading(self, reason: str = "", *, client: str = "") -> None:
        """Ends a halt of `client`, or that of all."""
        request = admin_pb2.ResumeTradingRequest(client=client, reason=reason)
        await self._ask(lambda opened: opened.admin.ResumeTrading, request)

    async def adopt_trading_state(self, reason: str) -> list[str]:
        """Takes the journal of orders as it is for the accounts that Gateway shows.

        For after a look at what the broker warned of; returns what was taken over, in words.
        """
        request = admin_pb2.AdoptTradingStateRequest(reason=reason)
        response: admin_pb2.AdoptTradingStateResponse = await self._ask(
            lambda opened: opened.admin.AdoptTradingState, request
        )
        return list(response.adopted)

    async def resolve_order(
        self, owner: str, client_order_id: str, resolution: Resolution, reason: str
    ) -> None:
        """Says what became of an order that is UNKNOWN.

        Raises ClientError UNKNOWN_RESOLUTION for a word that is no resolution.
        """
        number = number_of(resolution, _RESOLUTIONS, "resolution", code="UNKNOWN_RESOLUTION")
        request = admin_pb2.ResolveOrderRequest(
            owner=owner,
            client_order_id=client_order_id,
            resolution=number,
            reason=reason,
        )
        await self._ask(lambda opened: opened.admin.ResolveOrder, request)

    async def cancel_every_order(self, confirmation: str, reason: str) -> None:
        """Cancels every order of the login, also by hand and of other programs.

        `confirmation` is "cancel every order of every program" (TWS: reqGlobalCancel).
        """
        request = admin_pb2.CancelEveryOrderRequest(confirmation=confirmation, reason=reason)
        with errors.sending("look with session.open_orders(), or cancel again"):
            await self._ask(lambda opened: opened.admin.CancelEveryOrder, request)

    def events(self, *, follow: bool = False, after: int = 0) -> EventWatch:
        """What happened since event number `after`; with `follow`, then what happens."""
        return self._watch_events(follow, after)


class EventWatch(Watch[admin_pb2.WatchEventsResponse]):
    """Events of the broker, oldest first: `async for event in …`.

    After the broker was away it goes on behind the last event that was read.
    """

    def __init__(
        self, connection: Connection, *, follow: bool, after: int, reconnect: bool
    ) -> None:
        self._follow = follow
        self._after = after
        self._waiting: deque[admin_pb2.Event] = deque()
        super().__init__(connection, reconnect=reconnect, ends=not follow)

    def _call(self, opened: Opened) -> Any:
        request = admin_pb2.WatchEventsRequest(follow=self._follow, after=self._after)
        return opened.admin.WatchEvents(request, metadata=opened.endpoint.metadata())

    def __aiter__(self) -> EventWatch:
        return self

    async def __anext__(self) -> admin_pb2.Event:
        while not self._waiting:
            response = await self._next()
            if response is None:
                raise StopAsyncIteration
            if isinstance(response, admin_pb2.WatchEventsResponse):
                self._waiting.extend(response.events)
                if self._waiting:
                    self._after = self._waiting[-1].number
        return self._waiting.popleft()
