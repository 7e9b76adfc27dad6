"""Whose orders and executions a list or a watch is about."""

from __future__ import annotations

from typing import Literal

from ibouncer._pb.ibouncer.v1 import order_pb2
from ibouncer.words import number_of

# The caller's, of this session's client id, of the whole login.
OrderScope = Literal["own", "session", "all"]
_SCOPES = {
    "own": order_pb2.ORDER_SCOPE_OWN,
    "session": order_pb2.ORDER_SCOPE_SESSION,
    "all": order_pb2.ORDER_SCOPE_ALL,
}


def scope_number(scope: OrderScope) -> order_pb2.OrderScope.ValueType:
    """The scope as the schema has it. Raises ClientError for one that it has not."""
    return number_of(scope, _SCOPES, "scope of orders", code="UNKNOWN_SCOPE")
