"""Waiting for work, but not for longer than was said."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from ibouncer.connection import look_at_exception

Result = TypeVar("Result")


async def within(timeout: float | None, work: Coroutine[Any, Any, Result]) -> Result:
    """What the work returns; raises asyncio.TimeoutError, with the work cancelled.

    `asyncio.wait_for` of Python 3.10 and 3.11 swallows the cancellation of who waits if the work
    is done in the same moment.
    """
    if timeout is None:
        return await work
    doing = asyncio.ensure_future(work)
    doing.add_done_callback(look_at_exception)
    late = False
    try:
        await asyncio.wait([doing], timeout=timeout)
        late = not doing.done()
    finally:
        if not doing.done():
            doing.cancel()
            await asyncio.wait([doing])
    if late and doing.cancelled():
        raise asyncio.TimeoutError
    return doing.result()
