"""Orders to be placed, and words of the schema as they are told."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest

import ibouncer
from ibouncer._pb.ibouncer.v1 import order_pb2
from ibouncer._pb.tws.v1.execution_pb2 import CommissionAndFeesReport
from ibouncer._pb.tws.v1.order_state_pb2 import OrderStatus


def test_usual_orders_are_short_and_take_any_field() -> None:
    order = ibouncer.limit_order("BUY", 100, 187.5, tif="GTC", outside_rth=True)
    assert (order.order_type, order.action, order.total_quantity) == ("LMT", "BUY", "100")
    assert (order.lmt_price, order.tif, order.outside_rth) == (187.5, "GTC", True)
    assert ibouncer.stop_order("SELL", 1, 9.5).aux_price == 9.5
    with pytest.raises(ValueError, match="no_such_field"):
        ibouncer.market_order("BUY", 1, no_such_field=1)


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        (100, "100"),
        (1000.0, "1000"),
        (0.1, "0.1"),
        (1e-8, "0.00000001"),
        ("1.50", "1.50"),
        (Decimal("0.10"), "0.1"),
        (Decimal("1e3"), "1000"),
    ],
)
def test_quantities_are_decimal_texts(quantity: Any, text: str) -> None:
    assert ibouncer.market_order("BUY", quantity).total_quantity == text


def test_a_bracket_is_held_back_until_its_last_order() -> None:
    entry = ibouncer.limit_order("BUY", 10, 5.0, account="DU0000001")
    orders = ibouncer.bracket("AAPL", entry, target_price=6.0, stop_price=4.0, name="a", tif="GTC")
    parts = [
        (one.client_order_id, one.parent_client_order_id, one.order.action, one.order.transmit)
        for one in orders
    ]
    assert parts == [
        ("a", "", "BUY", False),
        ("a.target", "a", "SELL", False),
        ("a.stop", "a", "SELL", True),
    ]
    assert orders[1].order.lmt_price == 6.0 and orders[2].order.aux_price == 4.0
    assert all(one.order.account == "DU0000001" for one in orders)
    assert [one.order.tif for one in orders] == ["", "GTC", "GTC"]
    # The entry is the caller's, and is left as it was.
    assert not entry.HasField("transmit")
    unnamed = ibouncer.bracket("AAPL", entry, target_price=6.0, stop_price=4.0)
    assert unnamed[1].parent_client_order_id == unnamed[0].client_order_id != "a"


PROGRAM = """
import ibouncer
from ibouncer._pb import stubs
letters = {letter: letter for letter in "qwertyuiopasdfghjklzxcvbnm"}
order = ibouncer.market_order("BUY", 1, algo_strategy="Twap", algo_params=letters)
print(stubs._bytes(ibouncer.NewOrder("AAPL", order, "a").to_message()).hex())
"""


def test_the_same_order_is_the_same_bytes_in_every_process() -> None:
    command = [sys.executable, "-c", PROGRAM]
    texts = {subprocess.run(command, capture_output=True, check=True).stdout for _ in range(3)}
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("words", "schema"),
    [
        (ibouncer.OrderState, order_pb2.OrderState),
        (ibouncer.ChangeKind, order_pb2.ChangeKind),
        (ibouncer.ChangeState, order_pb2.ChangeState),
        (ibouncer.OrderEventKind, order_pb2.OrderEventKind),
        (ibouncer.ExecutionEventKind, order_pb2.ExecutionEventKind),
    ],
)
def test_every_word_of_the_schema_is_there(words: Any, schema: Any) -> None:
    first = schema.Name(0).removesuffix("UNSPECIFIED")
    assert [f"{first}{word}" for word in words] == list(schema.keys())


@pytest.mark.parametrize(
    ("message", "view", "under_another_name"),
    [
        (order_pb2.Order, ibouncer.Order, {}),
        (order_pb2.OrderChange, ibouncer.OrderChange, {}),
        (order_pb2.OrderEvent, ibouncer.OrderEvent, {}),
        # That of the execution.
        (order_pb2.ExecutionEvent, ibouncer.ExecutionEvent, {"commission"}),
        (CommissionAndFeesReport, ibouncer.Commission, {"commission_and_fees"}),
        (OrderStatus, ibouncer.OpenOrder, {}),
    ],
)
def test_every_field_of_the_schema_is_there(
    message: Any, view: Any, under_another_name: set[str]
) -> None:
    told = {field.name for field in message.DESCRIPTOR.fields}
    assert told - {field.name for field in dataclasses.fields(view)} == set(under_another_name)


def test_an_order_that_gateway_does_not_tell_of_says_so() -> None:
    order = ibouncer.Order.from_message(order_pb2.Order(client_order_id="a", state=4))
    assert not order.unreachable and "UNREACHABLE" not in str(order)
    order = ibouncer.Order.from_message(
        order_pb2.Order(client_order_id="a", state=4, unreachable=True)
    )
    assert order.unreachable and str(order).endswith("UNREACHABLE (WORKING)")


def test_an_order_is_told_whole() -> None:
    message = order_pb2.Order(client_order_id="a", state=6, sequence=3, filled="2", perm_id=9)
    message.change.kind, message.change.state, message.change.gateway_code = 1, 4, 201
    message.notice.error_code = 399
    message.created_at.FromSeconds(1_700_000_000)
    message.order_status.why_held = "locate"
    order = ibouncer.Order.from_message(message)
    assert (order.state, order.filled, order.remaining) == (ibouncer.OrderState.UNKNOWN, 2, None)
    assert order.change == ibouncer.OrderChange(
        ibouncer.ChangeKind.MODIFY, ibouncer.ChangeState.FAILED, "", 201
    )
    assert order.notice is not None and order.notice.code == 399
    assert order.created_at is not None and order.updated_at is None
    assert order.order_status.why_held == "locate" and order.message is message
    message.state = 99  # type: ignore[assignment]
    assert ibouncer.Order.from_message(message).state is ibouncer.OrderState.UNSPECIFIED
