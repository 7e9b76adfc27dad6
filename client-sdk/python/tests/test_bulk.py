"""Batches that are read by columns: the same events as one by one, whatever is among them."""

from __future__ import annotations

import copy
import pickle
import random

import pytest
from fake_broker import mark, notice, price, size, text
from google.protobuf.message import DecodeError

import ibouncer
from ibouncer import bulk
from ibouncer._pb.ibouncer.v1 import market_data_pb2 as pb
from ibouncer._pb.ibouncer.v1 import stream_pb2
from ibouncer._pb.tws.v1 import market_data_pb2
from ibouncer.columns import DOUBLE, INT32, STRING, Column, Layout, Uneven
from ibouncer.ticks import decode

CONTRACTS = {number: ibouncer.stock(f"S{number}") for number in range(4)}


def wire(*events: pb.MarketDataEvent) -> bytes:
    return pb.StreamMarketDataResponse(events=events).SerializeToString()


def one_by_one(data: bytes) -> list[ibouncer.Event]:
    return decode(pb.StreamMarketDataResponse.FromString(data).events, CONTRACTS)


def same(data: bytes) -> list[ibouncer.Event]:
    """What becomes of a batch, which must be what becomes of its events."""
    decoded = bulk.decode_bytes(data, CONTRACTS)
    assert [repr(event) for event in decoded] == [repr(event) for event in one_by_one(data)]
    assert [type(event) for event in decoded] == [type(event) for event in one_by_one(data)]
    assert all(event.contract is CONTRACTS[event.subscription] for event in decoded)
    return decoded


def generic(number: int, sequence: int, kind: int, value: float) -> pb.MarketDataEvent:
    tick = market_data_pb2.TickGeneric(tick_type=kind, value=value)
    return pb.MarketDataEvent(subscription_id=number, sequence=sequence, tick_generic=tick)


def any_event(chance: random.Random) -> pb.MarketDataEvent:
    number, sequence = chance.randrange(6), chance.choice((0, 1, 300, 2**64 - 1))
    kind = chance.choice((0, 1, 4, 9, 104, 105, 500, -1))
    amount = chance.choice(("", "0", "200", "0.5"))
    event = chance.choice(
        (
            price(number, sequence, kind, chance.choice((-1.0, 0.0, 189.5)), amount),
            size(number, sequence, kind, amount),
            generic(number, sequence, kind, 1.5),
            text(number, sequence, 45, "1700000000"),
            mark(number, stream_pb2.MARK_KIND_STALE, "worker ended"),
            notice(number, 2108),
            pb.MarketDataEvent(subscription_id=number, tick_price=market_data_pb2.TickPrice()),
            pb.MarketDataEvent(subscription_id=number, tick_size=market_data_pb2.TickSize()),
            pb.MarketDataEvent(subscription_id=number),
        )
    )
    event.skipped = chance.choice((0, 0, 0, 7))
    event.replayed = chance.random() < 0.2
    if event.HasField("tick_price"):
        for name in ("size", "price", "tick_type"):
            if chance.random() < 0.1:
                event.tick_price.ClearField(name)
        if chance.random() < 0.3:
            event.tick_price.req_id, event.tick_price.attr_mask = 2**31 - 1, 3
    return event


def test_any_batch_gives_what_its_events_give_one_by_one() -> None:
    for seed in range(300):
        chance = random.Random(seed)
        same(wire(*(any_event(chance) for _ in range(chance.randrange(40)))))


def test_batches_of_one_kind_are_read_by_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    prices = wire(*(price(1, number, 4, 189.5 + number, "100") for number in range(1, 9)))
    sizes = wire(*(size(2, number, 8, str(number)) for number in range(1, 9)))
    generics = wire(*(generic(3, number, 49, 0.5) for number in range(1, 9)))
    mixed = wire(*(maker for number in range(1, 9) for maker in both(number)))
    expected = [one_by_one(data) for data in (prices, sizes, generics, mixed)]
    monkeypatch.setattr(bulk, "decode", lambda *_: pytest.fail("one by one"))
    found = [bulk.decode_bytes(data, CONTRACTS) for data in (prices, sizes, generics, mixed)]
    assert found == expected


def both(number: int) -> tuple[pb.MarketDataEvent, pb.MarketDataEvent]:
    return price(1, number, 1, 189.5), size(2, number, 0, "3")


def test_ticks_of_a_batch_are_ticks_in_every_way() -> None:
    (tick, *_) = same(wire(*(price(1, number, 1, 189.5, "200", True) for number in range(1, 9))))
    assert type(tick) is ibouncer.Tick and tick.replayed is True and tick.skipped == 0
    with pytest.raises(AttributeError):
        tick.value = 1.0  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(tick)) == copy.copy(tick) == tick and hash(tick)


def test_unknown_fields_change_nothing() -> None:
    newer = b"\xfa\x01\x03new"  # field 31
    body = price(1, 5, 4, 2.5, "10").tick_price.SerializeToString() + newer
    event = b"\x08\x01\x10\x05\x2a" + bytes([len(body)]) + body + newer
    data = b"".join(b"\x0a" + bytes([len(event)]) + event for _ in range(8)) + newer
    assert [str(tick) for tick in same(data)] == ["S1 last 2.5 x 10"] * 8


def test_a_field_that_is_there_twice_counts_once() -> None:
    once = price(1, 5, 4, 2.5, "10").SerializeToString()
    twice = b"\x08\x03" + once + b"\x10\x09"
    without = pb.MarketDataEvent(tick_price=market_data_pb2.TickPrice(tick_type=4, price=7.0))
    events = [twice, without.SerializeToString(), once, once]
    data = b"".join(b"\x0a" + bytes([len(event)]) + event for event in events)
    first, second, *_ = same(data)
    assert isinstance(first, ibouncer.Tick) and (first.subscription, first.sequence) == (1, 9)
    assert isinstance(second, ibouncer.Tick) and (second.subscription, second.sequence) == (0, 0)


def test_whatever_is_cut_off_is_an_error() -> None:
    body = price(1, 5, 4, 2.5, "10").tick_price.SerializeToString()
    good = price(1, 5, 4, 2.5, "10").SerializeToString()
    whole = b"\x0a" + bytes([len(good)]) + good
    for length in range(1, len(body)):
        try:
            market_data_pb2.TickPrice.FromString(body[:length])
            continue
        except DecodeError:
            pass
        event = b"\x08\x01\x10\x05\x2a" + bytes([length]) + body[:length]
        cut = b"\x0a" + bytes([len(event)]) + event
        for data in (whole * 4 + cut, cut + whole * 4, whole * 3 + cut + whole):
            with pytest.raises(DecodeError):
                bulk.decode_bytes(data, CONTRACTS)
    with pytest.raises(DecodeError):
        bulk.decode_bytes((whole * 8)[:-1], CONTRACTS)


def test_a_size_that_is_no_number_is_an_error() -> None:
    for amount in ("many", "-", "x"):
        with pytest.raises(ValueError, match="float"):
            bulk.decode_bytes(wire(*(price(1, 1, 4, 1.0, amount) for _ in range(8))), CONTRACTS)


def test_columns_are_even_or_refused() -> None:
    layout = Layout("Test", Column(2, INT32, 0, -1), Column(3, DOUBLE, 0.0, -1e300))
    full = market_data_pb2.TickPrice(tick_type=4, price=2.5).SerializeToString()
    empty = market_data_pb2.TickPrice(tick_type=9).SerializeToString()
    assert layout.read([full, full]) == [[4, 4], [2.5, 2.5]]
    assert layout.read([full, empty, full]) == [[4, 9, 4], [2.5, 0.0, 2.5]]
    assert layout.read([empty, empty]) == [[9, 9], None]
    never = market_data_pb2.TickPrice(tick_type=4, price=-1e300).SerializeToString()
    with pytest.raises(Uneven):
        layout.read([full, empty, never])
    texts = Layout("Texts", Column(4, STRING, "", "-"))
    assert texts.read([b"", b"\x22\x011", b""]) == [["", "1", ""]]
