"""One watch on the caller's orders for all handles that wait, as long as any does.

A program waits for many orders and may hold few streams. Who begins to wait asks the broker for
its order once the watch has begun: what happened before is in the answer, what happens later
comes by the watch. Who decides what is waited for: `order_handle`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from ibouncer import errors
from ibouncer.order_view import Order
from ibouncer.order_watch import OrderWatch


class Follower:
    """One who waits for news of one order."""

    def __init__(self, reading: _Reading, client_order_id: str) -> None:
        self.client_order_id = client_order_id
        self.news = asyncio.Event()
        self.newest: Order | None = None
        self._reading = reading

    async def next(self) -> Order:
        """The order after its newest event, once there is one that was not taken."""
        while self.newest is None:
            self._reading.check()
            self.news.clear()
            await self.news.wait()
        order, self.newest = self.newest, None
        return order


class Following:
    """What a session's handles share."""

    def __init__(self, open_watch: Callable[[], OrderWatch], *, comes_back: bool) -> None:
        self.comes_back = comes_back
        self._open_watch = open_watch
        self._reading: _Reading | None = None

    @contextlib.asynccontextmanager
    async def order(self, client_order_id: str) -> AsyncIterator[Follower]:
        """News of an order: everything that happens from inside on."""
        reading = self._reading
        if reading is None or reading.over:
            reading = self._reading = _Reading(self._open_watch())
        follower = Follower(reading, client_order_id)
        reading.followers.add(follower)
        try:
            await reading.watch.begun.wait()
            reading.check()
            yield follower
        finally:
            reading.followers.discard(follower)
            if not reading.followers:
                if self._reading is reading:
                    self._reading = None
                await reading.watch.aclose()


class _Reading:
    """A watch, and who is told of it."""

    def __init__(self, watch: OrderWatch) -> None:
        self.watch = watch
        self.followers: set[Follower] = set()
        self.over = False
        self._error: errors.IBouncerError | None = None
        # Kept, so that it is not collected while it runs.
        self._task = asyncio.ensure_future(self._read())

    def check(self) -> None:
        """Raises if there will be no more news."""
        if self._error is not None:
            raise self._error
        if self.over:
            raise errors.session_closed()

    async def _read(self) -> None:
        try:
            async for event in self.watch:
                for follower in self.followers:
                    if follower.client_order_id == event.order.client_order_id:
                        follower.newest = event.order
                        follower.news.set()
        except errors.IBouncerError as error:
            self._error = error
        finally:
            self.over = True
            self.watch.begun.set()
            for follower in self.followers:
                follower.news.set()
