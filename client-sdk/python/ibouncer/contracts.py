"""Contracts in short. Anything else: `ibouncer.Contract(...)`, with IB's own field names."""

from __future__ import annotations

from ibouncer import errors
from ibouncer._pb.tws.v1.contract_pb2 import Contract


def stock(symbol: str, exchange: str = "SMART", currency: str = "USD") -> Contract:
    """A stock or ETF."""
    return Contract(symbol=symbol, sec_type="STK", exchange=exchange, currency=currency)


def forex(pair: str, exchange: str = "IDEALPRO") -> Contract:
    """A currency pair such as "EURUSD" or "EUR.USD"."""
    letters = pair.replace(".", "").replace("/", "")
    if len(letters) != 6:
        raise ValueError(f"{pair!r} is not a pair of currencies, such as EURUSD")
    return Contract(symbol=letters[:3], sec_type="CASH", exchange=exchange, currency=letters[3:])


def future(symbol: str, month: str, exchange: str, currency: str = "USD") -> Contract:
    """A future; `month` is YYYYMM, or YYYYMMDD for a day."""
    return Contract(
        symbol=symbol,
        sec_type="FUT",
        last_trade_date_or_contract_month=month,
        exchange=exchange,
        currency=currency,
    )


def option(
    symbol: str,
    expiry: str,
    strike: float,
    right: str,
    exchange: str = "SMART",
    currency: str = "USD",
) -> Contract:
    """An option on a stock; `expiry` is YYYYMMDD, `right` "C" or "P"."""
    return Contract(
        symbol=symbol,
        sec_type="OPT",
        last_trade_date_or_contract_month=expiry,
        strike=strike,
        right=right,
        exchange=exchange,
        currency=currency,
    )


def index(symbol: str, exchange: str, currency: str = "USD") -> Contract:
    """An index."""
    return Contract(symbol=symbol, sec_type="IND", exchange=exchange, currency=currency)


def as_contract(given: Contract | str) -> Contract:
    """A string means a US stock, routed by SMART. Raises ClientError for what is neither."""
    if isinstance(given, str):
        return stock(given)
    if not isinstance(given, Contract):
        raise errors.ClientError(f"{given!r} is no contract and no symbol", code="INVALID_ARGUMENT")
    return given
