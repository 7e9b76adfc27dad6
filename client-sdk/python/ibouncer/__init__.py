"""Client of IBouncer: many programs share one session with Interactive Brokers' Gateway.

    async with ibouncer.connect() as session:
        async for event in session.quotes("AAPL", "MSFT"):
            print(event)

`connect` finds the broker by itself. Where to read on: `session` for the calls, `market_data` for
streams, `connection` for reconnecting, `ticks` for what comes out of streams, `errors` for what is
raised.
"""

from ibouncer._pb.tws.v1.contract_pb2 import ComboLeg, Contract
from ibouncer.admin import Admin, ClientInfo, EventWatch, LineInfo
from ibouncer.contracts import forex, future, stock
from ibouncer.errors import (
    BrokerError,
    BrokerNotFound,
    BrokerUnavailable,
    ClientError,
    GatewayError,
    IBouncerError,
    NotReady,
    WorkerEnded,
)
from ibouncer.market_data import Batches, Events, MarketDataStream, Quotes, Subscription
from ibouncer.session import Account, Session, connect
from ibouncer.status import SessionState, Status, StatusWatch, Transition
from ibouncer.ticks import (
    TICK_FIELDS,
    Event,
    Feed,
    Info,
    Mark,
    MarkKind,
    Notice,
    OptionTick,
    Snapshot,
    TextTick,
    Tick,
)

__version__ = "0.1.0"

__all__ = [
    "TICK_FIELDS",
    "Account",
    "Admin",
    "Batches",
    "BrokerError",
    "BrokerNotFound",
    "BrokerUnavailable",
    "ClientError",
    "ClientInfo",
    "ComboLeg",
    "Contract",
    "Event",
    "EventWatch",
    "Events",
    "Feed",
    "GatewayError",
    "IBouncerError",
    "Info",
    "LineInfo",
    "Mark",
    "MarkKind",
    "MarketDataStream",
    "NotReady",
    "Notice",
    "OptionTick",
    "Quotes",
    "Session",
    "SessionState",
    "Snapshot",
    "Status",
    "StatusWatch",
    "Subscription",
    "TextTick",
    "Tick",
    "Transition",
    "WorkerEnded",
    "connect",
    "forex",
    "future",
    "stock",
]
