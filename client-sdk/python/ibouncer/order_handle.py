"""An order that can be waited for.

    match await handle.outcome():
        case ibouncer.Filled(order): ...
        case ibouncer.Cancelled(order) | ibouncer.Rejected(order) | ibouncer.NotSent(order): ...
        case ibouncer.Unknown(order): ...  # do not place it anew

Dropping a handle does nothing to the order. How handles hear of their orders: `order_following`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ibouncer import errors
from ibouncer._pb.tws.v1.order_pb2 import Order as TwsOrder
from ibouncer.connection import FIRST_PAUSE, LONGEST_PAUSE
from ibouncer.order_following import Following
from ibouncer.order_view import Order, OrderState
from ibouncer.waiting import within

if TYPE_CHECKING:
    from ibouncer.orders import OrderCalls


@dataclass(frozen=True, slots=True)
class Filled:
    """All of it filled."""

    order: Order


@dataclass(frozen=True, slots=True)
class Cancelled:
    """It was cancelled; a part may have filled (`order.filled`), and a fill may still come."""

    order: Order


@dataclass(frozen=True, slots=True)
class Rejected:
    """Gateway or IB refused it; `order.because` says why."""

    order: Order


@dataclass(frozen=True, slots=True)
class NotSent:
    """It never left. Nothing but the same call, made again, would send it."""

    order: Order


@dataclass(frozen=True, slots=True)
class Unknown:
    """A connection was lost in between: it may be working, filled, or never have arrived.

    Do not place it anew. `handle.resolved()` waits on: evidence or a person ends this.
    """

    order: Order


Resolved = Filled | Cancelled | Rejected | NotSent
Outcome = Filled | Cancelled | Rejected | NotSent | Unknown

_RESOLVED: dict[OrderState, type[Resolved]] = {
    OrderState.FILLED: Filled,
    OrderState.CANCELLED: Cancelled,
    OrderState.REJECTED: Rejected,
    OrderState.NOT_SENT: NotSent,
}


class OrderHandle:
    """One order of ours."""

    def __init__(
        self, calls: OrderCalls, following: Following, order: Order, *, already_placed: bool
    ) -> None:
        self._calls = calls
        self._following = following
        self._order = order
        self._already_placed = already_placed
        # The event of the outcome that was given: whoever asks again wants to know of later ones.
        self._given: int | None = None

    @property
    def client_order_id(self) -> str:
        """Its name."""
        return self._order.client_order_id

    @property
    def order(self) -> Order:
        """The order as this handle saw it last."""
        return self._order

    @property
    def already_placed(self) -> bool:
        """Whether an earlier call had placed it."""
        return self._already_placed

    async def refresh(self) -> Order:
        """Asks the broker for the order as it is now."""
        return self._take(await self._calls.order(self.client_order_id))

    async def acknowledged(self, timeout: float | None = None) -> Order:
        """Waits until Gateway has told of it, or it has ended, or is UNKNOWN."""
        await self._wait(_is_acknowledged, timeout)
        return self._order

    async def outcome(self, timeout: float | None = None) -> Outcome:
        """Waits for its end, or until it is UNKNOWN.

        Asked again, it looks anew: UNKNOWN ends, and Gateway may take a rejected order after all.
        Raises TimeoutError after `timeout` seconds; the order itself goes on.
        """
        await self._look_anew()
        await self._wait(_is_told, timeout)
        self._given = self._order.sequence
        if self._order.state is OrderState.UNKNOWN:
            return Unknown(self._order)
        return _RESOLVED[self._order.state](self._order)

    async def resolved(self, timeout: float | None = None) -> Resolved:
        """As `outcome`, and waits on while it is UNKNOWN: until evidence or a person says."""
        await self._look_anew()
        await self._wait(_is_resolved, timeout)
        self._given = self._order.sequence
        return _RESOLVED[self._order.state](self._order)

    async def cancel(self) -> Order:
        """Cancels it; returns once the cancel has left. If it had not left, it never will."""
        return self._take(await self._calls.cancel_order(self.client_order_id))

    async def modify(self, order: TwsOrder) -> Order:
        """Changes it to this, the whole order; returns once the change has left."""
        changed = await self._calls.modify_order(self.client_order_id, self._order.contract, order)
        return self._take(changed)

    def _take(self, order: Order) -> Order:
        # Answers and events overtake each other.
        if order.sequence >= self._order.sequence:
            self._order = order
        return self._order

    async def _look_anew(self) -> None:
        final = self._order.state is OrderState.FILLED
        if self._given != self._order.sequence or final:
            return
        # Without a broker what was seen last is the best there is.
        with contextlib.suppress(errors.BrokerUnavailable):
            await self.refresh()

    async def _wait(self, fits: Callable[[Order], bool], timeout: float | None) -> None:
        if fits(self._order):
            return
        try:
            await within(timeout, self._follow(fits))
        except asyncio.TimeoutError:
            raise TimeoutError(f"{self._order} still, after {timeout:g} s") from None

    async def _follow(self, fits: Callable[[Order], bool]) -> None:
        async with self._following.order(self.client_order_id) as follower:
            await self._catch_up()
            while not fits(self._order):
                self._take(await follower.next())

    async def _catch_up(self) -> None:
        """Looks at the order, as soon as a broker is there."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self.refresh()
                return
            except errors.BrokerUnavailable:
                if not self._following.comes_back:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def __repr__(self) -> str:
        return f"<OrderHandle {self._order}>"


def _is_acknowledged(order: Order) -> bool:
    return order.state not in (OrderState.INTENT, OrderState.SENT, OrderState.UNSPECIFIED)


def _is_told(order: Order) -> bool:
    return order.state is OrderState.UNKNOWN or _is_resolved(order)


def _is_resolved(order: Order) -> bool:
    return order.state in _RESOLVED
