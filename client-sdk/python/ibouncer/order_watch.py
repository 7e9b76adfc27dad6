"""Numbered events of orders and executions, from one broker and from the next.

A watch goes on behind the last event that the broker said it had sent, so nothing is left out and
nothing comes twice. One order to its end: `order_handle`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ibouncer import errors
from ibouncer._pb.ibouncer.v1 import order_pb2
from ibouncer.connection import Connection, Opened
from ibouncer.order_view import (
    ExecutionEvent,
    OrderEvent,
    OrderEventKind,
)
from ibouncer.scopes import OrderScope, scope_number
from ibouncer.streams import Watch

if TYPE_CHECKING:
    from typing_extensions import Self

Response = TypeVar("Response", order_pb2.WatchOrdersResponse, order_pb2.WatchExecutionsResponse)
Item = TypeVar("Item", OrderEvent, ExecutionEvent)


class _Numbered(Watch[Response], Generic[Response, Item]):
    def __init__(
        self, connection: Connection, *, after: int | None, scope: OrderScope, reconnect: bool
    ) -> None:
        self._scope = scope_number(scope)
        # What the broker said to have sent, and what was handed over of it.
        self._sent = after
        self._handed = after
        self._waiting: deque[Item] = deque()
        # The broker has answered: what happens from here on will be told.
        self.begun = asyncio.Event()
        super().__init__(connection, reconnect=reconnect)

    def _item(self, event: Any) -> Item:
        raise NotImplementedError

    @property
    def through_sequence(self) -> int | None:
        """Everything up to this event was handed over: keep it, and watch on `after` it.

        None if nothing is known yet.
        """
        return self._handed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while not self._waiting:
            response: Any = await self._next()
            if response is None:
                raise StopAsyncIteration
            if not isinstance(response, errors.IBouncerError):
                self._take(response)
        item = self._waiting.popleft()
        if not self._waiting:
            self._handed = self._sent
        elif item.kind is not OrderEventKind.SNAPSHOT:
            self._handed = item.sequence
        return item

    def _take(self, response: Any) -> None:
        self._sent = response.through_sequence
        self._waiting.extend(self._item(event) for event in response.events)
        if not self._waiting:
            self._handed = self._sent
        self.begun.set()


class OrderWatch(_Numbered[order_pb2.WatchOrdersResponse, OrderEvent]):
    """What happens to orders: `async for event in …`. It outlives its broker."""

    def _call(self, opened: Opened) -> Any:
        request = order_pb2.WatchOrdersRequest(after_sequence=self._sent, scope=self._scope)
        return opened.order.WatchOrders(request, metadata=opened.endpoint.metadata())

    def _item(self, event: Any) -> OrderEvent:
        return OrderEvent.from_message(event)


class ExecutionWatch(_Numbered[order_pb2.WatchExecutionsResponse, ExecutionEvent]):
    """Executions with their commissions: `async for event in …`. It outlives its broker."""

    def _call(self, opened: Opened) -> Any:
        request = order_pb2.WatchExecutionsRequest(after_sequence=self._sent, scope=self._scope)
        return opened.order.WatchExecutions(request, metadata=opened.endpoint.metadata())

    def _item(self, event: Any) -> ExecutionEvent:
        return ExecutionEvent.from_message(event)
