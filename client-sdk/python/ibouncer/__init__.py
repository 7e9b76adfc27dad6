"""Client of IBouncer: many programs share one session with Interactive Brokers' Gateway.

    async with ibouncer.connect() as session:
        async for event in session.quotes("AAPL", "MSFT"):
            print(event)

`connect` finds the broker by itself; `connect_blocking` does without asyncio. Where to read on:
`session` for the calls, `batched` for streams, `connection` and `continuity` for reconnecting,
`ticks` for what comes out of market data, `errors` for what is raised.
"""

from ibouncer._pb.tws.v1.contract_pb2 import ComboLeg, Contract, DeltaNeutralContract
from ibouncer._pb.tws.v1.order_pb2 import AttachedOrders, OrderCancel
from ibouncer._pb.tws.v1.order_pb2 import Order as TwsOrder
from ibouncer._pb.tws.v1.order_state_pb2 import OrderState as TwsOrderState
from ibouncer._pb.tws.v1.order_state_pb2 import OrderStatus as TwsOrderStatus
from ibouncer._pb.tws.v1.scanner_pb2 import ScannerSubscription
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
)
from ibouncer.admin import Admin, ClientInfo, EventWatch, LineInfo
from ibouncer.bars import Bar, Bars, RealTimeBar
from ibouncer.batched import Batched, Batches
from ibouncer.blocking import connect as connect_blocking
from ibouncer.contracts import forex, future, index, option, stock
from ibouncer.depth import Book, BookRow, DepthChange
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
from ibouncer.fixed_lines import Depth, Quotes, RealTimeBars, TickByTick
from ibouncer.history import HistogramEntry, Schedule, TradingSession
from ibouncer.line_stream import ImageEnd, LineStream
from ibouncer.market_data import MarketDataStream, Subscription
from ibouncer.marks import Info, Mark, MarkKind, Notice
from ibouncer.news import Headline, Headlines, NewsArticle, NewsBulletin, NewsProvider
from ibouncer.order_lists import Commission, CompletedOrder, Execution, OpenOrder
from ibouncer.orders import (
    Cancelled,
    CancelledOrders,
    ChangeKind,
    ChangeState,
    ExecutionEvent,
    ExecutionEventKind,
    ExecutionWatch,
    Filled,
    NewOrder,
    NotSent,
    Order,
    OrderChange,
    OrderEvent,
    OrderEventKind,
    OrderHandle,
    OrderPreview,
    Orders,
    OrderState,
    OrderWatch,
    Outcome,
    Rejected,
    Resolved,
    SparedOrder,
    Unknown,
    bracket,
    limit_order,
    market_order,
    new_client_order_id,
    stop_order,
)
from ibouncer.reference import (
    ContractDescription,
    ContractDetails,
    DepthExchange,
    OptionParameters,
    PriceIncrement,
    SmartComponent,
)
from ibouncer.rows import Rows
from ibouncer.scanners import ScanRow
from ibouncer.scopes import OrderScope
from ibouncer.session import Queue, QueuedRequest, Session, WhoAmI, connect
from ibouncer.status import Farm, SessionState, Status, StatusWatch, Transition
from ibouncer.tick_columns import TickColumns
from ibouncer.ticks import TICK_FIELDS, Event, Feed, OptionTick, Snapshot, TextTick, Tick
from ibouncer.trades import BidAsk, Midpoint, Trade

__version__ = "0.1.0"

__all__ = [
    "TICK_FIELDS",
    "Account",
    "AccountTime",
    "AccountUpdates",
    "AccountValue",
    "AccountValues",
    "Admin",
    "AttachedOrders",
    "Bar",
    "Bars",
    "Batched",
    "Batches",
    "BidAsk",
    "Book",
    "BookRow",
    "BrokerError",
    "BrokerNotFound",
    "BrokerUnavailable",
    "Cancelled",
    "CancelledOrders",
    "ChangeKind",
    "ChangeState",
    "ClientError",
    "ClientInfo",
    "ComboLeg",
    "Commission",
    "CompletedOrder",
    "Contract",
    "ContractDescription",
    "ContractDetails",
    "DeltaNeutralContract",
    "Depth",
    "DepthChange",
    "DepthExchange",
    "Event",
    "EventWatch",
    "Execution",
    "ExecutionEvent",
    "ExecutionEventKind",
    "ExecutionWatch",
    "FamilyCode",
    "Farm",
    "Feed",
    "Filled",
    "GatewayError",
    "Headline",
    "Headlines",
    "HistogramEntry",
    "IBouncerError",
    "ImageEnd",
    "Info",
    "LineInfo",
    "LineStream",
    "Mark",
    "MarkKind",
    "MarketDataStream",
    "Midpoint",
    "NewOrder",
    "NewsArticle",
    "NewsBulletin",
    "NewsProvider",
    "NotReady",
    "NotSent",
    "Notice",
    "OpenOrder",
    "OptionParameters",
    "OptionTick",
    "Order",
    "OrderCancel",
    "OrderChange",
    "OrderEvent",
    "OrderEventKind",
    "OrderHandle",
    "OrderPreview",
    "OrderScope",
    "OrderState",
    "OrderWatch",
    "Orders",
    "Outcome",
    "Pnl",
    "PnlSingle",
    "PortfolioItem",
    "Position",
    "PriceIncrement",
    "Queue",
    "QueuedRequest",
    "Quotes",
    "RealTimeBar",
    "RealTimeBars",
    "Rejected",
    "Resolved",
    "Rows",
    "ScanRow",
    "ScannerSubscription",
    "Schedule",
    "Session",
    "SessionState",
    "SmartComponent",
    "Snapshot",
    "SoftDollarTier",
    "SparedOrder",
    "Status",
    "StatusWatch",
    "Subscription",
    "TextTick",
    "Tick",
    "TickByTick",
    "TickColumns",
    "Trade",
    "TradingSession",
    "Transition",
    "TwsOrder",
    "TwsOrderState",
    "TwsOrderStatus",
    "Unknown",
    "WhoAmI",
    "WorkerEnded",
    "bracket",
    "connect",
    "connect_blocking",
    "forex",
    "future",
    "index",
    "limit_order",
    "market_order",
    "new_client_order_id",
    "option",
    "stock",
    "stop_order",
]
