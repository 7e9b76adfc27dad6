"""Blocking calls that are interrupted hundreds of times, wherever they are.

    python interrupted_calls.py COUNT SEED

Each round begins a call, lets a timer raise KeyboardInterrupt again and again, and then calls
without it. An interval, because an exception can come inside a callback that swallows it. Prints
one JSON object; a call that hangs ends the program with the traces of its threads.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import ibouncer

# Nothing here takes longer, however slow the machine is.
HANGS = 60.0
# From one exception to the next, in seconds: some come while the last one is being dealt with.
INTERVALS = (0.0002, 0.0005, 0.002)

_armed = False


def _raise(_signal: int, _frame: FrameType | None) -> None:
    if _armed:
        raise KeyboardInterrupt


def interrupt(call: Callable[[], Any], delay: float, interval: float) -> None:
    """Makes a call again and again until it is interrupted."""
    global _armed
    try:
        _armed = True
        signal.setitimer(signal.ITIMER_REAL, delay, interval)
        while True:
            call()
    except KeyboardInterrupt:
        pass
    while _armed:
        try:
            _armed = False
        except KeyboardInterrupt:
            continue
    signal.setitimer(signal.ITIMER_REAL, 0)


async def _tasks() -> int:
    """Work in the loop, without this."""
    return len(asyncio.all_tasks()) - 1


def main() -> int:
    rounds, chance = int(sys.argv[1]), random.Random(int(sys.argv[2]))
    signal.signal(signal.SIGALRM, _raise)
    made: Counter[str] = Counter()
    broken: list[str] = []
    with ibouncer.connect_blocking() as session:
        quotes = session.quotes("AAPL")
        calls: dict[str, Callable[[], Any]] = {
            "status": session.status,
            "accounts": session.accounts,
            "snapshot": lambda: session.snapshot("AAPL"),
            "next": lambda: next(quotes),
            "next_batch": lambda: quotes.next_batch(timeout=0.001),
        }
        next(quotes)
        before = session._loop.run(_tasks)
        for _ in range(rounds):
            name = chance.choice(sorted(calls))
            faulthandler.dump_traceback_later(HANGS, exit=True)
            interrupt(calls[name], chance.uniform(1e-6, 0.003), chance.choice(INTERVALS))
            made[name] += 1
            try:
                if not session.status().ready:
                    broken.append(f"after {name}: not ready")
                quotes.next_batch(timeout=0.001)
            except Exception as error:
                broken.append(f"after {name}: {error!r}")
        faulthandler.dump_traceback_later(HANGS, exit=True)
        ticks = sum(len(quotes.next_batch(timeout=5) or []) for _ in range(3))
        # What was interrupted ends soon.
        end = time.monotonic() + HANGS / 2
        while (left := session._loop.run(_tasks) - before) > 0 and time.monotonic() < end:
            session._loop.run(lambda: asyncio.sleep(0.01))
    print(json.dumps({"made": made, "broken": broken, "ticks": ticks, "left": left}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
