"""Calls of news, and of the Wall Street Horizon calendar.

Headlines as they come are generic tick 292 of quotes: Info events of the kind "tick_news".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from ibouncer._pb.ibouncer.v1 import news_pb2
from ibouncer._pb.tws.v1 import news_pb2 as tws_news_pb2
from ibouncer._pb.tws.v1 import wsh_pb2
from ibouncer.calls import GATEWAY_TIMEOUT, Calls
from ibouncer.figures import moment_text
from ibouncer.line_stream import LineStream
from ibouncer.marks import Info, Mark, Notice, notices_from, without_contract
from ibouncer.rows import Rows


@dataclass(frozen=True, slots=True)
class NewsProvider:
    """A provider that the login may read."""

    code: str
    name: str


@dataclass(frozen=True, slots=True)
class NewsArticle:
    """An article: text or HTML, or base64 of another format if it is `binary`."""

    text: str
    binary: bool


@dataclass(frozen=True, slots=True)
class Headline:
    """A headline; `when` is as Gateway writes it."""

    when: str
    provider_code: str
    article_id: str
    headline: str


class Headlines(Rows[Headline]):
    """Headlines about one contract, the newest first; with `has_more` there are older ones."""

    _kind: ClassVar[Any] = Headline

    has_more: bool = False


@dataclass(frozen=True, slots=True)
class NewsBulletin:
    """A bulletin of an exchange or of IB; `kind` 1 is plain, 2 and 3 tell of trading halts."""

    id: int
    kind: int
    message: str
    exchange: str


class NewsCalls(Calls):
    """Headlines, articles, bulletins, corporate events."""

    async def news_providers(self, *, timeout: float = GATEWAY_TIMEOUT) -> Rows[NewsProvider]:
        """Providers that the login may read (TWS: reqNewsProviders)."""
        response = await self._ask(
            lambda opened: opened.news.GetNewsProviders,
            news_pb2.GetNewsProvidersRequest(),
            timeout=timeout,
            read=True,
        )
        return Rows(
            (
                NewsProvider(one.provider_code, one.provider_name)
                for one in response.providers.news_providers
            ),
            notices_from(response.notices, without_contract("news providers")),
            of=NewsProvider,
        )

    async def news_article(
        self, provider_code: str, article_id: str, *, timeout: float = GATEWAY_TIMEOUT
    ) -> NewsArticle:
        """One article (TWS: reqNewsArticle)."""
        request = news_pb2.GetNewsArticleRequest(
            request=tws_news_pb2.NewsArticleRequest(
                provider_code=provider_code, article_id=article_id
            )
        )
        response = await self._ask(
            lambda opened: opened.news.GetNewsArticle, request, timeout=timeout, read=True
        )
        return NewsArticle(response.article.article_text, response.article.article_type == 1)

    async def historical_news(
        self,
        con_id: int,
        provider_codes: str | Iterable[str],
        *,
        start: datetime | str = "",
        end: datetime | str = "",
        total_results: int = 100,
        timeout: float = GATEWAY_TIMEOUT,
    ) -> Headlines:
        """Headlines about a contract (TWS: reqHistoricalNews), from providers such as "BRFG"."""
        codes = provider_codes
        request = news_pb2.GetHistoricalNewsRequest(
            request=tws_news_pb2.HistoricalNewsRequest(
                con_id=con_id,
                # Gateway joins providers by a plus.
                provider_codes=codes if isinstance(codes, str) else "+".join(codes),
                start_date_time=moment_text(start),
                end_date_time=moment_text(end),
                total_results=total_results,
            )
        )
        response = await self._ask(
            lambda opened: opened.news.GetHistoricalNews, request, timeout=timeout, read=True
        )
        headlines = Headlines(
            (
                Headline(one.time, one.provider_code, one.article_id, one.headline)
                for one in response.headlines
            ),
            notices_from(response.notices, without_contract(f"news of {con_id}")),
        )
        headlines.has_more = response.end.has_more
        return headlines

    def stream_bulletins(
        self, *, reconnect: bool | None = None
    ) -> LineStream[NewsBulletin | Mark | Notice | Info]:
        """Bulletins of exchanges and of IB, those of the session so far first."""
        return self._line(
            lambda opened: opened.news.StreamNewsBulletins,
            news_pb2.StreamNewsBulletinsRequest(),
            lambda: _bulletin,
            label="bulletins",
            reconnect=reconnect,
        )

    async def wsh_meta_data(self, *, timeout: float = GATEWAY_TIMEOUT) -> str:
        """Filters and event types of the calendar, as JSON (TWS: reqWshMetaData)."""
        response = await self._ask(
            lambda opened: opened.news.GetWshMetaData,
            news_pb2.GetWshMetaDataRequest(),
            timeout=timeout,
            read=True,
        )
        return response.meta_data.data_json

    async def wsh_event_data(
        self,
        con_id: int | None = None,
        *,
        filter: str = "",
        fill_watchlist: bool = False,
        fill_portfolio: bool = False,
        fill_competitors: bool = False,
        start_date: str = "",
        end_date: str = "",
        total_limit: int | None = None,
        timeout: float = GATEWAY_TIMEOUT,
    ) -> str:
        """Events of the calendar, as JSON (TWS: reqWshEventData); of a contract or by a filter."""
        request = news_pb2.GetWshEventDataRequest(
            request=wsh_pb2.WshEventDataRequest(
                con_id=con_id,
                filter=filter or None,
                fill_watchlist=fill_watchlist,
                fill_portfolio=fill_portfolio,
                fill_competitors=fill_competitors,
                start_date=start_date or None,
                end_date=end_date or None,
                total_limit=total_limit,
            )
        )
        response = await self._ask(
            lambda opened: opened.news.GetWshEventData, request, timeout=timeout, read=True
        )
        return response.event_data.data_json


def _bulletin(body: str, message: Any) -> Iterable[NewsBulletin] | None:
    if body != "bulletin":
        return None
    kind, text = message.news_msg_type, message.news_message
    return (NewsBulletin(message.news_msg_id, kind, text, message.originating_exch),)
