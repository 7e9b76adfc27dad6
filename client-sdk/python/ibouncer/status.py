"""The session's status: a typed view of the broker's message, which stays at hand as `.message`."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from ibouncer import errors
from ibouncer._pb.ibouncer.v1 import session_pb2
from ibouncer.connection import Opened
from ibouncer.streams import Watch


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
class Farm:
    """One of IB's data farms, as Gateway reported it last.

    `kind` is "market", "historical" or "sec-def"; `state` is "ok", "inactive" (connected to on
    demand), "connecting" or "broken", since `since`.
    """

    name: str
    kind: str
    state: str
    since: datetime | None

    def __str__(self) -> str:
        return f"{self.name} ({self.kind}) {self.state}"


@dataclass(frozen=True, slots=True)
class Status:
    """The session with Gateway: its state, since when, why, and what happens next.

    `mode` is "paper" or "live", None before the accounts arrived; `accounts` are masked; `hold` is
    why an operator holds the session, None if none does; `trading` is "off", "down",
    "reconciling", "halted" or "on", and `message.trading_status` says more; `farms` are those that
    Gateway has spoken of in this session. A `local` one was made here because the broker is away:
    its state is UNSPECIFIED.
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
    hold: str | None = None
    local: bool = False
    trading: str = ""
    farms: tuple[Farm, ...] = ()

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
            hold=message.hold if message.HasField("hold") else None,
            trading=message.trading,
            farms=tuple(
                Farm(
                    farm.name,
                    farm.kind,
                    farm.state,
                    moment(farm.since) if farm.HasField("since") else None,
                )
                for farm in message.farms
            ),
        )

    @classmethod
    def of_absent_broker(cls, reason: str) -> Status:
        """What is known while the broker is away."""
        message = session_pb2.Status(reason=reason)
        message.since.GetCurrentTime()
        return dataclasses.replace(cls.from_message(message), local=True)

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


class StatusWatch(Watch[session_pb2.WatchStatusResponse]):
    """Status and transitions at every change, the first at once: `async for status, moves in …`.

    While the broker is away: one status that is `local`. Transitions of that time are not known.
    """

    def _call(self, opened: Opened) -> Any:
        return opened.session.WatchStatus(
            session_pb2.WatchStatusRequest(), metadata=opened.endpoint.metadata()
        )

    def __aiter__(self) -> StatusWatch:
        return self

    async def __anext__(self) -> tuple[Status, list[Transition]]:
        response = await self._next()
        if response is None:
            raise StopAsyncIteration
        if isinstance(response, errors.IBouncerError):
            return Status.of_absent_broker(errors.away(response)), []
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


def moment(stamp: Timestamp) -> datetime:
    """A time of the schema, in UTC."""
    return stamp.ToDatetime(tzinfo=timezone.utc)


def _state(number: int) -> SessionState:
    try:
        name = session_pb2.SessionState.Name(session_pb2.SessionState.ValueType(number))
    except ValueError:
        return SessionState.UNSPECIFIED
    return SessionState(name.removeprefix("SESSION_STATE_"))
