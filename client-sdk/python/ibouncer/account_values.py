"""What is known about accounts: values, positions, profit and loss; and how bodies become them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer.figures import amount, figure, text_figure
from ibouncer.line_stream import ImageEnd
from ibouncer.rows import Rows


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this login."""

    account: str
    paper: bool


@dataclass(frozen=True, slots=True)
class AccountValue:
    """One value of an account: `value` as Gateway writes it, `number` the same if it is one."""

    account: str
    key: str
    value: str
    currency: str
    model_code: str = ""

    @property
    def number(self) -> float | None:
        """The value as a number."""
        return text_figure(self.value)


class AccountValues(Rows[AccountValue]):
    """Values of one account or several."""

    _kind: ClassVar[Any] = AccountValue

    def find(self, key: str, account: str = "", currency: str = "") -> AccountValue | None:
        """The first value of that name, of any account and currency unless they are given."""
        for one in self:
            if one.key == key and account in ("", one.account) and currency in ("", one.currency):
                return one
        return None

    def number(self, key: str, account: str = "", currency: str = "") -> float | None:
        """The same as a number; None if there is none."""
        found = self.find(key, account, currency)
        return None if found is None else found.number


@dataclass(frozen=True, slots=True)
class Position:
    """A holding; `position` is negative for a short one, and 0 once it is gone."""

    account: str
    contract: Contract
    position: float
    avg_cost: float
    model_code: str = ""


@dataclass(frozen=True, slots=True)
class PortfolioItem:
    """A holding with its valuation, which is None for accounts that Gateway does not value."""

    account: str
    contract: Contract
    position: float
    avg_cost: float
    market_price: float | None
    market_value: float | None
    unrealized_pnl: float | None
    realized_pnl: float | None


@dataclass(frozen=True, slots=True)
class AccountTime:
    """When an account's values were last calculated, as HH:MM."""

    text: str


@dataclass(frozen=True, slots=True)
class AccountUpdates:
    """Values and portfolio of one account at a time.

    What was closed today is in `portfolio` with a position of 0 and what it realized.
    """

    account: str
    values: AccountValues
    portfolio: Rows[PortfolioItem]
    time: str


@dataclass(frozen=True, slots=True)
class Pnl:
    """Profit and loss of an account; None is not known."""

    daily: float | None
    unrealized: float | None
    realized: float | None


@dataclass(frozen=True, slots=True)
class PnlSingle:
    """Profit and loss of one position; `value` is what it is worth."""

    position: float
    daily: float | None
    unrealized: float | None
    realized: float | None
    value: float | None


@dataclass(frozen=True, slots=True)
class FamilyCode:
    """The family that an account belongs to."""

    account: str
    family_code: str


@dataclass(frozen=True, slots=True)
class SoftDollarTier:
    """A tier of soft-dollar commissions."""

    name: str
    value: str
    display_name: str = field(default="")


def unpack(body: str, message: Any) -> Iterable[Any] | None:
    """A body of AccountEvent; those of account updates are for `account_updates`."""
    if body == "position":
        return (_position(message),)
    if body == "position_multi":
        return (_position(message, message.model_code),)
    if body == "account_summary":
        tag, value, currency = message.tag, message.value, message.currency
        return (AccountValue(message.account, tag, value, currency),)
    if body == "account_update_multi":
        return (multi_value(message),)
    if body == "pnl":
        return (
            Pnl(
                known(message, "daily_pnl"),
                known(message, "unrealized_pnl"),
                known(message, "realized_pnl"),
            ),
        )
    if body == "pnl_single":
        return (
            PnlSingle(
                amount(message.position),
                known(message, "daily_pnl"),
                known(message, "unrealized_pnl"),
                known(message, "realized_pnl"),
                known(message, "value"),
            ),
        )
    return (ImageEnd(),) if body in _ENDS else None


_ENDS = {
    "position_end",
    "position_multi_end",
    "account_summary_end",
    "account_update_multi_end",
    "account_data_end",
}


Holding = TypeVar("Holding", Position, PortfolioItem)


def held(told: Iterable[Holding]) -> list[Holding]:
    """The newest word about each holding, without those that are gone."""
    return [item for item in newest_of(told) if item.position]


def newest_of(told: Iterable[Holding]) -> list[Holding]:
    """The newest word about each holding."""
    newest: dict[Any, Holding] = {}
    for item in told:
        contract = item.contract
        which = contract.con_id or contract.SerializeToString(deterministic=True)
        newest[item.account, which, getattr(item, "model_code", "")] = item
    return list(newest.values())


def known(message: Any, name: str) -> float | None:
    """A figure that is there and means something."""
    return figure(getattr(message, name)) if message.HasField(name) else None


def _position(message: Any, model_code: str = "") -> Position:
    held, cost = amount(message.position), message.avg_cost
    return Position(message.account, message.contract, held, cost, model_code)


def multi_value(message: Any) -> AccountValue:
    """A value of one account or model."""
    key, value, currency = message.key, message.value, message.currency
    return AccountValue(message.account, key, value, currency, message.model_code)
