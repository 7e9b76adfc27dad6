"""Quotes of some symbols: python quotes.py [--for SECONDS] [--json] AAPL MSFT"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys

import ibouncer

SILENCE = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(description="Prints quotes as they come.")
    parser.add_argument("symbols", nargs="+", metavar="SYMBOL")
    parser.add_argument("--for", dest="seconds", type=float, metavar="SECONDS")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments = parser.parse_args()
    try:
        asyncio.run(run(arguments.symbols, arguments.seconds, arguments.json))
    except KeyboardInterrupt:
        pass
    except ibouncer.IBouncerError as error:
        print(f"quotes.py: {error}", file=sys.stderr)
        return 1
    return 0


async def run(symbols: list[str], seconds: float | None, as_json: bool) -> None:
    async with ibouncer.connect() as session:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(print_quotes(session, symbols, as_json), seconds)


async def print_quotes(session: ibouncer.Session, symbols: list[str], as_json: bool) -> None:
    hint = asyncio.get_running_loop().call_later(SILENCE, say_silence)
    async for event in session.quotes(*symbols):
        if isinstance(event, ibouncer.Tick):
            hint.cancel()
        print(to_json(event) if as_json else event, flush=True)


def say_silence() -> None:
    print("Subscribed; no tick yet. Market closed or no data?", file=sys.stderr)


def to_json(event: ibouncer.Event) -> str:
    line: dict[str, object] = {"event": type(event).__name__.lower(), "symbol": event.symbol}
    if isinstance(event, ibouncer.Tick):
        line |= {"field": event.field, "value": event.value, "size": event.size}
        line |= {"sequence": event.sequence, "skipped": event.skipped}
    elif isinstance(event, ibouncer.Mark):
        line |= {"kind": event.kind.value, "because": event.because}
    else:
        line["text"] = str(event)
    return json.dumps(line)


if __name__ == "__main__":
    sys.exit(main())
