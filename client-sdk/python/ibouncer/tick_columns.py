"""Ticks in a row as columns, for programs that want figures and no object for each tick.

An object costs more than all that is read from the wire for it. `TickColumns` holds the same
facts as so many `Tick`s, a list for each of their fields, and makes the objects when it is
iterated. Nothing here reads the wire: `bulk`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer.ticks import TICK_FIELDS, Event, Tick, field_name


@dataclass(frozen=True, slots=True, eq=False)
class TickColumns:
    """Ticks that came one after the other; row by row with `zip(columns.values, …)`.

    `tick_types` are IB's numbers, `fields` their names. Iterating gives a `Tick` for each row.
    """

    subscriptions: Sequence[int]
    sequences: Sequence[int]
    tick_types: Sequence[int]
    values: Sequence[float]
    sizes: Sequence[float | None]
    replayed: Sequence[bool]
    skipped: Sequence[int]
    contracts: Mapping[int, Contract] = field(repr=False)

    @property
    def fields(self) -> list[str]:
        """What `Tick.field` says, of each row."""
        return [field_name(tick_type) for tick_type in self.tick_types]

    def __len__(self) -> int:
        return len(self.subscriptions)

    def __iter__(self) -> Iterator[Tick]:
        for subscription, sequence, name, value, size, replayed, skipped in zip(
            self.subscriptions,
            self.sequences,
            self.fields,
            self.values,
            self.sizes,
            self.replayed,
            self.skipped,
            strict=True,
        ):
            contract = self.contracts[subscription]
            yield Tick(subscription, contract, sequence, name, value, size, replayed, skipped)


def in_columns(events: Iterable[Event]) -> list[TickColumns | Event]:
    """The same events in the same order, ticks that follow each other as columns."""
    grouped: list[TickColumns | Event] = []
    for are_ticks, group in groupby(events, lambda event: type(event) is Tick):
        if are_ticks:
            grouped.append(_of([event for event in group if isinstance(event, Tick)]))
        else:
            grouped += group
    return grouped


def _of(ticks: list[Tick]) -> TickColumns:
    return TickColumns(
        [tick.subscription for tick in ticks],
        [tick.sequence for tick in ticks],
        [_tick_type(tick.field) for tick in ticks],
        [tick.value for tick in ticks],
        [tick.size for tick in ticks],
        [tick.replayed for tick in ticks],
        [tick.skipped for tick in ticks],
        {tick.subscription: tick.contract for tick in ticks},
    )


_NUMBERS = {name: number for number, name in enumerate(TICK_FIELDS)}


def _tick_type(name: str) -> int:
    known = _NUMBERS.get(name)
    return int(name.removeprefix("tick_")) if known is None else known
