"""The session's status at every change: python watch_status.py"""

from __future__ import annotations

import asyncio
import sys

import ibouncer


def main() -> int:
    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        pass
    except ibouncer.IBouncerError as error:
        print(f"watch_status.py: {error}", file=sys.stderr)
        return 1
    return 0


async def run() -> None:
    shown = ""
    async with ibouncer.connect() as session:
        async for status, transitions in session.watch_status():
            for transition in transitions:
                print(f"  {transition}", flush=True)
            # Other changes, as of the number of clients, do not show in this line.
            if transitions or str(status) != shown:
                shown = str(status)
                print(shown, flush=True)


if __name__ == "__main__":
    sys.exit(main())
