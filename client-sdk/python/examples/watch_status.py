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
    async with ibouncer.connect() as session:
        async for status, transitions in session.watch_status():
            for transition in transitions:
                print(f"  {transition}")
            print(status, flush=True)


if __name__ == "__main__":
    sys.exit(main())
