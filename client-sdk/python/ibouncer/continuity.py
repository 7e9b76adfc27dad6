"""What readers of subscriptions are told when the broker went away and came back.

One `Continuity` for each stream, of one subscription or many; it opens nothing and sends nothing.
A reader sees one STALE mark, and RESUMED once data flows, both with `local` set; what a new broker
says in between (SUBSCRIBED, STALE) is left out. Sequence numbers start anew, as the RESUMED mark
says. If the broker could resume (`Resume`), its own RESUMED is passed on, with what was missed,
and sequence numbers go on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from ibouncer._pb.ibouncer.v1 import stream_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer.marks import Info, Mark, MarkKind, Notice

Event = TypeVar("Event")


class Continuity:
    """The subscriptions of one stream, as their reader knows them."""

    def __init__(self, on_ended: Callable[[int], None]) -> None:
        # Of everything that events may still come for, until its ENDED mark.
        self.contracts: dict[int, Contract] = {}
        self._on_ended = on_ended
        # Ids that were confirmed once, and those whose reader knows that values are old.
        self._attached: set[int] = set()
        self._stale: set[int] = set()
        # The last sequence number of each, and of those that wait for a new broker's data the
        # last one from the broker before.
        self._sequences: dict[int, int] = {}
        self._rejoining: dict[int, int] = {}
        # The lines that those numbers count, and those of the new broker while they wait.
        self._lines: dict[int, str] = {}
        self._new_lines: dict[int, str] = {}
        # Those whose Resume the new broker has not answered yet.
        self._resume_asked: set[int] = set()
        self._last_epoch = 0

    @property
    def attached(self) -> bool:
        """Whether any subscription was ever confirmed and lives."""
        return bool(self._attached)

    def resume_point(self, number: int) -> stream_pb2.Resume | None:
        """Where a subscription broke, to be asked for; None if nothing of it was seen."""
        line, sequence = self._lines.get(number), self._rejoining.get(number)
        if not line or sequence is None:
            return None
        self._resume_asked.add(number)
        return stream_pb2.Resume(line=line, sequence=sequence)

    def pass_on(self, batch: list[Event]) -> list[Event]:
        """What the reader gets of a batch."""
        sequences = self._sequences
        plain = not self._rejoining
        for event in batch:
            if type(event) is Mark:
                plain = False
            else:
                sequences[event.subscription] = event.sequence  # type: ignore[attr-defined]
        return batch if plain else list(self._after_marks(batch))

    def pass_ticks(self, subscriptions: Iterable[int], sequences: Iterable[int]) -> bool:
        """Notes ticks by columns; False while they may have to be told of, event by event."""
        if self._rejoining:
            return False
        self._sequences.update(zip(subscriptions, sequences, strict=True))
        return True

    def on_broken(self, because: str, kept: Mapping[int, Contract]) -> list[Mark]:
        """The stream broke; what its reader is told. `kept` are those that are asked for again."""
        self.contracts = dict(kept)
        self._attached &= kept.keys()
        self._rejoining = {
            number: self._rejoining.get(number, self._sequences.get(number, 0))
            for number in self._attached
        }
        self._sequences.clear()
        self._new_lines.clear()
        self._resume_asked.clear()
        newly = sorted(self._attached - self._stale)
        self._stale.update(newly)
        return [
            Mark(
                number,
                self.contracts[number],
                MarkKind.STALE,
                because,
                self._last_epoch,
                local=True,
            )
            for number in newly
        ]

    def _after_marks(self, batch: list[Any]) -> Iterator[Any]:
        # A line without a session behind it replays its last values before it says STALE.
        stale_here = {
            event.subscription
            for event in batch
            if type(event) is Mark and event.kind is MarkKind.STALE
        }
        for event in batch:
            if isinstance(event, Mark):
                mark = self._on_mark(event)
                if mark is not None:
                    yield mark
                continue
            number = event.subscription
            if number in self._rejoining and _is_data(event, replayed=number not in stale_here):
                yield self._resumed(
                    number, event.contract, "data flows again", epoch=self._last_epoch
                )
            yield event

    def _on_mark(self, mark: Mark) -> Mark | None:
        """What the reader gets in its place; None for what a broker repeats."""
        self._last_epoch = mark.epoch or self._last_epoch
        number = mark.subscription
        if mark.kind is MarkKind.ENDED:
            self._forget(number)
            self._on_ended(number)
        elif number in self._rejoining:
            return self._on_mark_of_rejoining(mark)
        else:
            if mark.line:
                self._lines[number] = mark.line
            self._saw(number, mark.sequence)
            if mark.kind is MarkKind.STALE:
                self._stale.add(number)
            elif mark.kind is MarkKind.RESUMED:
                self._stale.discard(number)
            elif mark.kind is MarkKind.SUBSCRIBED:
                self._attached.add(number)
                self._stale.discard(number)
        return mark

    def _on_mark_of_rejoining(self, mark: Mark) -> Mark | None:
        number = mark.subscription
        # Comes before STALE, if there is one.
        answers_resume = number in self._resume_asked and mark.kind is MarkKind.RESUMED
        if mark.kind in (MarkKind.RESUMED, MarkKind.STALE):
            self._resume_asked.discard(number)
        if mark.kind is MarkKind.RESUMED and self._goes_on(mark):
            self._saw(number, mark.sequence or self._rejoining[number])
            del self._rejoining[number]
            self._stale.discard(number)
            return mark
        if mark.line:
            self._new_lines[number] = mark.line
        if mark.kind is MarkKind.RESUMED and not answers_resume:
            resumed = self._resumed(number, mark.contract, mark.because, epoch=mark.epoch)
            self._saw(number, mark.sequence)
            return resumed
        # That the line of the broker before is unknown says nothing about data of the new one.
        is_known = mark.kind in (MarkKind.SUBSCRIBED, MarkKind.STALE, MarkKind.RESUMED)
        return None if is_known else mark

    def _saw(self, number: int, sequence: int) -> None:
        # Of a batch that is noted already, so events behind the mark have larger numbers.
        self._sequences[number] = max(sequence, self._sequences.get(number, 0))

    def _goes_on(self, mark: Mark) -> bool:
        """Whether a RESUMED answers our Resume, on the same line."""
        line = self._lines.get(mark.subscription)
        return bool(line) and (mark.line == line or (not mark.line and mark.missed is not None))

    def _resumed(self, number: int, contract: Contract, because: str, *, epoch: int) -> Mark:
        last = self._rejoining.pop(number)
        self._stale.discard(number)
        line = self._new_lines.pop(number, "")
        self._lines[number] = line
        because += f"; sequence numbers start anew, the last one before was {last}"
        return Mark(number, contract, MarkKind.RESUMED, because, epoch, local=True, line=line)

    def _forget(self, number: int) -> None:
        for one in (
            self.contracts,
            self._sequences,
            self._rejoining,
            self._lines,
            self._new_lines,
        ):
            one.pop(number, None)
        for kind in (self._attached, self._stale, self._resume_asked):
            kind.discard(number)


@dataclasses.dataclass(frozen=True, slots=True)
class Carried:
    """An event whose content need not know where it stood in its stream."""

    subscription: int
    contract: Contract
    sequence: int
    replayed: bool
    content: Any


def _is_data(event: Any, *, replayed: bool) -> bool:
    """Whether a line that sent this is alive; a replayed value may not count."""
    if isinstance(event, Info):
        return event.kind == "tick_news"
    return not isinstance(event, Notice) and (replayed or not event.replayed)
