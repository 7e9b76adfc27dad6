"""Orders as the broker keeps them, and what is told of them, from the schema's messages.

Nothing here asks or sends. Orders as Gateway lists them: `order_lists`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from ibouncer import errors
from ibouncer._pb.ibouncer.v1 import order_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer._pb.tws.v1.order_pb2 import Order as TwsOrder
from ibouncer._pb.tws.v1.order_state_pb2 import OrderState as TwsOrderState
from ibouncer._pb.tws.v1.order_state_pb2 import OrderStatus as TwsOrderStatus
from ibouncer.figures import figure, text_figure
from ibouncer.marks import Notice, about, notice_from
from ibouncer.order_lists import Execution, commission_from, execution_from
from ibouncer.rows import FRAMELESS, Rows
from ibouncer.status import moment


class _Word(str, enum.Enum):
    def __str__(self) -> str:
        return str(self.value)


class OrderState(_Word):
    """Where an order stands. UNKNOWN is ended by evidence or a person, never by silence."""

    UNSPECIFIED = "UNSPECIFIED"
    INTENT = "INTENT"
    SENT = "SENT"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    WORKING = "WORKING"
    INACTIVE = "INACTIVE"
    UNKNOWN = "UNKNOWN"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    NOT_SENT = "NOT_SENT"


class ChangeKind(_Word):
    """What is being changed."""

    UNSPECIFIED = "UNSPECIFIED"
    MODIFY = "MODIFY"
    CANCEL = "CANCEL"


class ChangeState(_Word):
    """Where the newest change of an order stands."""

    UNSPECIFIED = "UNSPECIFIED"
    WAITING = "WAITING"
    SENT = "SENT"
    DONE = "DONE"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    NOT_SENT = "NOT_SENT"


class OrderEventKind(_Word):
    """What happened to an order; SNAPSHOT is the order as it is when a watch begins."""

    UNSPECIFIED = "UNSPECIFIED"
    SNAPSHOT = "SNAPSHOT"
    STATE = "STATE"
    UPDATE = "UPDATE"
    CHANGE = "CHANGE"
    NOTICE = "NOTICE"


class ExecutionEventKind(_Word):
    """NEW comes once; CORRECTED replaces an earlier one; COMMISSION tells what was left out."""

    UNSPECIFIED = "UNSPECIFIED"
    NEW = "NEW"
    CORRECTED = "CORRECTED"
    COMMISSION = "COMMISSION"


ENDED = frozenset(
    {OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.NOT_SENT}
)


@dataclass(frozen=True, slots=True)
class OrderChange:
    """The newest change of an order; at most one is unanswered.

    After FAILED the order is as it was; `gateway_code` is Gateway's own, if it refused. `by` and
    `reason` say who asked for it and why, where that was not the owner.
    """

    kind: ChangeKind
    state: ChangeState
    because: str
    gateway_code: int | None
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """An order and what is known of it.

    `order`, `order_state` and `order_status` have IB's own fields, `message` is the schema's form.
    `client_order_id` and `owner` are empty if it was not placed through this broker. `status` is
    Gateway's own word; `filled` and `remaining` are None, and `order_status` is empty, before
    Gateway has told. `unreachable`: Gateway neither tells of it nor takes anything for it, because
    the session uses the reserved client id; all here is what was known last. `sequence` is the
    number of the newest event about it.
    """

    message: order_pb2.Order = field(repr=False, compare=False, metadata=FRAMELESS)
    client_order_id: str
    owner: str
    state: OrderState
    because: str
    change: OrderChange | None
    contract: Contract
    order: TwsOrder = field(repr=False, compare=False, metadata=FRAMELESS)
    order_state: TwsOrderState = field(repr=False, compare=False, metadata=FRAMELESS)
    order_status: TwsOrderStatus = field(repr=False, compare=False, metadata=FRAMELESS)
    order_id: int
    client_id: int
    perm_id: int
    status: str
    filled: float | None
    remaining: float | None
    avg_fill_price: float | None
    parent_client_order_id: str
    group: str
    sequence: int
    created_at: datetime | None
    updated_at: datetime | None
    notice: Notice | None = field(metadata=FRAMELESS)
    unreachable: bool

    @property
    def ended(self) -> bool:
        """True in FILLED, CANCELLED, REJECTED and NOT_SENT. A fill can follow CANCELLED."""
        return self.state in ENDED

    @classmethod
    def from_message(cls, message: order_pb2.Order) -> Order:
        """The view of one message."""
        return cls(
            message=message,
            client_order_id=message.client_order_id,
            owner=message.owner,
            state=_word(OrderState, order_pb2.OrderState, message.state),
            because=message.because,
            change=_change(message.change) if message.HasField("change") else None,
            contract=message.contract,
            order=message.order,
            order_state=message.order_state,
            order_status=message.order_status,
            order_id=message.order_id,
            client_id=message.client_id,
            perm_id=message.perm_id,
            status=message.status,
            filled=text_figure(message.filled),
            remaining=text_figure(message.remaining),
            avg_fill_price=figure(message.avg_fill_price),
            parent_client_order_id=message.parent_client_order_id,
            group=message.group,
            sequence=message.sequence,
            created_at=_moment(message, "created_at"),
            updated_at=_moment(message, "updated_at"),
            notice=_notice(message) if message.HasField("notice") else None,
            unreachable=message.unreachable,
        )

    def __str__(self) -> str:
        name = self.client_order_id or f"order {self.order_id}"
        asked = f"{self.order.action} {self.order.total_quantity} {about(self.contract)}"
        because = f": {self.because}" if self.because else ""
        state = f"UNREACHABLE ({self.state})" if self.unreachable else self.state
        return f"{name} {asked.strip()} {state}{because}"


class Orders(Rows[Order]):
    """Orders; everything up to the event `through_sequence` is in them: watch on from there."""

    _kind: ClassVar[Any] = Order

    def __init__(self, orders: Iterable[Order] = (), through_sequence: int = 0) -> None:
        super().__init__(orders)
        self.through_sequence = through_sequence


@dataclass(frozen=True, slots=True)
class SparedOrder:
    """An order that lives on, though it was to be cancelled, and why."""

    order: Order
    error: errors.IBouncerError


class CancelledOrders(Rows[Order]):
    """Orders whose cancel leaves; `spared` are those that live on, since no cancel reaches them."""

    _kind: ClassVar[Any] = Order

    def __init__(self, orders: Iterable[Order] = (), spared: Iterable[SparedOrder] = ()) -> None:
        super().__init__(orders)
        self.spared = list(spared)

    @classmethod
    def from_message(cls, message: order_pb2.CancelAllOrdersResponse) -> CancelledOrders:
        """The view of one message."""
        return cls(
            map(Order.from_message, message.orders),
            (
                SparedOrder(Order.from_message(one.order), errors.from_message(one.error))
                for one in message.spared
            ),
        )


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """What happened to an order, and `order` as it is after that."""

    sequence: int
    at: datetime | None
    kind: OrderEventKind
    order: Order

    @classmethod
    def from_message(cls, message: order_pb2.OrderEvent) -> OrderEvent:
        """The view of one message."""
        return cls(
            sequence=message.sequence,
            at=_moment(message, "at"),
            kind=_word(OrderEventKind, order_pb2.OrderEventKind, message.kind),
            order=Order.from_message(message.order),
        )


@dataclass(frozen=True, slots=True)
class ExecutionEvent:
    """An execution, a correction of one, or its commission that was not known before.

    `owner` and `client_order_id` are empty if its order was not placed through this broker.
    """

    sequence: int
    at: datetime | None
    kind: ExecutionEventKind
    owner: str
    client_order_id: str
    corrects_exec_id: str
    execution: Execution

    @classmethod
    def from_message(cls, message: order_pb2.ExecutionEvent) -> ExecutionEvent:
        """The view of one message."""
        commissions = {}
        if message.HasField("commission"):
            exec_id = message.execution.execution.exec_id
            commissions[exec_id] = commission_from(message.commission)
        return cls(
            sequence=message.sequence,
            at=_moment(message, "at"),
            kind=_word(ExecutionEventKind, order_pb2.ExecutionEventKind, message.kind),
            owner=message.owner,
            client_order_id=message.client_order_id,
            corrects_exec_id=message.corrects_exec_id,
            execution=execution_from(message.execution, commissions),
        )


Kind = TypeVar("Kind", bound=_Word)


def _word(kind: type[Kind], schema: Any, number: int) -> Kind:
    """The word of the schema's number; UNSPECIFIED for one that this version does not know."""
    try:
        name: str = schema.Name(number)
        # All values of an enum begin with the name of its first one.
        return kind(name.removeprefix(schema.Name(0).removesuffix("UNSPECIFIED")))
    except ValueError:
        return kind("UNSPECIFIED")


def _change(message: order_pb2.OrderChange) -> OrderChange:
    return OrderChange(
        kind=_word(ChangeKind, order_pb2.ChangeKind, message.kind),
        state=_word(ChangeState, order_pb2.ChangeState, message.state),
        because=message.because,
        gateway_code=message.gateway_code or None,
        by=message.by,
        reason=message.reason,
    )


def _notice(message: order_pb2.Order) -> Notice:
    return notice_from(message.notice, 0, message.contract, message.sequence)


def _moment(message: Any, name: str) -> datetime | None:
    stamp: Timestamp = getattr(message, name)
    return moment(stamp) if message.HasField(name) else None
