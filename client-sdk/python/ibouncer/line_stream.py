"""Streams of one subscription, from the broker alone: positions, bulletins, scanners, and so on.

They begin with the first read, and outlive the broker as market data does (`continuity`). What
Gateway sends becomes objects in an `Unpack`, one for each call. `read_until` makes a single answer
of such a stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc.aio
from google.protobuf.message import Message

from ibouncer import errors
from ibouncer.batched import Batched
from ibouncer.connection import Comeback, Connection, Opened
from ibouncer.continuity import Carried, Continuity
from ibouncer.marks import Info, Mark, MarkKind, Notice, mark_from, notice_from, without_contract
from ibouncer.streams import OneReader, Reader
from ibouncer.waiting import within

Item = TypeVar("Item")

# Takes the name and the message of a body, and answers with what the reader gets for it. None is
# for a body that it does not know. A mark of the broker comes as "mark", with a Mark, in its order
# among the bodies, also if the reader is not told of it; what that answers is left out.
Unpack = Callable[[str, Any], Iterable[Any] | None]

# The single subscription of a call.
_NUMBER = 0
# Behind these the state is told again. SUBSCRIBED is none of them: before the first one nothing was
# told, and a subscription that is served by two lines of the broker has one for each.
BEGINS_ANEW = (MarkKind.RESUMED, MarkKind.RESET)


@dataclass(frozen=True, slots=True)
class ImageEnd:
    """The whole state has been told; from here on come changes."""

    def __str__(self) -> str:
        return "the whole state has been told"


class LineStream(Batched[Item]):
    """One subscription: its items, Mark, Notice and Info; over after its ENDED mark.

    Raises the error that it ended by. `skipped` counts events that were left out because this
    program read too slowly.
    """

    def __init__(
        self,
        connection: Connection,
        method: Callable[[Opened], grpc.aio.UnaryStreamMultiCallable[Any, Any]],
        request: Message,
        unpack: Callable[[], Unpack],
        *,
        label: str,
        reconnect: bool,
    ) -> None:
        super().__init__()
        self.skipped: int = 0
        self._method = method
        self._request = request
        self._new_unpack = unpack
        self._unpack = unpack()
        self._contract = without_contract(label)
        self._comeback = Comeback(connection, reconnect=reconnect)
        self._continuity = Continuity(lambda _: None)
        self._reader: Reader[Any] | None = None
        self._one_reader = OneReader()
        self._own_marks: list[Any] = []
        self._broken = False
        self._ended: Mark | None = None

    async def next_batch(self) -> list[Item] | None:
        with self._one_reader:
            while not self._comeback.closing.is_set():
                if self._own_marks:
                    marks, self._own_marks = self._own_marks, []
                    return marks
                if self._ended is not None:
                    await self.aclose()
                    if self._ended.error is not None:
                        raise self._ended.error
                    return None
                try:
                    if self._reader is None:
                        if not self._broken or await self._comeback.wait():
                            self._open()
                        continue
                    response = await self._reader.read()
                except errors.IBouncerError as error:
                    self._on_broken(error)
                    continue
                if response is None:
                    return None
                batch = self._take(response.events)
                if batch:
                    return batch
            return None

    async def aclose(self) -> None:
        self._comeback.closing.set()
        if self._reader is not None:
            await self._reader.close()

    def _open(self) -> None:
        self._broken = False
        opened = self._comeback.opened
        self._continuity.contracts[_NUMBER] = self._contract
        self._unpack = self._new_unpack()
        call = self._method(opened)(self._request, metadata=opened.endpoint.metadata())
        self._reader = Reader(call)
        self._comeback.on_opened()

    def _on_broken(self, error: errors.IBouncerError) -> None:
        self._reader = None
        if not self._continuity.attached and not isinstance(error, errors.BrokerUnavailable):
            # Nothing was ever promised: this is the answer to the call.
            self._comeback.closing.set()
            raise error
        self._comeback.on_broken(error)
        self._broken = True
        self._own_marks += self._continuity.on_broken(errors.away(error), {_NUMBER: self._contract})

    def _take(self, events: Iterable[Any]) -> list[Any]:
        passed = self._continuity.pass_on([self._carried(event) for event in events])
        batch: list[Any] = []
        for event in passed:
            if type(event) is Carried:
                body, message, unpacked = event.content
                if unpacked is None:
                    batch.append(Info(_NUMBER, self._contract, event.sequence, body, message))
                else:
                    batch += unpacked
                continue
            batch.append(event)
            if type(event) is Mark and event.kind is MarkKind.ENDED:
                self._ended = event
        return batch

    def _carried(self, event: Any) -> Any:
        self.skipped += event.skipped
        body = event.WhichOneof("body")
        if body == "mark":
            mark = mark_from(
                event.mark,
                _NUMBER,
                self._contract,
                sequence=event.sequence,
                skipped=event.skipped,
            )
            self._unpack("mark", mark)
            return mark
        if body == "error":
            return notice_from(event.error, _NUMBER, self._contract, event.sequence)
        # A body that is newer than this package has no name here; the event keeps its bytes.
        name, message = (body, getattr(event, body)) if body else ("unknown", event)
        content = (name, message, self._unpack(name, message))
        return Carried(_NUMBER, self._contract, event.sequence, event.replayed, content)


async def read_until(
    stream: LineStream[Any], is_last: Callable[[Any], bool], timeout: float, what: str
) -> list[Any]:
    """Everything up to the last item of the whole state, without marks; closes the stream."""
    newest: list[Mark] = []
    try:
        return await within(timeout, _read(stream, is_last, newest, what))
    except asyncio.TimeoutError:
        heard = f"the last word was {newest[-1]}" if newest else "nothing was heard"
        raise errors.BrokerError(
            f"{what}: not complete after {timeout:g} s; {heard}. Give it a longer timeout, or see "
            "what status() says",
            code="DEADLINE_EXCEEDED",
            retry="after",
        ) from None
    finally:
        await stream.aclose()


async def _read(
    stream: LineStream[Any], is_last: Callable[[Any], bool], newest: list[Mark], what: str
) -> list[Any]:
    items: list[Any] = []
    complete = stale = False
    async for batch in stream.batches():
        # A line without a session behind it tells its old state before it says STALE, in one
        # batch: only what no STALE follows is an answer. The next broker may say so as well,
        # where the reader knows already that values are old, and is not told again.
        for item in batch:
            if not isinstance(item, Mark):
                if not complete:
                    items.append(item)
                complete = complete or (is_last(item) and not stale)
                continue
            newest.append(item)
            if item.kind is MarkKind.GAP and not complete:
                raise errors.BrokerError(
                    f"{what}: a part is missing: {item.because}", code="INCOMPLETE", retry="after"
                )
            if item.kind in (MarkKind.STALE, *BEGINS_ANEW):
                items.clear()
                complete = False
                stale = item.kind is MarkKind.STALE
        if complete:
            return items
    raise errors.BrokerError(
        f"{what}: the stream ended before the whole state was told", code="INCOMPLETE", retry="now"
    )


def notices_among(items: Iterable[Any]) -> tuple[Notice, ...]:
    """What Gateway remarked meanwhile."""
    return tuple(item for item in items if isinstance(item, Notice))
