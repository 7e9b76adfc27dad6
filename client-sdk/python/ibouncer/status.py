"""The session's status: a typed view of the broker's message, which stays at hand as `.message`."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime, timezone

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp

from ibouncer._pb.ibouncer.v1 import session_pb2
from ibouncer.streams import Reader


class SessionState(str, enum.Enum):
    """States of the session with Gateway; only in READY and DEGRADED it exists."""

    UNSPECIFIED = "UNSPECIFIED"
    STOPPED = "STOPPED"
    GATEWAY_ABSENT = "GATEWAY_ABSENT"
    CONNECTING = "CONNECTING"
    HANDSHAKING = "HANDSHAKING"
    READY = "READY"
    DEGRADED = "DEGRADED"
    BACKOFF = "BACKOFF"
    CLIENT_ID_IN_USE = "CLIENT_ID_IN_USE"
    WEDGED = "WEDGED"
    HELD = "HELD"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Status:
    """The session with Gateway: its state, since when, why, and what happens next.

    `mode` is "paper" or "live", None before the accounts arrived; `accounts` are masked.
    """

    message: session_pb2.Status = field(repr=False, compare=False)
    state: SessionState
    since: datetime | None
    reason: str
    epoch: int
    mode: str | None
    accounts: tuple[str, ...]
    next_action: str
    next_at: datetime | None
    advice: tuple[str, ...]
    clients: int
    restarts: int

    @property
    def ready(self) -> bool:
        """True if requests are served."""
        return self.state is SessionState.READY

    @classmethod
    def from_message(cls, message: session_pb2.Status) -> Status:
        """The view of one message."""
        following = message.next
        return cls(
            message=message,
            state=_state(message.state),
            since=moment(message.since) if message.HasField("since") else None,
            reason=message.reason,
            epoch=message.epoch,
            mode=message.mode if message.HasField("mode") else None,
            accounts=tuple(message.accounts),
            next_action=following.action,
            next_at=moment(following.at) if following.HasField("at") else None,
            advice=tuple(message.advice),
            clients=message.clients,
            restarts=message.restarts,
        )

    def __str__(self) -> str:
        text = f"{self.state}  {self.reason}".rstrip()
        return f"{text}. Next: {self.next_action}" if self.next_action else text


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of the session's state."""

    before: SessionState
    after: SessionState
    because: str
    epoch: int
    at: datetime | None

    def __str__(self) -> str:
        return f"{self.before} -> {self.after}: {self.because}"


class StatusWatch:
    """Status and transitions at every change, the first at once: `async for status, moves in …`."""

    def __init__(
        self,
        call: grpc.aio.UnaryStreamCall[
            session_pb2.WatchStatusRequest, session_pb2.WatchStatusResponse
        ],
    ) -> None:
        self._reader = Reader[session_pb2.WatchStatusResponse](call)

    def __aiter__(self) -> StatusWatch:
        return self

    async def __anext__(self) -> tuple[Status, list[Transition]]:
        response = await self._reader.read()
        if response is None:
            raise StopAsyncIteration
        return Status.from_message(response.status), [
            Transition(
                before=_state(getattr(item, "from")),
                after=_state(item.to),
                because=item.because,
                epoch=item.epoch,
                at=moment(item.at) if item.HasField("at") else None,
            )
            for item in response.transitions
        ]

    async def aclose(self) -> None:
        """Ends the call."""
        await self._reader.close()


def moment(stamp: Timestamp) -> datetime:
    """A time of the schema, in UTC."""
    return stamp.ToDatetime(tzinfo=timezone.utc)


def _state(number: int) -> SessionState:
    try:
        name = session_pb2.SessionState.Name(session_pb2.SessionState.ValueType(number))
    except ValueError:
        return SessionState.UNSPECIFIED
    return SessionState(name.removeprefix("SESSION_STATE_"))
