"""Reading a gRPC stream so that a cancelled reader does not end the call, nor a broker that left.

`grpc.aio` cancels a whole call if the task that reads from it is cancelled, as by
`asyncio.wait_for`. In `Reader` the read goes on by itself and the next reader takes its result.
`Watch` is a stream of the broker's own doings that is opened again. Subscriptions at Gateway come
back in their own way: `market_data`, `line_stream`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Generic, TypeVar

import grpc.aio

from ibouncer import errors
from ibouncer.connection import Comeback, Connection, Opened

Response = TypeVar("Response")


class OneReader:
    """Around each wait for the next message: a second task would take them from the first."""

    def __init__(self) -> None:
        self._taken = False

    def __enter__(self) -> None:
        if self._taken:
            raise RuntimeError(
                "another task reads this stream: read it in one task, or open one for each"
            )
        self._taken = True

    def __exit__(self, *_: object) -> None:
        self._taken = False


class Reader(Generic[Response]):
    """The reading side of one call, for one reader at a time."""

    def __init__(self, call: Any, *, ends: bool = False) -> None:
        self._call = call
        self._ends = ends
        self._pending: asyncio.Task[Any] | None = None
        self._closed = False

    async def read(self) -> Response | None:
        """The next message; None after `close`. Raises if the stream ended in any other way.

        With `ends`, an end in order is none to be raised, but None as well.
        """
        if self._closed:
            return None
        if self._pending is None:
            self._pending = asyncio.ensure_future(self._call.read())
        pending = self._pending
        # Not the read itself: its CancelledError would not say who was cancelled, this task or the
        # call. `asyncio.run` ends with both, and a reader that went on would never let it end.
        await asyncio.wait([pending])
        self._pending = None
        if pending.cancelled():
            if self._closed:
                return None
            raise errors.unavailable("the call was cancelled")
        try:
            response = pending.result()
        except grpc.aio.AioRpcError as error:
            if self._closed:
                return None
            raise errors.from_rpc(error) from error
        if response is grpc.aio.EOF:
            if self._ends:
                return None
            raise errors.unavailable("it ended the stream")
        result: Response = response
        return result

    async def close(self) -> None:
        """Ends the call; a waiting `read` returns None."""
        self._closed = True
        self._call.cancel()
        pending = self._pending
        if pending is not None:
            await asyncio.wait([pending])
            if not pending.cancelled():
                pending.exception()


class Watch(Generic[Response]):
    """One call whose answer is a stream, opened again after the broker was away."""

    def __init__(self, connection: Connection, *, reconnect: bool, ends: bool = False) -> None:
        self._comeback = Comeback(connection, reconnect=reconnect)
        self._ends = ends
        self._away = False
        self._answered = False
        self._reader: Reader[Response] | None = None
        self._one_reader = OneReader()
        self._open()

    def _call(self, opened: Opened) -> Any:
        raise NotImplementedError

    def _open(self) -> None:
        self._reader = Reader(self._call(self._comeback.opened), ends=self._ends)
        self._comeback.on_opened()

    async def _next(self) -> Response | errors.IBouncerError | None:
        """The next message; an error, once, if the broker is away; None after `aclose`."""
        with self._one_reader:
            while not self._comeback.closing.is_set():
                try:
                    if self._reader is None:
                        if await self._comeback.wait():
                            self._open()
                        continue
                    response = await self._reader.read()
                except errors.IBouncerError as error:
                    self._reader = None
                    if not self._answered and errors.is_one_too_many(error):
                        self._comeback.closing.set()
                        raise
                    self._comeback.on_broken(error)
                    if self._away:
                        continue
                    self._away = True
                    return error
                self._away = False
                self._answered = True
                return response
            return None

    async def aclose(self) -> None:
        """Ends the call."""
        self._comeback.closing.set()
        if self._reader is not None:
            await self._reader.close()
