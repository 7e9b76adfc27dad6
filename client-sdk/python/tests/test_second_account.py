"""Updates of a second account: two lines behind one subscription, each with marks and an end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fake_lines import LineCall, served

import ibouncer
from ibouncer import AccountValue, ImageEnd, Mark, PortfolioItem
from ibouncer._pb.tws.v1 import account_pb2, position_pb2, session_pb2

ACCOUNT = "DU0000002"
AAPL = ibouncer.Contract(con_id=265598, symbol="AAPL")
MSFT = ibouncer.Contract(con_id=272093, symbol="MSFT")
VALUES, POSITIONS = "line-1", "line-2"
VALUES_END: dict[str, Any] = {"account_update_multi_end": account_pb2.AccountUpdateMultiEnd()}
POSITIONS_END: dict[str, Any] = {"position_multi_end": position_pb2.PositionMultiEnd()}


def cash(amount: str) -> dict[str, Any]:
    update = account_pb2.AccountUpdateMulti(account=ACCOUNT, key="Cash", value=amount)
    return {"account_update_multi": update}


def held(contract: Any, amount: str) -> dict[str, Any]:
    position = position_pb2.PositionMulti(account=ACCOUNT, contract=contract, position=amount)
    return {"position_multi": position}


def attached(call: LineCall, *, stale: str = "") -> list[Any]:
    """What one who comes late is told behind the first SUBSCRIBED: the image of each line."""

    def image(line: str, *bodies: dict[str, Any]) -> list[Any]:
        told = [call.event(replayed=True, **body) for body in bodies]
        return told + ([call.mark("STALE", line=line)] if line == stale else [])

    return [
        *image(VALUES, cash("1"), VALUES_END),
        call.mark("SUBSCRIBED", line=VALUES, because="one account at a time"),
        call.mark("SUBSCRIBED", line=POSITIONS),
        *image(POSITIONS, held(AAPL, "4"), POSITIONS_END),
    ]


def words(items: list[Any]) -> list[str]:
    """The items in short."""
    names = {AccountValue: "value", PortfolioItem: "position", ImageEnd: "end"}
    return [
        item.kind.value if isinstance(item, Mark) else names.get(type(item), "other")
        for item in items
    ]


async def read(stream: Any, count: int) -> list[str]:
    return words([await asyncio.wait_for(anext(stream), 5) for _ in range(count)])


async def test_a_late_joiner_is_told_the_end_once_both_lines_have_ended(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        stream = session.stream_account_updates(ACCOUNT)
        assert await read(stream, 1) == ["SUBSCRIBED"]
        call = await broker.line_call()
        call.push(*attached(call))
        told = ["value", "SUBSCRIBED", "SUBSCRIBED", "position", "end"]
        assert await read(stream, 5) == told
        # From here on come changes.
        call.say(**cash("2"))
        assert await read(stream, 1) == ["value"]


@pytest.mark.parametrize("first", [VALUES_END, POSITIONS_END], ids=["values", "positions"])
async def test_the_ends_of_new_lines_come_in_either_order(
    runtime: Path, first: dict[str, Any]
) -> None:
    second = POSITIONS_END if first is VALUES_END else VALUES_END
    async with served(runtime) as (broker, session):
        asking = asyncio.ensure_future(session.account_updates(ACCOUNT))
        call = await broker.line_call()
        call.push(call.mark("SUBSCRIBED", line=VALUES), call.mark("SUBSCRIBED", line=POSITIONS))
        call.push(call.event(**cash("1")), call.event(**held(AAPL, "4")))
        call.push(call.event(**first))
        assert not (await asyncio.wait([asking], timeout=0.1))[0]
        call.push(call.event(**second))
        updates = await asyncio.wait_for(asking, 5)
        assert (len(updates.values), len(updates.portfolio)) == (1, 1)


async def test_the_answer_of_a_late_joiner_has_both_parts_and_the_remarks(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        asking = asyncio.ensure_future(session.account_updates(ACCOUNT))
        call = await broker.line_call()
        warning = session_pb2.ErrorMessage(error_code=2100, error_msg="a warning")
        call.push(call.event(replayed=True, error=warning), *attached(call))
        updates = await asyncio.wait_for(asking, 5)
        assert (updates.account, updates.time) == (ACCOUNT, "")
        assert [value.value for value in updates.values] == ["1"]
        assert [item.position for item in updates.portfolio] == [4]
        assert [notice.code for notice in updates.values.notices] == [2100]


@pytest.mark.parametrize("values_first", [True, False])
async def test_after_a_new_session_the_end_waits_for_both_lines(
    runtime: Path, values_first: bool
) -> None:
    async with served(runtime) as (broker, session):
        stream = session.stream_account_updates(ACCOUNT)
        await read(stream, 1)
        call = await broker.line_call()
        call.push(*attached(call))
        await read(stream, 5)
        lines = [(VALUES, cash("2"), VALUES_END), (POSITIONS, held(AAPL, "5"), POSITIONS_END)]
        # Twice, as sessions can end twice.
        for _ in range(2):
            call.push(call.mark("STALE", line=VALUES), call.mark("STALE", line=POSITIONS))
            assert await read(stream, 2) == ["STALE", "STALE"]
            for line, body, end in lines if values_first else reversed(lines):
                call.push(call.mark("RESUMED", line=line), call.event(**body), call.event(**end))
            told = await read(stream, 5)
            one, other = ("value", "position") if values_first else ("position", "value")
            assert told == ["RESUMED", one, "RESUMED", other, "end"]


async def test_a_session_that_ends_between_the_two_images_ends_both(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        stream = session.stream_account_updates(ACCOUNT)
        await read(stream, 1)
        call = await broker.line_call()
        call.push(*attached(call))
        await read(stream, 5)
        call.push(call.mark("STALE", line=VALUES), call.mark("STALE", line=POSITIONS))
        call.push(call.mark("RESUMED", line=VALUES), call.event(**VALUES_END))
        # The other line was stale all the while, and does not say it again.
        call.push(call.mark("STALE", line=VALUES))
        call.push(call.mark("RESUMED", line=POSITIONS), call.event(**POSITIONS_END))
        assert await read(stream, 5) == ["STALE", "STALE", "RESUMED", "STALE", "RESUMED"]
        call.push(call.mark("RESUMED", line=VALUES), call.event(**cash("3")))
        call.say(**VALUES_END)
        assert await read(stream, 3) == ["RESUMED", "value", "end"]


@pytest.mark.parametrize("stale", [VALUES, POSITIONS])
async def test_what_one_line_remembers_without_a_session_is_no_answer(
    runtime: Path, stale: str
) -> None:
    async with served(runtime) as (broker, session):
        asking = asyncio.ensure_future(session.account_updates(ACCOUNT))
        call = await broker.line_call()
        call.push(*attached(call, stale=stale))
        assert not (await asyncio.wait([asking], timeout=0.1))[0]
        # Its own part is told anew, the other one stands.
        fresh = [cash("2"), VALUES_END] if stale == VALUES else [held(MSFT, "5"), POSITIONS_END]
        call.push(call.mark("RESUMED", line=stale), *(call.event(**body) for body in fresh))
        updates = await asyncio.wait_for(asking, 5)
        cash_now, held_now = ("2", "AAPL") if stale == VALUES else ("1", "MSFT")
        assert [value.value for value in updates.values] == [cash_now]
        assert [item.contract.symbol for item in updates.portfolio] == [held_now]


@pytest.mark.parametrize("gets_its_own", [True, False])
async def test_behind_reset_nothing_of_the_lines_before_is_in_the_answer(
    runtime: Path, gets_its_own: bool
) -> None:
    whole: list[dict[str, Any]] = [
        {"account_value": account_pb2.AccountValue(key="Cash", value="9", account_name=ACCOUNT)},
        {"portfolio_value": account_pb2.PortfolioValue(contract=AAPL, position="6")},
        {"account_data_end": account_pb2.AccountDataEnd(account_name=ACCOUNT)},
    ]
    parts = [held(AAPL, "6"), POSITIONS_END, cash("9"), VALUES_END]
    async with served(runtime) as (broker, session):
        asking = asyncio.ensure_future(session.account_updates(ACCOUNT))
        call = await broker.line_call()
        before, after = (parts, whole) if gets_its_own else (whole, parts)
        call.push(call.mark("SUBSCRIBED", line=VALUES), call.mark("STALE", line=VALUES))
        call.push(call.event(**before[0]))
        call.push(call.event(**before[1]))
        call.push(call.mark("STALE", line=POSITIONS))
        call.push(call.mark("RESET", line="line-3"), call.mark("SUBSCRIBED", line="line-3"))
        call.push(*(call.event(**body) for body in after))
        updates = await asyncio.wait_for(asking, 5)
        assert [value.value for value in updates.values] == ["9"]
        assert [item.position for item in updates.portfolio] == [6]


async def test_a_part_that_is_empty_now_is_empty_in_the_answer(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        asking = asyncio.ensure_future(session.account_updates(ACCOUNT))
        call = await broker.line_call()
        call.push(*attached(call, stale=POSITIONS))
        call.push(call.mark("RESUMED", line=POSITIONS), call.event(**POSITIONS_END))
        updates = await asyncio.wait_for(asking, 5)
        assert len(updates.values) == 1 and updates.portfolio == []


async def test_another_broker_tells_both_lines_from_the_start(runtime: Path) -> None:
    async with served(runtime) as (broker, session):
        stream = session.stream_account_updates(ACCOUNT)
        await read(stream, 1)
        call = await broker.line_call()
        call.push(*attached(call))
        await read(stream, 5)
        await broker.stop()
        assert await read(stream, 1) == ["STALE"]
        await broker.start(unix=runtime / "ibouncer.sock")
        reading = asyncio.ensure_future(read(stream, 5))
        call = await broker.line_call()
        # The first line has no session yet; what it remembers does not end anything.
        call.push(*attached(call, stale=VALUES))
        call.push(call.mark("RESUMED", line=VALUES), call.event(**cash("2")))
        call.say(**VALUES_END)
        assert await asyncio.wait_for(reading, 5) == [
            "value",
            "position",
            "RESUMED",
            "value",
            "end",
        ]
        await stream.aclose()
