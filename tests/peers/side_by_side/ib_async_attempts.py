"""Connects with ib_async as ordinary programs do, and says what one learns from that.

    python ib_async_attempts.py HOST PORT SECONDS [--timeout SECONDS] [--pause SECONDS]

A reconnect loop as many programs have it: `IB().connectAsync` with ib_async's own timeout of 4 s,
`disconnect()` after a failure, and after a second the next attempt with the next client id. What
the loop leaves behind is for others to count, at the listener. No attempt begins after SECONDS; one
under way is awaited. If a connection comes about it is kept until the time is over or it breaks.

Prints one JSON object at the end. `attempts`: when each began (`at`, seconds since the start), its
client id, how long it took, type and text of the exception, and what ib_async logged meanwhile,
which is all that it says about the stage. Exit code: 0, whether or not a connection came about; 2
if the arguments are wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import inspect
import json
import logging
import sys
import time
from typing import Any

from ib_async import IB

CLIENT_IDS = (1, 100, 500, 999, 1234, 9999)
# The library's own, so that the figures are those of its users.
DEFAULT_TIMEOUT: float = inspect.signature(IB.connectAsync).parameters["timeout"].default


class Lines(logging.Handler):
    """What the library logs, with the time since an attempt began."""

    def __init__(self) -> None:
        super().__init__()
        self._since = time.monotonic()
        self._lines: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(
            {
                "at": seconds_since(self._since),
                "level": record.levelname,
                "text": record.getMessage(),
            }
        )

    def start(self) -> list[dict[str, object]]:
        """Lines of a new attempt; they are added as they come."""
        self._since, self._lines = time.monotonic(), []
        return self._lines


def main() -> int:
    parser = argparse.ArgumentParser(description="Connects with ib_async, again and again.")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("seconds", type=float, help="begin no attempt after this time")
    parser.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT, help="of an attempt")
    parser.add_argument("--pause", type=float, default=1.0, help="after a failure, in seconds")
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(run(arguments)), indent=2), flush=True)
    return 0


async def run(arguments: argparse.Namespace) -> dict[str, object]:
    lines = Lines()
    library = logging.getLogger("ib_async")
    library.setLevel(logging.INFO)
    library.addHandler(lines)
    library.propagate = False

    begun = time.monotonic()
    attempts: list[dict[str, object]] = []
    while seconds_since(begun) < arguments.seconds:
        client_id = CLIENT_IDS[len(attempts) % len(CLIENT_IDS)]
        at = seconds_since(begun)
        attempt: dict[str, object] = {"number": len(attempts) + 1, "client_id": client_id, "at": at}
        attempts.append(attempt)
        ib = IB()
        attempt |= await connect(ib, arguments, client_id, lines)
        if attempt["ready"]:
            attempt |= await keep(ib, begun + arguments.seconds)
        ib.disconnect()
        left = arguments.seconds - seconds_since(begun)
        if left > 0:
            await asyncio.sleep(min(arguments.pause, left))
    return {
        "library": "ib_async",
        "version": importlib.metadata.version("ib_async"),
        "timeout": arguments.timeout,
        "pause": arguments.pause,
        "attempts_made": len(attempts),
        "ready": sum(bool(attempt["ready"]) for attempt in attempts),
        "total_seconds": seconds_since(begun),
        "attempts": attempts,
    }


async def connect(
    ib: IB, arguments: argparse.Namespace, client_id: int, lines: Lines
) -> dict[str, Any]:
    """One attempt, with everything that a program can know of it."""
    logged = lines.start()
    since = time.monotonic()
    failure: Exception | None = None
    try:
        await ib.connectAsync(
            arguments.host, arguments.port, clientId=client_id, timeout=arguments.timeout
        )
    except Exception as error:
        failure = error
    return {
        "ready": failure is None,
        "seconds": seconds_since(since),
        "exception": None if failure is None else type(failure).__name__,
        "text": None if failure is None else str(failure),
        "server_version": ib.client.serverVersion() if failure is None else None,
        "logged": logged,
    }


async def keep(ib: IB, until: float) -> dict[str, Any]:
    """Stays connected; says whether the connection broke before the time was over."""
    broken = asyncio.Event()
    ib.disconnectedEvent += broken.set
    try:
        await asyncio.wait_for(broken.wait(), max(until - time.monotonic(), 0))
    except asyncio.TimeoutError:
        return {"kept": True}
    finally:
        ib.disconnectedEvent -= broken.set
    return {"kept": False}


def seconds_since(begun: float) -> float:
    return round(time.monotonic() - begun, 3)


if __name__ == "__main__":
    sys.exit(main())
