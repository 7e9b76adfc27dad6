"""Calls about accounts. Each of `stream_…` goes on with changes; its twin without reads the whole
state once, up to Gateway's end mark, and closes.

A stream gives the whole state first, then ImageEnd, then changes; after a RESUMED mark again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar

from ibouncer import errors
from ibouncer._pb.ibouncer.v1 import account_pb2
from ibouncer._pb.tws.v1 import account_pb2 as tws_account_pb2
from ibouncer._pb.tws.v1 import advisor_pb2, pnl_pb2, position_pb2
from ibouncer.account_updates import AccountUpdatesBody, CollectedUpdates
from ibouncer.account_values import (
    Account,
    AccountTime,
    AccountUpdates,
    AccountValue,
    AccountValues,
    FamilyCode,
    Pnl,
    PnlSingle,
    PortfolioItem,
    Position,
    SoftDollarTier,
    held,
    unpack,
)
from ibouncer.calls import GATEWAY_TIMEOUT, Calls
from ibouncer.figures import joined
from ibouncer.line_stream import ImageEnd, LineStream, Unpack, notices_among, read_until
from ibouncer.marks import Info, Mark, Notice, notices_from, without_contract
from ibouncer.rows import Rows

Kind = TypeVar("Kind")

ADVISOR_DATA = {"groups": 1, "aliases": 3}


class AccountCalls(Calls):
    """Balances, positions, profit and loss."""

    async def accounts(self) -> Rows[Account]:
        """The accounts of this login."""
        response = await self._ask(
            lambda opened: opened.account.ListAccounts,
            account_pb2.ListAccountsRequest(),
            read=True,
        )
        return Rows((Account(item.account, item.paper) for item in response.accounts), of=Account)

    def stream_account_summary(
        self,
        tags: str | Iterable[str] = "",
        *,
        group: str = "All",
        reconnect: bool | None = None,
    ) -> LineStream[AccountValue | ImageEnd | Mark | Notice | Info]:
        """Values of all accounts, every 3 minutes (TWS: reqAccountSummary); without tags all."""
        return self._line(
            lambda opened: opened.account.StreamAccountSummary,
            account_pb2.StreamAccountSummaryRequest(
                request=tws_account_pb2.AccountSummaryRequest(
                    group=group, tags=joined(tags) or None
                )
            ),
            lambda: unpack,
            label="account summary",
            reconnect=reconnect,
        )

    async def account_summary(
        self,
        tags: str | Iterable[str] = "",
        *,
        group: str = "All",
        timeout: float = GATEWAY_TIMEOUT,
    ) -> AccountValues:
        """The same once: `(await session.account_summary()).number("NetLiquidation")`."""
        stream = self.stream_account_summary(tags, group=group)
        items = await read_until(stream, _is_end, timeout, "account summary")
        return AccountValues(_of(AccountValue, items), notices_among(items))

    def stream_account_updates(
        self, account: str = "", *, reconnect: bool | None = None
    ) -> LineStream[AccountValue | PortfolioItem | AccountTime | ImageEnd | Mark | Notice | Info]:
        """Values and portfolio of one account (TWS: reqAccountUpdates).

        An empty `account` means the first of the login. Gateway values one account at a time: the
        portfolio of another one has None for market prices and profits.
        """
        return self._updates(account, AccountUpdatesBody, reconnect)

    async def account_updates(
        self, account: str = "", *, timeout: float = GATEWAY_TIMEOUT
    ) -> AccountUpdates:
        """The same once."""
        stream = self._updates(account, lambda: CollectedUpdates(account))
        items = await read_until(
            stream, lambda item: isinstance(item, AccountUpdates), timeout, "account updates"
        )
        updates = _of(AccountUpdates, items)[-1]
        updates.values.notices = notices_among(items)
        return updates

    def _updates(
        self, account: str, unpack: Callable[[], Unpack], reconnect: bool | None = None
    ) -> LineStream[Any]:
        return self._line(
            lambda opened: opened.account.StreamAccountUpdates,
            account_pb2.StreamAccountUpdatesRequest(account=account),
            unpack,
            label=f"account updates {account}".rstrip(),
            reconnect=reconnect,
        )

    def stream_account_updates_multi(
        self,
        account: str = "",
        model_code: str = "",
        *,
        ledger_and_nlv: bool = False,
        reconnect: bool | None = None,
    ) -> LineStream[AccountValue | ImageEnd | Mark | Notice | Info]:
        """Values of one account or model (TWS: reqAccountUpdatesMulti)."""
        return self._line(
            lambda opened: opened.account.StreamAccountUpdatesMulti,
            account_pb2.StreamAccountUpdatesMultiRequest(
                request=tws_account_pb2.AccountUpdatesMultiRequest(
                    account=account or None,
                    model_code=model_code or None,
                    ledger_and_nlv=ledger_and_nlv,
                )
            ),
            lambda: unpack,
            label=f"account updates {account} {model_code}".rstrip(),
            reconnect=reconnect,
        )

    async def account_updates_multi(
        self,
        account: str = "",
        model_code: str = "",
        *,
        ledger_and_nlv: bool = False,
        timeout: float = GATEWAY_TIMEOUT,
    ) -> AccountValues:
        """The same once."""
        stream = self.stream_account_updates_multi(
            account, model_code, ledger_and_nlv=ledger_and_nlv
        )
        items = await read_until(stream, _is_end, timeout, "account updates")
        return AccountValues(_of(AccountValue, items), notices_among(items))

    def stream_positions(
        self, *, reconnect: bool | None = None
    ) -> LineStream[Position | ImageEnd | Mark | Notice | Info]:
        """Positions of all accounts (TWS: reqPositions); one that is gone comes with 0.

        Not if it went while no broker was there: what is not told again behind a RESUMED that is
        `local` is gone.
        """
        return self._line(
            lambda opened: opened.account.StreamPositions,
            account_pb2.StreamPositionsRequest(),
            lambda: unpack,
            label="positions",
            reconnect=reconnect,
        )

    async def positions(self, *, timeout: float = GATEWAY_TIMEOUT) -> Rows[Position]:
        """Positions of all accounts as they are now; without those that are 0."""
        items = await read_until(self.stream_positions(), _is_end, timeout, "positions")
        return Rows(held(_of(Position, items)), notices_among(items), of=Position)

    def stream_positions_multi(
        self, account: str = "", model_code: str = "", *, reconnect: bool | None = None
    ) -> LineStream[Position | ImageEnd | Mark | Notice | Info]:
        """Positions of one account or model (TWS: reqPositionsMulti)."""
        return self._line(
            lambda opened: opened.account.StreamPositionsMulti,
            account_pb2.StreamPositionsMultiRequest(
                request=position_pb2.PositionsMultiRequest(
                    account=account or None, model_code=model_code or None
                )
            ),
            lambda: unpack,
            label=f"positions {account} {model_code}".rstrip(),
            reconnect=reconnect,
        )

    async def positions_multi(
        self, account: str = "", model_code: str = "", *, timeout: float = GATEWAY_TIMEOUT
    ) -> Rows[Position]:
        """The same once; without those that are 0."""
        stream = self.stream_positions_multi(account, model_code)
        items = await read_until(stream, _is_end, timeout, "positions")
        return Rows(held(_of(Position, items)), notices_among(items), of=Position)

    def stream_pnl(
        self, account: str, model_code: str = "", *, reconnect: bool | None = None
    ) -> LineStream[Pnl | Mark | Notice | Info]:
        """Profit and loss of an account or model, about once a second (TWS: reqPnL)."""
        return self._line(
            lambda opened: opened.account.StreamPnl,
            account_pb2.StreamPnlRequest(
                request=pnl_pb2.PnLRequest(account=account, model_code=model_code or None)
            ),
            lambda: unpack,
            label="profit and loss",
            reconnect=reconnect,
        )

    async def pnl(
        self, account: str, model_code: str = "", *, timeout: float = GATEWAY_TIMEOUT
    ) -> Pnl:
        """The same once."""
        stream = self.stream_pnl(account, model_code)
        items = await read_until(
            stream, lambda item: isinstance(item, Pnl), timeout, "profit and loss"
        )
        return _of(Pnl, items)[-1]

    def stream_pnl_single(
        self,
        account: str,
        con_id: int,
        model_code: str = "",
        *,
        reconnect: bool | None = None,
    ) -> LineStream[PnlSingle | Mark | Notice | Info]:
        """The same of one position (TWS: reqPnLSingle); silent about one that is not there."""
        return self._line(
            lambda opened: opened.account.StreamPnlSingle,
            account_pb2.StreamPnlSingleRequest(
                request=pnl_pb2.PnLSingleRequest(
                    account=account, model_code=model_code or None, con_id=con_id
                )
            ),
            lambda: unpack,
            label=f"profit and loss of {con_id}",
            reconnect=reconnect,
        )

    async def pnl_single(
        self,
        account: str,
        con_id: int,
        model_code: str = "",
        *,
        timeout: float = GATEWAY_TIMEOUT,
    ) -> PnlSingle:
        """The same once; fails after `timeout` for a position that is not there."""
        stream = self.stream_pnl_single(account, con_id, model_code)
        items = await read_until(
            stream, lambda item: isinstance(item, PnlSingle), timeout, "profit and loss"
        )
        return _of(PnlSingle, items)[-1]

    async def family_codes(self, *, timeout: float = GATEWAY_TIMEOUT) -> Rows[FamilyCode]:
        """Family codes (TWS: reqFamilyCodes)."""
        response = await self._ask(
            lambda opened: opened.account.GetFamilyCodes,
            account_pb2.GetFamilyCodesRequest(),
            timeout=timeout,
            read=True,
        )
        return Rows(
            (
                FamilyCode(item.account_id, item.family_code)
                for item in response.family_codes.family_codes
            ),
            notices_from(response.notices, without_contract("family codes")),
            of=FamilyCode,
        )

    async def user_info(self, *, timeout: float = GATEWAY_TIMEOUT) -> str:
        """White-branding id of the login, or "" (TWS: reqUserInfo)."""
        response = await self._ask(
            lambda opened: opened.account.GetUserInfo,
            account_pb2.GetUserInfoRequest(),
            timeout=timeout,
            read=True,
        )
        return response.user_info.white_branding_id

    async def soft_dollar_tiers(self, *, timeout: float = GATEWAY_TIMEOUT) -> Rows[SoftDollarTier]:
        """Soft-dollar tiers (TWS: reqSoftDollarTiers)."""
        response = await self._ask(
            lambda opened: opened.account.GetSoftDollarTiers,
            account_pb2.GetSoftDollarTiersRequest(),
            timeout=timeout,
            read=True,
        )
        return Rows(
            (
                SoftDollarTier(item.name, item.value, item.display_name)
                for item in response.tiers.soft_dollar_tiers
            ),
            notices_from(response.notices, without_contract("soft-dollar tiers")),
            of=SoftDollarTier,
        )

    async def advisor_configuration(
        self, kind: Literal["groups", "aliases"] = "groups", *, timeout: float = GATEWAY_TIMEOUT
    ) -> str:
        """Groups or aliases of a financial advisor, as XML (TWS: requestFA)."""
        data = ADVISOR_DATA.get(kind)
        if data is None:
            raise errors.ClientError(
                f'{kind!r} is no advisor data; there are "groups", "aliases"',
                code="INVALID_ARGUMENT",
            )
        response = await self._ask(
            lambda opened: opened.account.GetAdvisorConfiguration,
            account_pb2.GetAdvisorConfigurationRequest(
                request=advisor_pb2.FARequest(fa_data_type=data)
            ),
            timeout=timeout,
            read=True,
        )
        return response.configuration.xml


def _is_end(item: Any) -> bool:
    return isinstance(item, ImageEnd)


def _of(kind: type[Kind], items: Iterable[Any]) -> list[Kind]:
    return [item for item in items if isinstance(item, kind)]
