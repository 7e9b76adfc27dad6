"""Orders to be placed, in short. Every other field of IB's by its own name:

    order = ibouncer.limit_order("BUY", 100, 187.5, tif="GTC", outside_rth=True)

A name (`client_order_id`) is the order's for ever, and fixed before the call: so the call can be
made again when it is not known whether it arrived.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from ibouncer._pb.ibouncer.v1 import order_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer._pb.tws.v1.order_pb2 import AttachedOrders, PlaceOrderRequest
from ibouncer._pb.tws.v1.order_pb2 import Order as TwsOrder
from ibouncer.contracts import as_contract

Action = Literal["BUY", "SELL", "SSHORT"]
Quantity = int | float | str | Decimal

# Ids that the broker gives; an order as Gateway told it has them, one to be sent must not.
_IDS = ("client_id", "order_id", "perm_id", "parent_id", "parent_perm_id")


def new_client_order_id() -> str:
    """A name that no other order has."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order under its name, for `place_orders`.

    Its parent is the order that it waits for: of the same group, or a live one of ours. With
    `attached_orders` Gateway makes a stop loss and a profit taker of it, under the two names.
    """

    contract: Contract | str
    order: TwsOrder
    client_order_id: str = field(default_factory=new_client_order_id)
    parent_client_order_id: str = ""
    attached_orders: AttachedOrders | None = None
    stop_loss_client_order_id: str = ""
    profit_taker_client_order_id: str = ""

    def to_message(self) -> order_pb2.NewOrder:
        """The schema's own form, a copy of what is in here now."""
        return order_pb2.NewOrder(
            client_order_id=self.client_order_id,
            request=PlaceOrderRequest(
                contract=as_contract(self.contract),
                order=self.order,
                attached_orders=self.attached_orders,
            ),
            parent_client_order_id=self.parent_client_order_id,
            stop_loss_client_order_id=self.stop_loss_client_order_id,
            profit_taker_client_order_id=self.profit_taker_client_order_id,
        )


def market_order(action: Action, quantity: Quantity, **fields: Any) -> TwsOrder:
    """At the market."""
    return _order("MKT", action, quantity, fields)


def limit_order(action: Action, quantity: Quantity, price: float, **fields: Any) -> TwsOrder:
    """At this price or better."""
    return _order("LMT", action, quantity, {"lmt_price": price, **fields})


def stop_order(action: Action, quantity: Quantity, price: float, **fields: Any) -> TwsOrder:
    """At the market once this price is touched."""
    return _order("STP", action, quantity, {"aux_price": price, **fields})


def bracket(
    contract: Contract | str,
    entry: TwsOrder,
    *,
    target_price: float,
    stop_price: float,
    name: str | None = None,
    **exit_fields: Any,
) -> list[NewOrder]:
    """An entry with a target and a stop, of which one cancels the other, for `place_orders`.

    Their names are NAME, NAME.target and NAME.stop. Gateway holds them back until it has the last
    one. The exits are for the entry's account and take `exit_fields`, such as tif="GTC".
    """
    name = new_client_order_id() if name is None else name
    exit_action: Action = "SELL" if entry.action == "BUY" else "BUY"
    quantity = entry.total_quantity
    if entry.HasField("account"):
        exit_fields = {"account": entry.account, **exit_fields}
    target = limit_order(exit_action, quantity, target_price, **exit_fields)
    stop = stop_order(exit_action, quantity, stop_price, **exit_fields)
    return [
        NewOrder(contract, _held(entry, transmit=False), name),
        NewOrder(contract, _held(target, transmit=False), f"{name}.target", name),
        NewOrder(contract, _held(stop, transmit=True), f"{name}.stop", name),
    ]


def changed_request(contract: Contract | str, order: TwsOrder) -> PlaceOrderRequest:
    """An order as it shall be; ids that Gateway told are left out."""
    request = PlaceOrderRequest(contract=as_contract(contract), order=order)
    for name in _IDS:
        request.order.ClearField(name)  # type: ignore[arg-type]
    return request


def _order(kind: str, action: str, quantity: Quantity, fields: dict[str, Any]) -> TwsOrder:
    return TwsOrder(
        order_type=kind, action=action, total_quantity=_decimal_text(quantity), **fields
    )


def _decimal_text(quantity: Quantity) -> str:
    """A quantity as the wire has it; of a float the digits that print it."""
    if isinstance(quantity, str):
        return quantity
    text = format(Decimal(str(quantity)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _held(order: TwsOrder, *, transmit: bool) -> TwsOrder:
    held = TwsOrder()
    held.CopyFrom(order)
    held.transmit = transmit
    return held
