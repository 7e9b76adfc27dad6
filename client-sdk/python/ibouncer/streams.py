"""Reading a gRPC stream so that a cancelled reader does not end the call.

`grpc.aio` cancels a whole call if the task that reads from it is cancelled, as by
`asyncio.wait_for`. Here the read goes on by itself and the next reader takes its result.
"""

from __future__ import annotations

import asyncio
from typing import Any, Generic, TypeVar

import grpc.aio

from ibouncer import errors

Response = TypeVar("Response")


class Reader(Generic[Response]):
    """The reading side of one call, for one reader at a time."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._pending: asyncio.Task[Any] | None = None
        self._closed = False

    async def read(self) -> Response | None:
        """The next message; None after `close`. Raises if the stream ended in any other way."""
        if self._closed:
            return None
        if self._pending is None:
            self._pending = asyncio.ensure_future(self._call.read())
        pending = self._pending
        try:
            response = await asyncio.shield(pending)
        except asyncio.CancelledError:
            if not pending.cancelled():
                raise
            self._pending = None
            if self._closed:
                return None
            raise errors.unavailable("the call was cancelled") from None
        except grpc.aio.AioRpcError as error:
            self._pending = None
            if self._closed:
                return None
            raise errors.from_rpc(error) from error
        self._pending = None
        if response is grpc.aio.EOF:
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
