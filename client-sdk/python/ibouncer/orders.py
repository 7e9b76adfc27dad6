"""Orders: placed, changed, cancelled, and watched to their end.

An order has a name of its owner's (`client_order_id`), fixed before the call, and the same name
with the same request is the same order. So placing can be repeated, and an error says whether
what was to be sent has left (`error.delivery`). Orders to be placed: `order_making`; as they are
told: `order_view`, `order_watch`; one to its end: `order_handle`; Gateway's lists: `order_lists`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import grpc.aio

from ibouncer import errors
from ibouncer._pb.ibouncer.v1 import order_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer._pb.tws.v1.option_pb2 import ExerciseOptionsRequest
from ibouncer._pb.tws.v1.order_pb2 import AttachedOrders, OrderCancel, PlaceOrderRequest
from ibouncer._pb.tws.v1.order_pb2 import Order as TwsOrder
from ibouncer.calls import GATEWAY_TIMEOUT, Calls
from ibouncer.connection import FIRST_PAUSE, LONGEST_PAUSE, Connection, Opened
from ibouncer.contracts import as_contract
from ibouncer.order_following import Following
from ibouncer.order_handle import (
    Cancelled,
    Filled,
    NotSent,
    OrderHandle,
    Outcome,
    Rejected,
    Resolved,
    Unknown,
)
from ibouncer.order_making import (
    NewOrder,
    bracket,
    changed_request,
    limit_order,
    market_order,
    new_client_order_id,
    stop_order,
)
from ibouncer.order_preview import OrderPreview, preview_from
from ibouncer.order_view import (
    CancelledOrders,
    ChangeKind,
    ChangeState,
    ExecutionEvent,
    ExecutionEventKind,
    Order,
    OrderChange,
    OrderEvent,
    OrderEventKind,
    Orders,
    OrderState,
    SparedOrder,
)
from ibouncer.order_watch import ExecutionWatch, OrderWatch
from ibouncer.scopes import OrderScope, scope_number
from ibouncer.words import number_of

__all__ = [
    "Cancelled",
    "CancelledOrders",
    "ChangeKind",
    "ChangeState",
    "ExecutionEvent",
    "ExecutionEventKind",
    "ExecutionWatch",
    "Filled",
    "NewOrder",
    "NotSent",
    "Order",
    "OrderCalls",
    "OrderChange",
    "OrderEvent",
    "OrderEventKind",
    "OrderHandle",
    "OrderPreview",
    "OrderScope",
    "OrderState",
    "OrderWatch",
    "Orders",
    "Outcome",
    "Rejected",
    "Resolved",
    "SparedOrder",
    "Unknown",
    "bracket",
    "limit_order",
    "market_order",
    "new_client_order_id",
    "stop_order",
]

Request = TypeVar("Request")
Response = TypeVar("Response")

_EXERCISE_ACTIONS = {"exercise": 1, "lapse": 2}


class OrderCalls(Calls):
    """Orders of ours."""

    def __init__(self, connection: Connection, *, reconnect: bool) -> None:
        super().__init__(connection, reconnect=reconnect)
        self._following = Following(self.watch_orders, comes_back=reconnect)

    async def place_order(
        self,
        contract: Contract | str,
        order: TwsOrder,
        *,
        client_order_id: str | None = None,
        parent_client_order_id: str = "",
        attached_orders: AttachedOrders | None = None,
        stop_loss_client_order_id: str = "",
        profit_taker_client_order_id: str = "",
        retries: int = 0,
        timeout: float = GATEWAY_TIMEOUT,
    ) -> OrderHandle:
        """Places an order, and returns once it has left for Gateway (TWS: placeOrder).

        Without a `client_order_id` it gets a new one. If the error's `delivery` is "maybe-sent",
        call again with that of the error: the order is placed once. With `retries` that is done
        here, while the broker is away or not open for orders yet: 5 take some 3 s, each further
        one 5 s.
        """
        new = NewOrder(
            contract,
            order,
            new_client_order_id() if client_order_id is None else client_order_id,
            parent_client_order_id,
            attached_orders,
            stop_loss_client_order_id,
            profit_taker_client_order_id,
        )
        response = await self._place(
            lambda opened: opened.order.PlaceOrder,
            order_pb2.PlaceOrderRequest(order=new.to_message()),
            new.client_order_id,
            retries,
            timeout,
        )
        return self._handle(response.order, response.already_placed)

    async def place_orders(
        self,
        orders: Sequence[NewOrder],
        *,
        retries: int = 0,
        timeout: float = GATEWAY_TIMEOUT,
    ) -> list[OrderHandle]:
        """Places a group (bracket, OCA) as one unit: parents before their children, at most 10.

        Errors and `retries` are as with `place_order`; repeat it with the same orders.
        """
        response = await self._place(
            lambda opened: opened.order.PlaceOrders,
            order_pb2.PlaceOrdersRequest(orders=[one.to_message() for one in orders]),
            orders[0].client_order_id if orders else "",
            retries,
            timeout,
        )
        return [self._handle(one, response.already_placed) for one in response.orders]

    async def exercise_options(
        self,
        contract: Contract,
        action: Literal["exercise", "lapse"],
        quantity: int,
        *,
        account: str = "",
        override: bool = False,
        manual_order_time: str = "",
        customer_account: str = "",
        professional_customer: bool = False,
        client_order_id: str | None = None,
        retries: int = 0,
        timeout: float = GATEWAY_TIMEOUT,
    ) -> OrderHandle:
        """Exercises options, or lets them lapse (TWS: exerciseOptions). A right of its own.

        `override` does it even against the default, such as out of the money. For another word
        than the two it raises ClientError UNKNOWN_ACTION.
        """
        number = number_of(
            action,
            _EXERCISE_ACTIONS,
            "action of an exercise",
            code="UNKNOWN_ACTION",
            delivery="not-sent",
        )
        name = new_client_order_id() if client_order_id is None else client_order_id
        request = ExerciseOptionsRequest(
            contract=contract,
            exercise_action=number,
            exercise_quantity=quantity,
            account=account or None,
            override=override or None,
            manual_order_time=manual_order_time or None,
            customer_account=customer_account or None,
            professional_customer=professional_customer or None,
        )
        response = await self._place(
            lambda opened: opened.order.ExerciseOptions,
            order_pb2.ExerciseOptionsRequest(client_order_id=name, request=request),
            name,
            retries,
            timeout,
        )
        return self._handle(response.order, response.already_placed)

    async def modify_order(
        self,
        client_order_id: str,
        contract: Contract | str,
        order: TwsOrder,
        *,
        owner: str = "",
        reason: str = "",
        timeout: float = GATEWAY_TIMEOUT,
    ) -> Order:
        """Changes a live order to this, the whole order; contract and side stay.

        Returns once the change has left; what becomes of it is `change` of later events. That of
        another `owner` is for administrators, with a `reason`, within that owner's limits.
        """
        request = order_pb2.ModifyOrderRequest(
            client_order_id=client_order_id,
            request=changed_request(contract, order),
            owner=owner,
            reason=reason,
        )
        with errors.sending(f"look with order({client_order_id!r}) before anything else"):
            response = await self._ask(
                lambda opened: opened.order.ModifyOrder, request, timeout=timeout
            )
        return Order.from_message(response.order)

    async def preview_order(
        self, contract: Contract | str, order: TwsOrder, *, timeout: float = GATEWAY_TIMEOUT
    ) -> OrderPreview:
        """Margin and commission of an order that is not placed (TWS: whatIf)."""
        request = PlaceOrderRequest(contract=as_contract(contract), order=order)
        response = await self._ask(
            lambda opened: opened.order.PreviewOrder,
            order_pb2.PreviewOrderRequest(request=request),
            timeout=timeout,
        )
        return preview_from(response.preview)

    async def cancel_order(
        self,
        client_order_id: str,
        *,
        owner: str = "",
        reason: str = "",
        order_cancel: OrderCancel | None = None,
        timeout: float = GATEWAY_TIMEOUT,
    ) -> Order:
        """Cancels an order (TWS: cancelOrder). One that has not left never leaves.

        That of another `owner` is for administrators, with a `reason`.
        """
        request = order_pb2.CancelOrderRequest(
            client_order_id=client_order_id, order_cancel=order_cancel, owner=owner, reason=reason
        )
        with errors.sending(f"look with order({client_order_id!r}) before anything else"):
            response = await self._ask(
                lambda opened: opened.order.CancelOrder, request, timeout=timeout
            )
        return Order.from_message(response.order)

    async def cancel_all_orders(
        self, *, owner: str = "", reason: str = "", timeout: float = GATEWAY_TIMEOUT
    ) -> CancelledOrders:
        """Cancels all live orders of ours, or of `owner` (for administrators, with a reason).

        Returns those that are concerned; look at `spared`, which live on. Every order of the login:
        `admin.cancel_every_order`.
        """
        request = order_pb2.CancelAllOrdersRequest(owner=owner, reason=reason)
        with errors.sending("look with orders(), or cancel again"):
            response = await self._ask(
                lambda opened: opened.order.CancelAllOrders, request, timeout=timeout
            )
        return CancelledOrders.from_message(response)

    async def order(self, client_order_id: str, *, owner: str = "") -> Order:
        """One order of ours, or of `owner`, as it is now."""
        response = await self._ask(
            lambda opened: opened.order.GetOrder,
            order_pb2.GetOrderRequest(client_order_id=client_order_id, owner=owner),
            read=True,
        )
        return Order.from_message(response.order)

    async def order_handle(self, client_order_id: str) -> OrderHandle:
        """A handle for an order that was placed before, by this program or by an earlier one."""
        order = await self.order(client_order_id)
        return OrderHandle(self, self._following, order, already_placed=True)

    async def orders(self, scope: OrderScope = "own", *, ended: bool = False) -> Orders:
        """Orders that the broker knows: the live ones, and with `ended` also the others."""
        response = await self._ask(
            lambda opened: opened.order.ListOrders,
            order_pb2.ListOrdersRequest(scope=scope_number(scope), ended=ended),
            read=True,
        )
        return Orders(map(Order.from_message, response.orders), response.through_sequence)

    def watch_orders(
        self,
        after: int | None = None,
        scope: OrderScope = "own",
        *,
        reconnect: bool | None = None,
    ) -> OrderWatch:
        """What happens to orders: everything after event `after`, or first the live orders.

        Nothing is left out and nothing comes twice, over restarts of the broker too.
        """
        return self._kept(
            OrderWatch(self._connection, after=after, scope=scope, reconnect=self._wish(reconnect))
        )

    def watch_executions(
        self,
        after: int | None = None,
        scope: OrderScope = "own",
        *,
        reconnect: bool | None = None,
    ) -> ExecutionWatch:
        """Executions with their commissions, in the same way; without `after` from now on."""
        return self._kept(
            ExecutionWatch(
                self._connection, after=after, scope=scope, reconnect=self._wish(reconnect)
            )
        )

    def _handle(self, order: order_pb2.Order, already_placed: bool) -> OrderHandle:
        told = Order.from_message(order)
        return OrderHandle(self, self._following, told, already_placed=already_placed)

    async def _place(
        self,
        method: Callable[[Opened], grpc.aio.UnaryUnaryMultiCallable[Request, Response]],
        request: Request,
        name: str,
        retries: int,
        timeout: float,
    ) -> Response:
        """Sends an order under its name, and again while the broker is away."""
        maybe_sent = False
        pause = FIRST_PAUSE
        advice = (
            f"make the same call again, with client_order_id {name!r}: it is placed once; "
            f"or look with order({name!r})"
        )
        while True:
            try:
                with errors.sending(advice, name, earlier=maybe_sent):
                    return await self._ask(method, request, timeout=timeout)
            except errors.IBouncerError as error:
                if retries <= 0 or not errors.is_away(error):
                    raise
                maybe_sent = error.delivery == "maybe-sent"
            retries -= 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
