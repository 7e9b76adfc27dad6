"""Orders and executions as Gateway lists them; nothing here sends or changes an order.

Gateway tells of changes also while it lists the open orders. So an order may come several times,
and end meanwhile: in the list it is one row, told as it was told last, and none once it has ended.

Orders of our own, as the broker keeps them: `orders`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ibouncer._pb.ibouncer.v1 import order_pb2
from ibouncer._pb.tws.v1 import execution_pb2, order_state_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer._pb.tws.v1.order_pb2 import Order as TwsOrder
from ibouncer._pb.tws.v1.order_state_pb2 import OrderState as TwsOrderState
from ibouncer.account_values import known
from ibouncer.calls import GATEWAY_TIMEOUT, Calls
from ibouncer.figures import When, amount, moment_text, time_of
from ibouncer.marks import notices_from, without_contract
from ibouncer.rows import FRAMELESS, Rows
from ibouncer.scopes import OrderScope, scope_number


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that is open, and how far it is. `order` and `state` have IB's own fields.

    Without a status of its own (`filled` and `remaining` are None then), `status` is that of
    `state`.
    """

    contract: Contract
    order: TwsOrder = field(repr=False, compare=False, metadata=FRAMELESS)
    state: TwsOrderState = field(repr=False, compare=False, metadata=FRAMELESS)
    order_id: int
    perm_id: int
    client_id: int
    parent_id: int
    account: str
    action: str
    order_type: str
    total_quantity: float
    lmt_price: float | None
    aux_price: float | None
    tif: str
    order_ref: str
    status: str
    filled: float | None
    remaining: float | None
    avg_fill_price: float | None
    last_fill_price: float | None
    mkt_cap_price: float | None
    why_held: str


@dataclass(frozen=True, slots=True)
class CompletedOrder:
    """An order that is filled or cancelled; it has no id any more but `perm_id`."""

    contract: Contract
    order: TwsOrder = field(repr=False, compare=False, metadata=FRAMELESS)
    state: TwsOrderState = field(repr=False, compare=False, metadata=FRAMELESS)
    perm_id: int
    account: str
    action: str
    order_type: str
    total_quantity: float
    filled_quantity: float
    status: str
    completed_time: str
    completed_status: str


@dataclass(frozen=True, slots=True)
class Commission:
    """What one execution cost; `realized_pnl` is None if it closed nothing.

    `yield_redemption_date` is of bonds, YYYYMMDD.
    """

    exec_id: str
    commission: float | None
    currency: str
    realized_pnl: float | None
    bond_yield: float | None
    yield_redemption_date: str = ""


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill; `side` is "BOT" or "SLD". `commission` is None as long as Gateway has not said.

    `time_text` is the time as Gateway writes it. A correction has an `exec_id` that differs only
    behind its last dot. `message` has all of IB's fields.
    """

    contract: Contract
    message: execution_pb2.Execution = field(repr=False, compare=False, metadata=FRAMELESS)
    exec_id: str
    time: When
    time_text: str = field(repr=False, metadata=FRAMELESS)
    account: str
    side: str
    shares: float
    price: float
    exchange: str
    order_id: int
    perm_id: int
    client_id: int
    cum_qty: float
    avg_price: float
    order_ref: str
    last_liquidity: int
    commission: Commission | None = field(metadata=FRAMELESS)

    @property
    def cost(self) -> float | None:
        """Commission and fees, if they are known."""
        return None if self.commission is None else self.commission.commission


class OrderListCalls(Calls):
    """Orders and executions as Gateway lists them."""

    async def open_orders(
        self, scope: OrderScope = "all", *, timeout: float = GATEWAY_TIMEOUT
    ) -> Rows[OpenOrder]:
        """Open orders of the login, by hand and by other programs too (TWS: reqAllOpenOrders).

        Each stands once, as it is now; what is filled or cancelled meanwhile is left out.

        With `scope` "session" only those of this session's client id (TWS: reqOpenOrders), with
        "own" only those that this program's owner has placed through the broker.
        """
        response = await self._ask(
            lambda opened: opened.order.ListOpenOrders,
            order_pb2.ListOpenOrdersRequest(scope=scope_number(scope)),
            timeout=timeout,
            read=True,
        )
        statuses = {
            which: one
            for one in response.order_statuses
            if (which := _which(one.perm_id, one.client_id, one.order_id)) is not None
        }
        told = [(one, _status_of(one, statuses)) for one in _newest(response.open_orders)]
        return Rows(
            (_open_order(one, status) for one, status in told if not _has_ended(one, status)),
            notices_from(response.notices, without_contract("open orders")),
            of=OpenOrder,
        )

    async def completed_orders(
        self, api_only: bool = False, *, timeout: float = GATEWAY_TIMEOUT
    ) -> Rows[CompletedOrder]:
        """Orders that are filled or cancelled (TWS: reqCompletedOrders)."""
        response = await self._ask(
            lambda opened: opened.order.ListCompletedOrders,
            order_pb2.ListCompletedOrdersRequest(
                request=order_state_pb2.CompletedOrdersRequest(api_only=api_only)
            ),
            timeout=timeout,
            read=True,
        )
        return Rows(
            map(_completed_order, response.completed_orders),
            notices_from(response.notices, without_contract("completed orders")),
            of=CompletedOrder,
        )

    async def executions(
        self,
        *,
        account: str = "",
        symbol: str = "",
        sec_type: str = "",
        exchange: str = "",
        side: Literal["", "BUY", "SELL"] = "",
        since: datetime | str = "",
        client_id: int | None = None,
        last_n_days: int | None = None,
        specific_dates: Iterable[int] = (),
        scope: OrderScope = "all",
        timeout: float = GATEWAY_TIMEOUT,
    ) -> Rows[Execution]:
        """Fills with their commissions (TWS: reqExecutions): today's, unless it says other days.

        `specific_dates` are numbers of the form YYYYMMDD; `last_n_days` is at most 7. `scope` is
        as that of `open_orders`.
        """
        request = order_pb2.ListExecutionsRequest(
            request=execution_pb2.ExecutionRequest(
                execution_filter=execution_pb2.ExecutionFilter(
                    client_id=client_id,
                    acct_code=account or None,
                    time=moment_text(since) or None,
                    symbol=symbol or None,
                    sec_type=sec_type or None,
                    exchange=exchange or None,
                    side=side or None,
                    last_n_days=last_n_days,
                    specific_dates=specific_dates,
                )
            ),
            scope=scope_number(scope),
        )
        response = await self._ask(
            lambda opened: opened.order.ListExecutions, request, timeout=timeout, read=True
        )
        commissions = {one.exec_id: commission_from(one) for one in response.commissions}
        return Rows(
            (execution_from(one, commissions) for one in response.executions),
            notices_from(response.notices, without_contract("executions")),
            of=Execution,
        )


# An INACTIVE order may work again.
_ENDED = frozenset(("Filled", "Cancelled", "ApiCancelled"))

_Which = tuple[int, ...]
_Statuses = dict[_Which, order_state_pb2.OrderStatus]


def _which(perm_id: int, client_id: int, order_id: int) -> _Which | None:
    """What tells one order from all others: the permanent id, as soon as it has one.

    None where Gateway named neither.
    """
    if perm_id:
        return (perm_id,)
    return (client_id, order_id) if order_id else None


def _names(told: order_state_pb2.OpenOrder) -> tuple[_Which | None, _Which | None]:
    """What an order is called, and what it was called before it had a permanent id."""
    order = told.order
    return (
        _which(order.perm_id, order.client_id, told.order_id),
        _which(0, order.client_id, told.order_id),
    )


def _newest(told: Iterable[order_state_pb2.OpenOrder]) -> list[order_state_pb2.OpenOrder]:
    """Each order once, as it was told last, in the place where it came first."""
    newest: list[order_state_pb2.OpenOrder] = []
    places: dict[_Which, int] = {}
    for one in told:
        name, before = _names(one)
        place = None if name is None else places.get(name)
        if place is None and before is not None:
            place = places.get(before)
            if place is not None and newest[place].order.perm_id:
                place = None
        if place is None:
            place = len(newest)
            newest.append(one)
        else:
            newest[place] = one
        if name is not None:
            places[name] = place
    return newest


def _status_of(
    told: order_state_pb2.OpenOrder, statuses: _Statuses
) -> order_state_pb2.OrderStatus | None:
    for name in _names(told):
        if name is not None and name in statuses:
            return statuses[name]
    return None


def _has_ended(told: order_state_pb2.OpenOrder, status: order_state_pb2.OrderStatus | None) -> bool:
    """Of the two that say how it stands nobody knows which is the newer; an end is final."""
    return told.order_state.status in _ENDED or (status is not None and status.status in _ENDED)


def _open_order(
    told: order_state_pb2.OpenOrder, status: order_state_pb2.OrderStatus | None
) -> OpenOrder:
    order = told.order
    return OpenOrder(
        contract=told.contract,
        order=order,
        state=told.order_state,
        order_id=told.order_id,
        perm_id=order.perm_id,
        client_id=order.client_id,
        parent_id=order.parent_id,
        account=order.account,
        action=order.action,
        order_type=order.order_type,
        total_quantity=amount(order.total_quantity),
        lmt_price=known(order, "lmt_price"),
        aux_price=known(order, "aux_price"),
        tif=order.tif,
        order_ref=order.order_ref,
        status=told.order_state.status if status is None else status.status,
        filled=None if status is None else amount(status.filled),
        remaining=None if status is None else amount(status.remaining),
        avg_fill_price=None if status is None else known(status, "avg_fill_price"),
        last_fill_price=None if status is None else known(status, "last_fill_price"),
        mkt_cap_price=None if status is None else known(status, "mkt_cap_price"),
        why_held="" if status is None else status.why_held,
    )


def _completed_order(told: order_state_pb2.CompletedOrder) -> CompletedOrder:
    order, state = told.order, told.order_state
    return CompletedOrder(
        contract=told.contract,
        order=order,
        state=state,
        perm_id=order.perm_id,
        account=order.account,
        action=order.action,
        order_type=order.order_type,
        total_quantity=amount(order.total_quantity),
        filled_quantity=amount(order.filled_quantity),
        status=state.status,
        completed_time=state.completed_time,
        completed_status=state.completed_status,
    )


def commission_from(told: execution_pb2.CommissionAndFeesReport) -> Commission:
    """What one execution cost, from its message."""
    return Commission(
        exec_id=told.exec_id,
        commission=known(told, "commission_and_fees"),
        currency=told.currency,
        realized_pnl=known(told, "realized_pnl"),
        bond_yield=known(told, "bond_yield"),
        yield_redemption_date=told.yield_redemption_date,
    )


def execution_from(
    told: execution_pb2.ExecutionDetails, commissions: dict[str, Commission]
) -> Execution:
    """One fill, with its commission if that is among them."""
    fill = told.execution
    return Execution(
        contract=told.contract,
        message=fill,
        exec_id=fill.exec_id,
        time=time_of(fill.time),
        time_text=fill.time,
        account=fill.acct_number,
        side=fill.side,
        shares=amount(fill.shares),
        price=fill.price,
        exchange=fill.exchange,
        order_id=fill.order_id,
        perm_id=fill.perm_id,
        client_id=fill.client_id,
        cum_qty=amount(fill.cum_qty),
        avg_price=fill.avg_price,
        order_ref=fill.order_ref,
        last_liquidity=fill.last_liquidity,
        commission=commissions.get(fill.exec_id),
    )
