"""Account updates: how their bodies become objects, and when the whole state has been told.

Gateway serves one account at a time. Another one is answered by two lines of the broker behind one
subscription, values and positions, without a valuation; each has marks and an end of its own. Both
forms look the same here. Nothing here asks the broker.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ibouncer.account_values import (
    AccountTime,
    AccountUpdates,
    AccountValue,
    AccountValues,
    PortfolioItem,
    known,
    multi_value,
    newest_of,
)
from ibouncer.figures import amount
from ibouncer.line_stream import ImageEnd
from ibouncer.marks import MarkKind
from ibouncer.rows import Rows

# What a body is a part of. Each part is one line of the broker.
_WHOLE, _VALUES, _POSITIONS = "whole", "values", "positions"
_PARTS = {
    "account_value": _WHOLE,
    "portfolio_value": _WHOLE,
    "account_update_time": _WHOLE,
    "account_data_end": _WHOLE,
    "account_update_multi": _VALUES,
    "account_update_multi_end": _VALUES,
    "position_multi": _POSITIONS,
    "position_multi_end": _POSITIONS,
}
_ENDS = {"account_data_end", "account_update_multi_end", "position_multi_end"}


class AccountUpdatesBody:
    """Bodies of account updates; ImageEnd comes when all parts have had their ends.

    Marks name a line, and do not say of which part. But RESUMED comes with the line's first data,
    so the next body says whose state begins anew. Until its RESUMED a stale line's part is old,
    and the whole is not told whatever the other part says.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._stale_lines: set[str] = set()
        self._resumed = False

    def __call__(self, body: str, message: Any) -> Iterable[Any] | None:
        if body == "mark":
            if message.kind is MarkKind.STALE:
                self._stale_lines.add(message.line)
            elif message.kind is MarkKind.RESET:
                # Other lines tell of the account from now on: all is old, whichever part it was.
                self._stale_lines.clear()
                self._resumed = False
                for each in (_WHOLE, _VALUES, _POSITIONS):
                    self._forget(each)
            elif message.kind is MarkKind.RESUMED:
                self._stale_lines.discard(message.line)
                self._resumed = True
            return None
        part = _PARTS.get(body)
        if part is None:
            return None
        if self._resumed:
            self._resumed = False
            self._forget(part)
        if body not in _ENDS:
            return self._item(part, _item(body, message))
        self._told.add(part)
        is_whole = _WHOLE in self._told or {_VALUES, _POSITIONS} <= self._told
        return self._end() if is_whole and not self._stale_lines else ()

    def _forget(self, part: str) -> None:
        self._told.discard(part)

    def _item(self, part: str, item: Any) -> Iterable[Any]:
        return (item,)

    def _end(self) -> Iterable[Any]:
        return (ImageEnd(),)


class CollectedUpdates(AccountUpdatesBody):
    """The same for a single answer: nothing until the end, then everything, as AccountUpdates.

    It is collected here because a line that is told again replaces its own part alone.
    """

    def __init__(self, account: str) -> None:
        super().__init__()
        self._account = account
        self._items: dict[str, list[Any]] = {}

    def _forget(self, part: str) -> None:
        super()._forget(part)
        self._items.pop(part, None)

    def _item(self, part: str, item: Any) -> Iterable[Any]:
        self._items.setdefault(part, []).append(item)
        return ()

    def _end(self) -> Iterable[Any]:
        items = [item for part in self._items.values() for item in part]
        values = AccountValues(item for item in items if isinstance(item, AccountValue))
        told = newest_of(item for item in items if isinstance(item, PortfolioItem))
        # One that was closed today is told with what it realized; without, it only is not there.
        portfolio = [item for item in told if item.position or item.realized_pnl]
        times = [item.text for item in items if isinstance(item, AccountTime)]
        named = [item.account for item in (*values, *portfolio) if item.account]
        account = self._account or (named[0] if named else "")
        rows = Rows(portfolio, of=PortfolioItem)
        return (AccountUpdates(account, values, rows, times[-1] if times else ""),)


def _item(body: str, message: Any) -> AccountValue | PortfolioItem | AccountTime:
    if body == "account_value":
        account, key = message.account_name, message.key
        return AccountValue(account, key, message.value, message.currency)
    if body == "account_update_multi":
        return multi_value(message)
    if body == "account_update_time":
        return AccountTime(message.time_stamp)
    if body == "position_multi":
        size, cost = amount(message.position), message.avg_cost
        return PortfolioItem(message.account, message.contract, size, cost, None, None, None, None)
    return PortfolioItem(
        account=message.account_name,
        contract=message.contract,
        position=amount(message.position),
        avg_cost=message.average_cost,
        market_price=known(message, "market_price"),
        market_value=known(message, "market_value"),
        unrealized_pnl=known(message, "unrealized_pnl"),
        realized_pnl=known(message, "realized_pnl"),
    )
