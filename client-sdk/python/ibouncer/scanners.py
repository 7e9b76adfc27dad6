"""Calls of market scanners: ranked lists of contracts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ibouncer._pb.ibouncer.v1 import scanner_pb2
from ibouncer._pb.tws.v1.contract_pb2 import Contract
from ibouncer._pb.tws.v1.scanner_pb2 import ScannerSubscription, ScannerSubscriptionRequest
from ibouncer.calls import GATEWAY_TIMEOUT, Calls
from ibouncer.line_stream import LineStream, notices_among, read_until
from ibouncer.marks import Info, Mark, Notice
from ibouncer.rows import Rows


@dataclass(frozen=True, slots=True)
class ScanRow:
    """One row of a list, the best with rank 0."""

    rank: int
    contract: Contract
    market_name: str
    distance: str
    benchmark: str
    projection: str
    combo_key: str


class ScannerCalls(Calls):
    """Scanners. Gateway runs ten at a time; equal ones are shared."""

    async def scanner_parameters(self, *, timeout: float = GATEWAY_TIMEOUT) -> str:
        """What can be scanned for, as XML of some megabytes (TWS: reqScannerParameters)."""
        response = await self._ask(
            lambda opened: opened.scanner.GetScannerParameters,
            scanner_pb2.GetScannerParametersRequest(),
            timeout=timeout,
            read=True,
        )
        return response.parameters.xml

    def stream_scanner(
        self,
        scan_code: str | ScannerSubscription,
        *,
        instrument: str = "STK",
        location_code: str = "STK.US.MAJOR",
        number_of_rows: int = 50,
        filters: Mapping[str, str] | None = None,
        reconnect: bool | None = None,
    ) -> LineStream[Rows[ScanRow] | Mark | Notice | Info]:
        """The list, and again whenever it changes (TWS: reqScannerSubscription).

        `scan_code` is such as "TOP_PERC_GAIN", or a whole ScannerSubscription, which then says
        everything else too; `filters` are names and values as `scanner_parameters` has them.
        """
        if isinstance(scan_code, str):
            subscription = ScannerSubscription(
                scan_code=scan_code,
                instrument=instrument,
                location_code=location_code,
                number_of_rows=number_of_rows,
                scanner_subscription_filter_options=filters,
            )
        else:
            subscription = scan_code
        return self._line(
            lambda opened: opened.scanner.StreamScanner,
            scanner_pb2.StreamScannerRequest(
                request=ScannerSubscriptionRequest(scanner_subscription=subscription)
            ),
            lambda: _scan_rows,
            label=f"scanner {subscription.scan_code}",
            reconnect=reconnect,
        )

    async def scan(
        self,
        scan_code: str | ScannerSubscription,
        *,
        instrument: str = "STK",
        location_code: str = "STK.US.MAJOR",
        number_of_rows: int = 50,
        filters: Mapping[str, str] | None = None,
        timeout: float = GATEWAY_TIMEOUT,
    ) -> Rows[ScanRow]:
        """The list as it is now; empty if Gateway says that nothing matches (165)."""
        stream = self.stream_scanner(
            scan_code,
            instrument=instrument,
            location_code=location_code,
            number_of_rows=number_of_rows,
            filters=filters,
        )
        items = await read_until(stream, _is_answer, timeout, "scan")
        found = items[-1] if isinstance(items[-1], Rows) else ()
        return Rows(found, notices_among(items), of=ScanRow)


def _is_answer(item: Any) -> bool:
    """The list; or, as Gateway sends none without a row, the word that there is none."""
    if isinstance(item, Notice):
        # Under the same code Gateway says other things, after which a list still comes.
        return item.code == 165 and "no items retrieved" in item.message.lower()
    return isinstance(item, Rows)


def _scan_rows(body: str, message: Any) -> Iterable[Rows[ScanRow]] | None:
    if body != "data":
        return None
    return (
        Rows(
            (
                ScanRow(
                    one.rank,
                    one.contract,
                    one.market_name,
                    one.distance,
                    one.benchmark,
                    one.projection,
                    one.combo_key,
                )
                for one in message.scanner_data_element
            ),
            of=ScanRow,
        ),
    )
