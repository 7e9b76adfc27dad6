"""For operators: who uses the session, and orders to the broker.

Served only over the Unix socket of the broker's own user or root, or with the token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ibouncer._pb.ibouncer.v1 import admin_pb2
from ibouncer._pb.stubs import AdminServiceStub
from ibouncer.status import moment


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """One connected client, with what was delivered to it and skipped for its slowness."""

    id: str
    name: str
    peer: str
    since: datetime | None
    streams: int
    subscriptions: int
    delivered: int
    skipped: int


@dataclass(frozen=True, slots=True)
class LineInfo:
    """One line at Gateway; `state` is "queued", "requested", "live" or "stale"."""

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


class Admin:
    """`session.admin`."""

    def __init__(self, stub: AdminServiceStub, ask: Callable[..., Awaitable[Any]]) -> None:
        self._stub = stub
        self._ask = ask

    async def clients(self) -> list[ClientInfo]:
        """Every connected client."""
        response: admin_pb2.ListClientsResponse = await self._ask(
            self._stub.ListClients, admin_pb2.ListClientsRequest()
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
            )
            for item in response.clients
        ]

    async def lines(self) -> list[LineInfo]:
        """Every line at Gateway."""
        response: admin_pb2.ListLinesResponse = await self._ask(
            self._stub.ListLines, admin_pb2.ListLinesRequest()
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
            )
            for item in response.lines
        ]

    async def restart_worker(self, reason: str, drop_live_session: bool = False) -> int:
        """Ends the worker and returns its number; the next one follows at once.

        A READY session is kept unless `drop_live_session` says otherwise.
        """
        request = admin_pb2.RestartWorkerRequest(reason=reason, drop_live_session=drop_live_session)
        response: admin_pb2.RestartWorkerResponse = await self._ask(
            self._stub.RestartWorker, request
        )
        return response.epoch

    async def retry(self, reason: str = "") -> None:
        """Ends the broker's waiting with one attempt now."""
        await self._ask(self._stub.Retry, admin_pb2.RetryRequest(reason=reason))
