"""Reading one field of many messages at a time: a thousand sequences are one list, made in C.

Asking each message for each field costs more than everything else that is done for a tick. But
messages one after the other are, by protobuf's own rules, one message, and if its schema says
`repeated` it holds every value of each field, in order. `Layout` is such a schema, made here and
sent nowhere.

What it relies on, and what its caller must know: every message is well-formed, and none has a
field twice. Then a column with as many values as there are messages has one of each. A shorter one
is read again with a separator behind each message. Never a guess: if that does not come out even,
there are no columns, and the caller reads the messages one by one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
UINT32 = _Field.TYPE_UINT32
UINT64 = _Field.TYPE_UINT64
INT32 = _Field.TYPE_INT32
DOUBLE = _Field.TYPE_DOUBLE
BYTES = _Field.TYPE_BYTES
STRING = _Field.TYPE_STRING


@dataclass(frozen=True)
class Column:
    """A field: its number and type, what its absence means, and a value that is never sent."""

    number: int
    type: _Field.Type.ValueType
    absent: Any
    never: Any


class Uneven(Exception):
    """The messages cannot be read by columns."""


class Layout:
    """Some fields of one kind of message."""

    def __init__(self, name: str, *columns: Column) -> None:
        file = descriptor_pb2.FileDescriptorProto(
            name=f"{name}.proto", package="ibouncer.columns", syntax="proto3"
        )
        message = file.message_type.add(name=name)
        for column in columns:
            field = message.field.add(
                name=f"f{column.number}",
                number=column.number,
                type=column.type,
                label=_Field.LABEL_REPEATED,
            )
            if column.type not in (BYTES, STRING):
                # So that a separator is written as a single message writes its field.
                field.options.packed = False
        # A pool of its own: the names of the real schema stay free of these.
        pool = descriptor_pool.DescriptorPool()
        pool.AddSerializedFile(file.SerializeToString())
        found = pool.FindMessageTypeByName(f"ibouncer.columns.{name}")
        joined = message_factory.GetMessageClass(found)
        self._parse = joined.FromString
        self._columns = [(column, f"f{column.number}") for column in columns]
        self._separator = joined(
            **{name: [column.never] for column, name in self._columns}
        ).SerializeToString()

    def read_one(self, message: bytes) -> list[list[Any]]:
        """All values of each column of a message whose fields are repeated in truth."""
        parsed = self._parse(message)
        return [getattr(parsed, name)[:] for _, name in self._columns]

    def read(self, messages: Sequence[bytes]) -> list[list[Any] | None]:
        """A list for each column, None for one that no message has. Raises Uneven."""
        count = len(messages)
        joined = self._parse(b"".join(messages))
        separated = None
        read: list[list[Any] | None] = []
        for column, name in self._columns:
            values = getattr(joined, name)
            if len(values) == count:
                read.append(values[:])
            elif not values:
                read.append(None)
            else:
                if separated is None:
                    separated = self._parse(self._separator.join((*messages, b"")))
                read.append(_spread(getattr(separated, name)[:], column, count))
        return read


def _spread(values: list[Any], column: Column, count: int) -> list[Any]:
    """One value for each message, from a column with a separator behind each of them."""
    absent, never = column.absent, column.never
    # What stands before a separator is the message's value, or the separator of the one before.
    before = itertools.chain((never,), values)
    spread = [
        absent if value == never else value
        for value, behind in zip(before, values, strict=False)
        if behind == never
    ]
    if len(spread) != count:
        raise Uneven
    return spread
