"""Lists that know what Gateway remarked, and how to become a pandas DataFrame.

pandas is not needed for anything else, and is looked for only when a frame is asked for.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ibouncer.marks import Notice

if TYPE_CHECKING:
    import pandas

Row = TypeVar("Row")

# Columns that stand for a contract.
_CONTRACT_COLUMNS = {
    "con_id": "con_id",
    "symbol": "symbol",
    "sec_type": "sec_type",
    "expiry": "last_trade_date_or_contract_month",
    "strike": "strike",
    "right": "right",
    "exchange": "exchange",
    "currency": "currency",
    "local_symbol": "local_symbol",
}
# Metadata of a field that is no column: a message with everything in it, a text kept as it came.
FRAMELESS = {"frame": False}
# What says where an event stood in its stream, and nothing about the market.
_STREAM_FIELDS = {"subscription", "sequence", "replayed", "skipped"}


class Rows(list[Row]):
    """A list of equal objects, with Gateway's `notices` about the request.

    `of` is the class of the rows: an empty list has the columns of a full one.
    """

    _kind: ClassVar[Any] = None

    def __init__(
        self,
        rows: Iterable[Row] = (),
        notices: Iterable[Notice] = (),
        *,
        of: type[Row] | None = None,
    ) -> None:
        super().__init__(rows)
        self.notices = tuple(notices)
        self._of: Any = of or self._kind

    def to_dataframe(self) -> pandas.DataFrame:
        """One line a row, one column a field; `time`, if there is one, is the index.

        A contract becomes columns of its own. Raises ImportError if pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                "to_dataframe() needs pandas, which is not installed: pip install pandas"
            ) from error
        columns: dict[str, list[Any]] = {}
        kind: Any = type(self[0]) if self else self._of
        names, contracts = _columns(kind)
        for name in contracts:
            found = [getattr(row, name) for row in self]
            for column, field in _CONTRACT_COLUMNS.items():
                columns[column] = [getattr(contract, field) for contract in found]
        for name in names:
            columns[name] = [getattr(row, name) for row in self]
        frame = pandas.DataFrame(columns)
        if "time" in columns:
            frame["time"] = _times(pandas, columns["time"])
            frame = frame.set_index("time")
        return frame


@functools.cache
def _columns(kind: Any) -> tuple[list[str], list[str]]:
    """Fields of a row that become a column each, and those that hold a contract."""
    if not dataclasses.is_dataclass(kind):
        return [], []
    plain: list[str] = []
    contracts: list[str] = []
    for field in dataclasses.fields(kind):
        if field.name == "contract":
            contracts.append(field.name)
        elif field.name == "seconds":
            plain.append("time")
        elif field.name not in _STREAM_FIELDS and field.metadata.get("frame", True):
            plain.append(field.name)
    return plain, contracts


def _times(pandas: Any, times: list[Any]) -> Any:
    # Days and times do not mix in one answer; times of several zones would. None at all are of the
    # zone that most have, so that the frames of several answers can be joined.
    if not times or any(getattr(time, "tzinfo", None) is not None for time in times):
        return pandas.to_datetime(times, utc=True)
    return pandas.to_datetime(times)
