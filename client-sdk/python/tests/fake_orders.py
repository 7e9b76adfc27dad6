"""The fake broker's orders: it keeps what it is told and sends nothing anywhere.

A test says by `tell` what becomes of an order. The orders outlive `broker.stop()`, as a journal.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fake_broker import FakeBroker

import ibouncer
from ibouncer._pb.ibouncer.v1 import error_pb2
from ibouncer._pb.ibouncer.v1 import order_pb2 as pb
from ibouncer._pb.tws.v1 import execution_pb2


class FakeOrders:
    """Orders by their names, and their numbered events."""

    def __init__(self, broker: Any) -> None:
        self.broker = broker
        self.orders: dict[str, Any] = {}
        self.events: list[Any] = []
        broker.answers.update(
            PlaceOrder=self._place,
            PlaceOrders=self._place_all,
            ModifyOrder=self._modify,
            CancelOrder=lambda asked: pb.CancelOrderResponse(
                order=self.tell(asked.client_order_id, "CANCELLED")
            ),
            CancelAllOrders=lambda _: pb.CancelAllOrdersResponse(
                orders=self.orders.values(),
                spared=[
                    pb.SparedOrder(
                        order=pb.Order(client_order_id="b"),
                        error=error_pb2.Error(code="ORDER_UNKNOWN"),
                    )
                ],
            ),
            ExerciseOptions=lambda asked: pb.ExerciseOptionsResponse(
                order=self.tell(asked.client_order_id, "SENT")
            ),
            GetOrder=lambda asked: pb.GetOrderResponse(order=self.orders[asked.client_order_id]),
            ListOrders=lambda _: pb.ListOrdersResponse(
                orders=self.orders.values(), through_sequence=len(self.events)
            ),
            WatchOrders=self._watch,
            WatchExecutions=lambda asked: pb.WatchExecutionsResponse(
                through_sequence=asked.after_sequence
            ),
        )

    def tell(self, name: str, state: str, kind: str = "STATE", **fields: Any) -> Any:
        """An event: the order has this state now."""
        order = pb.Order()
        order.CopyFrom(self.orders.get(name, pb.Order(client_order_id=name, owner="momentum")))
        order.MergeFrom(
            pb.Order(
                state=pb.OrderState.Value(f"ORDER_STATE_{state}"),
                sequence=len(self.events) + 1,
                **fields,
            )
        )
        self.orders[name] = order
        kind_number = pb.OrderEventKind.Value(f"ORDER_EVENT_KIND_{kind}")
        self.events.append(pb.OrderEvent(sequence=order.sequence, kind=kind_number, order=order))
        self._push("WatchOrders", pb.WatchOrdersResponse, self.events[-1])
        return order

    def fill(self, sequence: int, name: str, exec_id: str, commission: float | None) -> None:
        """An execution, which is told alone."""
        event = pb.ExecutionEvent(
            sequence=sequence,
            kind=pb.EXECUTION_EVENT_KIND_NEW,
            client_order_id=name,
            execution=execution_pb2.ExecutionDetails(
                execution=execution_pb2.Execution(exec_id=exec_id, shares="10", side="BOT")
            ),
        )
        if commission is not None:
            event.commission.exec_id = exec_id
            event.commission.commission_and_fees = commission
        self._push("WatchExecutions", pb.WatchExecutionsResponse, event)

    def watches(self) -> list[Any]:
        """Calls of WatchOrders that are or were open at this broker."""
        return [call for call in self.broker.line_calls if call.method == "WatchOrders"]

    def _push(self, method: str, response: Any, event: Any) -> None:
        for call in self.broker.line_calls:
            if call.method == method:
                call.outbox.put_nowait(response(events=[event], through_sequence=event.sequence))

    def _place(self, asked: Any) -> Any:
        known = asked.order.client_order_id in self.orders
        return pb.PlaceOrderResponse(order=self._placed(asked.order), already_placed=known)

    def _place_all(self, asked: Any) -> Any:
        return pb.PlaceOrdersResponse(orders=[self._placed(one) for one in asked.orders])

    def _placed(self, new: Any) -> Any:
        name = new.client_order_id
        if name in self.orders:
            return self.orders[name]
        request = new.request
        return self.tell(
            name,
            "SENT",
            contract=request.contract,
            order=request.order,
            parent_client_order_id=new.parent_client_order_id,
        )

    def _modify(self, asked: Any) -> Any:
        change = pb.OrderChange(
            kind=pb.CHANGE_KIND_MODIFY,
            state=pb.CHANGE_STATE_SENT,
            by="risk" if asked.owner else "",
            reason=asked.reason,
        )
        order = asked.request.order
        told = self.tell(asked.client_order_id, "WORKING", "CHANGE", order=order, change=change)
        return pb.ModifyOrderResponse(order=told)

    def _watch(self, asked: Any) -> Any:
        through = len(self.events)
        if asked.HasField("after_sequence"):
            events = self.events[asked.after_sequence :]
        else:
            events = [
                pb.OrderEvent(
                    sequence=order.sequence, kind=pb.ORDER_EVENT_KIND_SNAPSHOT, order=order
                )
                for order in self.orders.values()
                if order.state < pb.ORDER_STATE_FILLED
            ]
        return pb.WatchOrdersResponse(events=events, through_sequence=through)


@asynccontextmanager
async def served(
    runtime: Path, *, reconnect: bool = True
) -> AsyncIterator[tuple[FakeBroker, FakeOrders, ibouncer.Session]]:
    async with FakeBroker() as broker:
        orders = FakeOrders(broker)
        await broker.start(unix=runtime / "ibouncer.sock")
        async with ibouncer.connect(reconnect=reconnect) as session:
            yield broker, orders, session


def asked(broker: FakeBroker, method: str) -> list[Any]:
    return [message for name, _, message in broker.calls if name == method]
