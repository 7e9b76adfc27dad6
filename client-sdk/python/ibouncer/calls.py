"""How a session sends its calls and opens its streams; the calls themselves: one module a family.

A call is sent once; one that only reads is sent once more if the broker went away under it.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import grpc.aio
from google.protobuf.message import Message

from ibouncer import errors
from ibouncer.connection import Connection, Opened, look_at_exception
from ibouncer.line_stream import LineStream, Unpack
from ibouncer.market_data import MarketDataStream

Request = TypeVar("Request")
Response = TypeVar("Response")

# Of calls that the broker answers by itself.
CALL_TIMEOUT = 10.0
# Of calls that Gateway answers; they may have to wait for their turn.
GATEWAY_TIMEOUT = 30.0
# Of history, where Gateway's pacing can hold a request back for minutes.
HISTORY_TIMEOUT = 120.0


class Closing(Protocol):
    """A stream of a session."""

    async def aclose(self) -> None: ...


Stream = TypeVar("Stream", bound=Closing)


class Calls:
    """What the families of calls share."""

    def __init__(self, connection: Connection, *, reconnect: bool) -> None:
        self._connection = connection
        self._reconnect = reconnect
        self._streams: weakref.WeakSet[Closing] = weakref.WeakSet()

    def _wish(self, reconnect: bool | None) -> bool:
        return self._reconnect if reconnect is None else reconnect

    def _kept(self, stream: Stream) -> Stream:
        """The stream, which ends with the session."""
        self._streams.add(stream)
        return stream

    def _market_data(self, reconnect: bool | None) -> MarketDataStream:
        return self._kept(MarketDataStream(self._connection, reconnect=self._wish(reconnect)))

    def _line(
        self,
        method: Callable[[Opened], grpc.aio.UnaryStreamMultiCallable[Any, Any]],
        request: Message,
        unpack: Callable[[], Unpack],
        *,
        label: str,
        reconnect: bool | None,
    ) -> LineStream[Any]:
        return self._kept(
            LineStream(
                self._connection,
                method,
                request,
                unpack,
                label=label,
                reconnect=self._wish(reconnect),
            )
        )

    async def _ask(
        self,
        method: Callable[[Opened], grpc.aio.UnaryUnaryMultiCallable[Request, Response]],
        request: Request,
        *,
        timeout: float = CALL_TIMEOUT,
        read: bool = False,
    ) -> Response:
        """Sends a request; with `read` once more if the broker went away and another is there."""
        opened = self._connection.now
        try:
            return await _send(opened, method, request, timeout)
        except errors.BrokerUnavailable:
            if not self._reconnect:
                raise
            # The next call shall find the new broker, whether or not this one may be repeated.
            try:
                opened = await self._connection.renew(opened)
            except errors.IBouncerError:
                # Nor does a session that was closed meanwhile say whether this one was sent.
                read = False
            if not read:
                raise
        return await _send(opened, method, request, timeout)


async def _send(
    opened: Opened,
    method: Callable[[Opened], grpc.aio.UnaryUnaryMultiCallable[Request, Response]],
    request: Request,
    timeout: float,
) -> Response:
    call = method(opened)(request, timeout=timeout, metadata=opened.endpoint.metadata())
    answer = asyncio.ensure_future(_answer(call))
    try:
        # Not the call itself: its CancelledError would not say who cancelled, the caller or a
        # session that closes.
        await asyncio.wait([answer])
    finally:
        answer.cancel()
        answer.add_done_callback(look_at_exception)
    if answer.cancelled():
        raise errors.session_closed()
    try:
        return answer.result()
    except grpc.aio.AioRpcError as error:
        raise errors.from_rpc(error) from error


async def _answer(call: grpc.aio.UnaryUnaryCall[Any, Response]) -> Response:
    return await call
