"""The rest of the fake broker: every method of the schema that `fake_broker` has no code for.

A call answers with `broker.answers[method]` (a message, or what makes one of the request), or with
an empty message. A stream of one subscription says SUBSCRIBED and then `broker.images[method]`; a
test says the rest by `push`. Orders and their numbered events: `fake_orders`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import message_factory

import ibouncer
from ibouncer._pb.ibouncer.v1 import (
    account_pb2,
    admin_pb2,
    contract_pb2,
    history_pb2,
    market_data_pb2,
    news_pb2,
    order_pb2,
    scanner_pb2,
    session_pb2,
    stream_pb2,
)

MODULES = (
    account_pb2,
    admin_pb2,
    contract_pb2,
    history_pb2,
    market_data_pb2,
    news_pb2,
    order_pb2,
    scanner_pb2,
    session_pb2,
)


@dataclass
class LineCall:
    """One call whose answer is a stream of one subscription; `push` sends a batch."""

    method: str
    request: Any
    response: Any
    outbox: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    sequence: int = 0

    @property
    def bodies(self) -> Any:
        """Fields of an event."""
        return self.response.DESCRIPTOR.fields_by_name["events"].message_type.fields_by_name

    def event(self, replayed: bool = False, skipped: int = 0, **body: Any) -> Any:
        """An event with one body, such as position=Position(…)."""
        self.sequence += 1
        kind = self.response.DESCRIPTOR.fields_by_name["events"].message_type
        return message_factory.GetMessageClass(kind)(
            subscription_id=1, sequence=self.sequence, replayed=replayed, skipped=skipped, **body
        )

    def mark(self, kind: str, **fields: Any) -> Any:
        """A mark; kinds are named as in the schema."""
        number = stream_pb2.MarkKind.Value(f"MARK_KIND_{kind}")
        fields = {"epoch": 3, "line": "line-1", **fields}
        event = self.event(mark=stream_pb2.StreamMark(kind=number, **fields))
        self.sequence -= 1
        event.sequence = self.sequence
        return event

    def push(self, *events: Any) -> None:
        self.outbox.put_nowait(self.response(events=events))

    def say(self, **body: Any) -> None:
        """A batch of one event."""
        self.push(self.event(**body))

    def end(self) -> None:
        self.outbox.put_nowait(None)

    def break_with(self, code: grpc.StatusCode, message: str, **trailers: str) -> None:
        self.outbox.put_nowait((code, message, trailers))


def add_missing(broker: Any, services: dict[str, dict[str, grpc.RpcMethodHandler]]) -> None:
    """Handlers for what the schema has and `services` lacks."""
    for module in MODULES:
        for name, service in module.DESCRIPTOR.services_by_name.items():
            for method in service.methods:
                if method.name in services.setdefault(name, {}):
                    continue
                kind = _stream if method.server_streaming else _call
                services[name][method.name] = kind(broker, method)


async def _given_up(broker: Any) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        broker.given_up += 1
        broker.changed.set()


def _call(broker: Any, method: Any) -> grpc.RpcMethodHandler:
    asked = message_factory.GetMessageClass(method.input_type)
    answered = message_factory.GetMessageClass(method.output_type)

    async def answer(message: Any, context: Any) -> Any:
        await broker._enter(method.name, message, context)
        if method.name == broker.unanswered:
            await _given_up(broker)
        answer = broker.answers.get(method.name, answered())
        return answer(message) if callable(answer) else answer

    return grpc.unary_unary_rpc_method_handler(answer, asked.FromString, answered.SerializeToString)


def _stream(broker: Any, method: Any) -> grpc.RpcMethodHandler:
    asked = message_factory.GetMessageClass(method.input_type)
    answered = message_factory.GetMessageClass(method.output_type)

    async def run(message: Any, context: Any) -> AsyncIterator[Any]:
        await broker._enter(method.name, message, context)
        call = LineCall(method.name, message, answered)
        if "mark" in call.bodies:
            image = [call.event(**body) for body in broker.images.get(method.name, ())]
            call.push(call.mark("SUBSCRIBED"), *image)
        elif method.name in broker.answers:
            call.outbox.put_nowait(broker.answers[method.name](message))
        broker.line_calls.append(call)
        broker.changed.set()
        while True:
            item = await call.outbox.get()
            if item is None:
                return
            if isinstance(item, tuple):
                code, text, trailers = item
                await context.abort(code, text, tuple(trailers.items()))
            yield item

    return grpc.unary_stream_rpc_method_handler(run, asked.FromString, answered.SerializeToString)


@asynccontextmanager
async def served(
    runtime: Path, *, auto_ticks: bool = False
) -> AsyncIterator[tuple[Any, ibouncer.Session]]:
    """A broker, and a session with it."""
    from fake_broker import FakeBroker

    async with FakeBroker(auto_ticks=auto_ticks) as broker:
        await broker.start(unix=runtime / "ibouncer.sock")
        async with ibouncer.connect() as session:
            yield broker, session
