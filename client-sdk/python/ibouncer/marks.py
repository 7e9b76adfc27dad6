"""What every stream can say besides its data: marks, notices, and messages without a class here."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone

from google.protobuf.message import Message

from ibouncer import errors
from ibouncer._pb.ibouncer.v1 import stream_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer._pb.tws.v1.session_pb2 import ErrorMessage


class MarkKind(str, enum.Enum):
    """What can happen to a subscription."""

    SUBSCRIBED = "SUBSCRIBED"
    STALE = "STALE"
    RESUMED = "RESUMED"
    ENDED = "ENDED"
    REFUSED = "REFUSED"
    QUEUED = "QUEUED"
    RESET = "RESET"
    GAP = "GAP"
    UNKNOWN = "UNKNOWN"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Mark:
    """What happened to a subscription. With STALE nothing need be done: RESUMED follows.

    `error` only with ENDED and REFUSED; after REFUSED a live subscription of that id goes on. A
    `local` one was made here, because the stream itself broke. `line` names the shared line and
    `gaps` counts its gaps; `sequence` is that of the event before. With RESUMED, `missed` events
    of the line were not seen (None: nobody knows). With QUEUED, `place` wishes wait for a line
    before this one. With RESET, `skipped` changes were left out.
    """

    subscription: int
    contract: Contract = field(repr=False, compare=False)
    kind: MarkKind
    because: str
    epoch: int
    error: errors.IBouncerError | None = None
    local: bool = False
    line: str = ""
    gaps: int = 0
    sequence: int = 0
    missed: int | None = None
    place: int = 0
    skipped: int = 0

    @property
    def symbol(self) -> str:
        """The contract's symbol as it was asked for."""
        return self.contract.symbol

    def __str__(self) -> str:
        cause = str(self.error) if self.error is not None else self.because
        return f"{about(self.contract)} {self.kind}" + (f": {cause}" if cause else "")


@dataclass(frozen=True, slots=True)
class Notice:
    """Gateway's notice or error about the line. An ENDED mark follows if it ends the line."""

    subscription: int
    contract: Contract = field(repr=False, compare=False)
    sequence: int
    code: int
    message: str
    at: datetime | None

    @property
    def symbol(self) -> str:
        """The contract's symbol as it was asked for."""
        return self.contract.symbol

    def __str__(self) -> str:
        return f"{about(self.contract)} notice {self.code}: {self.message}"


@dataclass(frozen=True, slots=True)
class Info:
    """Everything else about the line, such as "market_data_type" or "tick_req_params"."""

    subscription: int
    contract: Contract = field(repr=False, compare=False)
    sequence: int
    kind: str
    message: Message

    @property
    def symbol(self) -> str:
        """The contract's symbol as it was asked for."""
        return self.contract.symbol


_KINDS = {
    stream_pb2.MARK_KIND_SUBSCRIBED: MarkKind.SUBSCRIBED,
    stream_pb2.MARK_KIND_STALE: MarkKind.STALE,
    stream_pb2.MARK_KIND_RESUMED: MarkKind.RESUMED,
    stream_pb2.MARK_KIND_ENDED: MarkKind.ENDED,
    stream_pb2.MARK_KIND_REFUSED: MarkKind.REFUSED,
    stream_pb2.MARK_KIND_QUEUED: MarkKind.QUEUED,
    stream_pb2.MARK_KIND_RESET: MarkKind.RESET,
    stream_pb2.MARK_KIND_GAP: MarkKind.GAP,
}


def about(contract: Contract) -> str:
    """What a line is about, in a word; lines without a contract have a description alone."""
    return contract.symbol or contract.description or str(contract.con_id)


def without_contract(label: str) -> Contract:
    """Stands where a contract is expected, for a line that has none."""
    return Contract(description=label)


def mark_from(
    mark: stream_pb2.StreamMark,
    subscription: int,
    contract: Contract,
    *,
    sequence: int,
    skipped: int,
) -> Mark:
    """A mark of the broker."""
    return Mark(
        subscription,
        contract,
        _KINDS.get(mark.kind, MarkKind.UNKNOWN),
        mark.because,
        mark.epoch,
        errors.from_message(mark.error) if mark.HasField("error") else None,
        line=mark.line,
        gaps=mark.gaps,
        sequence=sequence,
        missed=mark.missed if mark.HasField("missed") else None,
        place=mark.place,
        skipped=skipped,
    )


def notice_from(
    message: ErrorMessage, subscription: int, contract: Contract, sequence: int
) -> Notice:
    """What Gateway remarked on a stream."""
    at = None
    if message.error_time > 0:
        at = datetime.fromtimestamp(message.error_time / 1000, timezone.utc)
    return Notice(subscription, contract, sequence, message.error_code, message.error_msg, at)


def notices_from(messages: Iterable[ErrorMessage], contract: Contract) -> tuple[Notice, ...]:
    """What Gateway remarked on a call."""
    return tuple(notice_from(message, 0, contract, 0) for message in messages)
