"""A program that outlives the broker, for end-to-end tests that kill one and start another.

    python survives_broker.py [--target TARGET] [--token T] [--name NAME] [--for SECONDS]
                              [--status] SYMBOL...

Subscribes to three symbols or more with the Python SDK, which reconnects by itself, and runs until
standard input closes, a line `end` comes on it, or the time is over. Prints the line `READY` once
each symbol has data; JSON lines: "mark" as they come, "resumed" once each symbol that was stale has
data again, "count" each second, "summary" at the end; with --status also "status" at each change.

Exit code: 0 if each subscription saw data, then STALE, then RESUMED, then data, and nothing out of
turn (SUBSCRIBED twice, STALE or RESUMED twice in a row, data while stale that was not replayed, or
an end); 1 if not; 2 if there was no broker at the start or the arguments are wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import threading
from dataclasses import dataclass, field

import ibouncer


@dataclass
class Line:
    """What one subscription saw: runs of the same thing count once."""

    story: list[str] = field(default_factory=list)
    ticks: int = 0
    since_resumed: int = 0
    last_sequence: int = 0
    odd: list[str] = field(default_factory=list)

    @property
    def is_stale(self) -> bool:
        """Between STALE and RESUMED."""
        marks = [word for word in self.story if word in ("STALE", "RESUMED")]
        return bool(marks) and marks[-1] == "STALE"

    @property
    def survived(self) -> bool:
        """Data, STALE, RESUMED, data, and nothing out of turn."""
        wanted = iter(self.story)
        stages = ("data", "STALE", "RESUMED", "data")
        return not self.odd and all(stage in wanted for stage in stages)

    def on_data(self, sequence: int, replayed: bool) -> None:
        self.ticks += 1
        if self.is_stale:
            if not replayed:
                self.odd.append(f"data (sequence {sequence}) while stale")
            return
        self.last_sequence = sequence
        self.since_resumed += 1
        self._tell("data")

    def on_mark(self, mark: ibouncer.Mark) -> None:
        kind = mark.kind.value
        if kind not in ("SUBSCRIBED", "STALE", "RESUMED"):
            self.odd.append(str(mark))
        elif kind == "SUBSCRIBED" and self.story:
            self.odd.append("SUBSCRIBED again")
        elif kind == "STALE" and self.is_stale:
            self.odd.append("STALE twice")
        elif kind == "RESUMED" and not self.is_stale:
            self.odd.append("RESUMED without STALE")
        if kind == "RESUMED":
            self.since_resumed = 0
        self._tell(kind)

    def _tell(self, word: str) -> None:
        if not self.story or self.story[-1] != word:
            self.story.append(word)


class Seen:
    """All subscriptions, and what was said about them."""

    def __init__(self, symbols: list[str]) -> None:
        self.lines = {symbol: Line() for symbol in symbols}
        self.errors: list[dict[str, object]] = []
        self._said_ready = False
        self._is_away = False

    @property
    def survived(self) -> bool:
        """Every subscription did."""
        return not self.errors and all(line.survived for line in self.lines.values())

    def take(self, event: ibouncer.Event) -> None:
        line = self.lines[event.symbol]
        if isinstance(event, ibouncer.Mark):
            line.on_mark(event)
            emit(
                {
                    "event": "mark",
                    "kind": event.kind.value,
                    "symbol": event.symbol,
                    "subscription": event.subscription,
                    "because": event.because,
                    "epoch": event.epoch,
                    "local": event.local,
                }
            )
            self._is_away = self._is_away or event.kind is ibouncer.MarkKind.STALE
        elif isinstance(event, (ibouncer.Tick, ibouncer.TextTick, ibouncer.OptionTick)):
            line.on_data(event.sequence, event.replayed)
            self._say_progress()

    def _say_progress(self) -> None:
        if self._said_ready and not self._is_away:
            return
        flowing = all(line.since_resumed and not line.is_stale for line in self.lines.values())
        if not flowing:
            return
        if not self._said_ready:
            self._said_ready = True
            print("READY", flush=True)
        if self._is_away:
            self._is_away = False
            emit({"event": "resumed"})

    def summary(self) -> dict[str, object]:
        """The last line."""
        return {
            "event": "summary",
            "survived": self.survived,
            "lines": {
                symbol: {
                    "ticks": line.ticks,
                    "last_sequence": line.last_sequence,
                    "story": line.story,
                    "odd": line.odd,
                }
                for symbol, line in self.lines.items()
            },
            "errors": self.errors,
        }


def main() -> int:
    parser = argparse.ArgumentParser(description="Reads quotes on, whatever the broker does.")
    parser.add_argument("--target", help="default: as the SDK finds it")
    parser.add_argument("--token")
    parser.add_argument("--name", help="client name")
    parser.add_argument("--for", dest="seconds", type=float, metavar="SECONDS")
    parser.add_argument("--status", action="store_true", help="watch the status too")
    parser.add_argument("symbols", nargs="+", metavar="SYMBOL")
    return asyncio.run(run(parser.parse_args()))


async def run(arguments: argparse.Namespace) -> int:
    seen = Seen(arguments.symbols)
    stop = asyncio.Event()
    watch_stdin(stop)
    try:
        async with ibouncer.connect(
            arguments.target, token=arguments.token, name=arguments.name
        ) as session:
            await follow(session, arguments, seen, stop)
    except ibouncer.BrokerNotFound as error:
        emit({"event": "error", "code": error.code, "message": error.message})
        return 2
    emit(seen.summary())
    return 0 if seen.survived else 1


async def follow(
    session: ibouncer.Session, arguments: argparse.Namespace, seen: Seen, stop: asyncio.Event
) -> None:
    reading = asyncio.create_task(read(session, arguments.symbols, seen))
    others = [asyncio.create_task(count(seen)), asyncio.create_task(stop.wait())]
    if arguments.status:
        others.append(asyncio.create_task(watch(session)))
    await asyncio.wait(
        {reading, others[1]}, timeout=arguments.seconds, return_when=asyncio.FIRST_COMPLETED
    )
    for task in (reading, *others):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def read(session: ibouncer.Session, symbols: list[str], seen: Seen) -> None:
    try:
        async with session.market_data() as stream:
            for symbol in symbols:
                await stream.subscribe(symbol)
            async for batch in stream.batches():
                for event in batch:
                    seen.take(event)
    except ibouncer.IBouncerError as error:
        described: dict[str, object] = {"code": error.code, "message": error.message}
        seen.errors.append(described)
        emit({"event": "error", **described})


async def watch(session: ibouncer.Session) -> None:
    async for status, _ in session.watch_status():
        emit({"event": "status", "state": status.state.value, "local": status.local})


async def count(seen: Seen) -> None:
    while True:
        await asyncio.sleep(1)
        ticks = {symbol: line.ticks for symbol, line in seen.lines.items()}
        emit({"event": "count", "ticks": ticks})


def watch_stdin(stop: asyncio.Event) -> None:
    """Sets `stop` when standard input says `end`, or ends; unbuffered, in a thread of its own."""
    loop = asyncio.get_running_loop()

    def wait() -> None:
        said = b""
        while b"end\n" not in said:
            some = os.read(sys.stdin.fileno(), 4096)
            if not some:
                break
            said += some
        with contextlib.suppress(RuntimeError):  # The loop is closed: it ended by itself.
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait, daemon=True).start()


def emit(line: dict[str, object]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(main())
