"""A batch of market data as it came from the wire, decoded as a whole.

Nearly all of it is prices, sizes and generic values. Those are read by columns (`columns`), and
become ticks in one loop, or stay what they are (`TickColumns`). Everything else, and every batch
that cannot be read that way, goes event by event through `ticks.decode`, with the same result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ibouncer._pb.ibouncer.v1 import market_data_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer.columns import BYTES, DOUBLE, INT32, STRING, UINT32, UINT64, Column, Layout, Uneven
from ibouncer.tick_columns import TickColumns
from ibouncer.ticks import TICK_FIELDS, BareTick, Event, Tick, decode

# Tick types, values and sizes.
_Numbers = tuple[list[int | None], list[float], list[float | None]]

# Below this the columns cost more than they save.
_FEWEST = 4

# No length has this varint, so no body begins with it.
_NO_BODY = b"\xff"
# Gateway has no such tick type, price or size, and what is 0 is not sent.
_NO_KIND, _NO_VALUE, _NO_SIZE = -1, -1.2345e300, "-"
_RESPONSE = Layout("Response", Column(1, BYTES, b"", _NO_BODY))
_EVENTS = Layout(
    "Events",
    Column(1, UINT32, 0, 0),
    Column(2, UINT64, 0, 0),
    Column(3, UINT32, 0, 0),
    Column(4, UINT32, 0, 0),
    Column(5, BYTES, None, _NO_BODY),
    Column(6, BYTES, None, _NO_BODY),
    Column(8, BYTES, None, _NO_BODY),
)
_PRICES = Layout(
    "Prices",
    Column(2, INT32, 0, _NO_KIND),
    Column(3, DOUBLE, 0.0, _NO_VALUE),
    Column(4, STRING, "", _NO_SIZE),
)
_SIZES = Layout("Sizes", Column(2, INT32, 0, _NO_KIND), Column(3, STRING, "", _NO_SIZE))
_GENERICS = Layout("Generics", Column(2, INT32, 0, _NO_KIND), Column(3, DOUBLE, 0.0, _NO_VALUE))


def decode_bytes(wire: bytes, contracts: Mapping[int, Contract]) -> list[Event]:
    """The events of a StreamMarketDataResponse; raises DecodeError if it is none."""
    response = market_data_pb2.StreamMarketDataResponse.FromString(wire)
    rows = _rows(wire, response)
    if rows is None:
        return decode(response.events, contracts)
    decoded: list[Event] = []
    append, contract_of = decoded.append, contracts.get
    fields, known, bare_tick, tick_class = TICK_FIELDS, len(TICK_FIELDS), BareTick, Tick
    place = -1
    for subscription, sequence, kind, value, size, replayed, skipped in zip(*rows, strict=True):
        place += 1
        if kind is None:
            decoded += decode((response.events[place],), contracts)
            continue
        contract = contract_of(subscription)
        if contract is None:
            continue
        tick = bare_tick()
        tick.subscription = subscription
        tick.contract = contract
        tick.sequence = sequence
        tick.field = fields[kind] if 0 <= kind < known else f"tick_{kind}"
        tick.value = value
        tick.size = size
        tick.replayed = replayed
        tick.skipped = skipped
        tick.__class__ = tick_class
        append(tick)
    return decoded


def read_columns(wire: bytes, contracts: Mapping[int, Contract]) -> TickColumns | None:
    """The same without objects; None if there is anything but ticks of these contracts."""
    response = market_data_pb2.StreamMarketDataResponse.FromString(wire)
    rows = _rows(wire, response)
    if rows is None:
        return None
    subscriptions, sequences, kinds, values, sizes, replayed, skipped = rows
    if None in kinds or not contracts.keys() >= set(subscriptions):
        return None
    # Contracts of a stream come and go, and these ticks keep theirs.
    kept = dict(contracts)
    return TickColumns(
        subscriptions, sequences, kinds, values, sizes, replayed, skipped, contracts=kept
    )


def _rows(wire: bytes, response: Any) -> tuple[list[Any], ...] | None:
    """Subscription, sequence, tick type, value, size, replayed and skipped of each event.

    A tick type of None is for a body without figures. None if the batch has to be read event by
    event.
    """
    count = len(response.events)
    # Written anew it is as long, unless a message has a field twice, or holds what no usual
    # encoder writes. That is legal, but cannot be read by columns.
    if count < _FEWEST or response.ByteSize() != len(wire):
        return None
    try:
        (messages,) = _RESPONSE.read_one(wire)
        subscriptions, sequences, skips, replays, *bodies = _EVENTS.read(messages)
        kinds, values, sizes = _numbers(count, bodies)
    except Uneven:
        return None
    return (
        subscriptions or [0] * count,
        sequences or [0] * count,
        kinds,
        values,
        sizes,
        [flag != 0 for flag in replays] if replays else [False] * count,
        skips or [0] * count,
    )


def _numbers(count: int, bodies: list[list[Any] | None]) -> _Numbers:
    """Those of each event; the tick type is None where the body is another one."""
    present = [
        (messages, read)
        for messages, read in zip(bodies, (_prices, _sizes, _generics), strict=True)
        if messages is not None
    ]
    if len(present) == 1:
        ((messages, read),) = present
        if None not in messages:
            return read(messages)
    # Lists and no tuples: a thousand more objects would call the garbage collector.
    kinds: list[int | None] = [None] * count
    values: list[float] = [0.0] * count
    sizes: list[float | None] = [None] * count
    for messages, read in present:
        places = [place for place, message in enumerate(messages) if message is not None]
        numbers = zip(places, *read([messages[place] for place in places]), strict=False)
        for place, kind, value, size in numbers:
            kinds[place], values[place], sizes[place] = kind, value, size
    return kinds, values, sizes


def _prices(messages: list[bytes]) -> _Numbers:
    count = len(messages)
    kinds, values, texts = _PRICES.read(messages)
    sizes: list[float | None] = [None] * count
    if texts is not None:
        try:
            sizes = list(map(float, texts))
        except ValueError:
            # Empty where there is none; or no number, which is an error here as well.
            sizes = [float(text) if text else None for text in texts]
    return kinds or [0] * count, values or [0.0] * count, sizes


def _sizes(messages: list[bytes]) -> _Numbers:
    count = len(messages)
    kinds, texts = _SIZES.read(messages)
    values = [float(text or 0) for text in texts] if texts else [0.0] * count
    return kinds or [0] * count, values, [None] * count


def _generics(messages: list[bytes]) -> _Numbers:
    count = len(messages)
    kinds, values = _GENERICS.read(messages)
    return kinds or [0] * count, values or [0.0] * count, [None] * count
