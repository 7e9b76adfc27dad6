"""The session without asyncio.

    with ibouncer.connect_blocking() as session:
        print(session.positions())
        for event in session.quotes("AAPL", "MSFT"):
            print(event)

Everything of the asyncio session is there under the same name: coroutines are plain calls, streams
plain iterators with `close()`, `with`, `batches()` and `next_batch(timeout)`. How: `facade`.
The classes of blocking.pyi other than Session and Stream exist for type checkers only.
"""

from ibouncer.facade import Session, Stream, connect

__all__ = ["Session", "Stream", "connect"]
