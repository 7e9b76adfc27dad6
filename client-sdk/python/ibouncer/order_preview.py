"""What an order would do, which is not placed; nothing here asks the broker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ibouncer._pb.tws.v1.order_state_pb2 import OpenOrder, OrderState
from ibouncer.account_values import known


@dataclass(frozen=True, slots=True)
class OrderPreview:
    """What an order would do to margin, and cost; `message` has all fields. None is not known."""

    message: OrderState = field(repr=False, compare=False)
    init_margin_change: float | None
    init_margin_after: float | None
    maint_margin_change: float | None
    maint_margin_after: float | None
    equity_with_loan_change: float | None
    equity_with_loan_after: float | None
    commission: float | None
    min_commission: float | None
    max_commission: float | None
    commission_currency: str
    margin_currency: str
    warning_text: str


def preview_from(told: OpenOrder) -> OrderPreview:
    """From Gateway's answer, which looks like an order that is open."""
    state: Any = told.order_state
    return OrderPreview(
        message=state,
        init_margin_change=known(state, "init_margin_change"),
        init_margin_after=known(state, "init_margin_after"),
        maint_margin_change=known(state, "maint_margin_change"),
        maint_margin_after=known(state, "maint_margin_after"),
        equity_with_loan_change=known(state, "equity_with_loan_change"),
        equity_with_loan_after=known(state, "equity_with_loan_after"),
        commission=known(state, "commission_and_fees"),
        min_commission=known(state, "min_commission_and_fees"),
        max_commission=known(state, "max_commission_and_fees"),
        commission_currency=state.commission_and_fees_currency,
        margin_currency=state.margin_currency,
        warning_text=state.warning_text,
    )
