"""A program that shares the session, for end-to-end tests of the broker.

    python shared_session.py [--target TARGET] [--token T] [--name NAME] [--for SECONDS] SYMBOL...

Subscribes with the Python SDK, without reconnecting, and runs until standard input closes or the
time is over. JSON lines: "subscribed" for each symbol, "mark" and "notice" as they come, "count"
each second, "summary" at the end. Exit code: 0 if the stream never tore, 1 if it did, 2 if there
was no broker or the arguments are wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import os
import sys
import threading
from dataclasses import dataclass, field

import ibouncer


@dataclass
class Seen:
    """What the stream brought so far."""

    ticks: int = 0
    per_symbol: collections.Counter[str] = field(default_factory=collections.Counter)
    skipped: int = 0
    marks: collections.Counter[str] = field(default_factory=collections.Counter)
    errors: list[dict[str, object]] = field(default_factory=list)
    torn: bool = False

    def summary(self) -> dict[str, object]:
        """The last line."""
        marks = {"STALE": 0, "RESUMED": 0, **self.marks}
        return {
            "event": "summary",
            "ticks": self.ticks,
            "per_symbol": dict(self.per_symbol),
            "skipped": self.skipped,
            "marks": marks,
            "errors": self.errors,
            "torn": self.torn,
        }


def main() -> int:
    parser = argparse.ArgumentParser(description="Shares the session until stdin closes.")
    parser.add_argument("--target", help="default: as the SDK finds it")
    parser.add_argument("--token")
    parser.add_argument("--name", help="client name")
    parser.add_argument("--for", dest="seconds", type=float, metavar="SECONDS")
    parser.add_argument("symbols", nargs="+", metavar="SYMBOL")
    return asyncio.run(run(parser.parse_args()))


async def run(arguments: argparse.Namespace) -> int:
    seen = Seen()
    stop = asyncio.Event()
    watch_stdin(stop)
    try:
        async with ibouncer.connect(
            arguments.target, token=arguments.token, name=arguments.name
        ) as session:
            await share(session, arguments, seen, stop)
    except ibouncer.BrokerNotFound as error:
        emit({"event": "error", **describe(error)})
        return 2
    emit(seen.summary())
    return 1 if seen.torn else 0


async def share(
    session: ibouncer.Session, arguments: argparse.Namespace, seen: Seen, stop: asyncio.Event
) -> None:
    async with session.market_data(reconnect=False) as stream:
        reading = asyncio.create_task(read(stream, arguments.symbols, seen))
        counting = asyncio.create_task(count(seen))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait(
            {reading, stopping},
            timeout=arguments.seconds,
            return_when=asyncio.FIRST_COMPLETED,
        )
        for task in (counting, stopping, reading):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def read(stream: ibouncer.MarketDataStream, symbols: list[str], seen: Seen) -> None:
    try:
        for symbol in symbols:
            await stream.subscribe(symbol)
        async for batch in stream.batches():
            for event in batch:
                take(event, seen)
        # Nobody closed it here: the loop is left by cancelling.
        seen.torn = True
    except ibouncer.IBouncerError as error:
        seen.torn = True
        seen.errors.append(describe(error))
        emit({"event": "error", **describe(error)})


def take(event: ibouncer.Event, seen: Seen) -> None:
    if isinstance(event, (ibouncer.Tick, ibouncer.TextTick)):
        seen.ticks += 1
        seen.per_symbol[event.symbol] += 1
        seen.skipped += event.skipped
    elif isinstance(event, ibouncer.Mark):
        seen.marks[event.kind.value] += 1
        if event.kind is ibouncer.MarkKind.SUBSCRIBED:
            emit({"event": "subscribed", "symbol": event.symbol, "epoch": event.epoch})
            return
        line: dict[str, object] = {
            "event": "mark",
            "kind": event.kind.value,
            "symbol": event.symbol,
            "because": event.because,
            "epoch": event.epoch,
        }
        if event.error is not None:
            line["error"] = describe(event.error)
            seen.errors.append(describe(event.error))
        emit(line)
    elif isinstance(event, ibouncer.Notice):
        emit(
            {
                "event": "notice",
                "symbol": event.symbol,
                "code": event.code,
                "message": event.message,
            }
        )


async def count(seen: Seen) -> None:
    while True:
        await asyncio.sleep(1)
        emit({"event": "count", "ticks": seen.ticks})


def watch_stdin(stop: asyncio.Event) -> None:
    """Sets `stop` when standard input ends; a thread, because it may be a file or a terminal.

    Unbuffered: a daemon thread inside sys.stdin would abort the interpreter at its end.
    """
    loop = asyncio.get_running_loop()

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        with contextlib.suppress(RuntimeError):  # The loop is closed: it ended by itself.
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait, daemon=True).start()


def describe(error: ibouncer.IBouncerError) -> dict[str, object]:
    return {
        "code": error.code,
        "source": error.source,
        "retry": error.retry,
        "gateway_code": error.gateway_code,
        "message": error.message,
    }


def emit(line: dict[str, object]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(main())
