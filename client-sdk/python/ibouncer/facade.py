"""Using the asyncio client from threads without a loop: it runs in a loop on a thread of its own.

Nothing is written twice: a `Facade` wraps an object of the asyncio client, its coroutines become
plain calls, its streams plain iterators. Which there are, with which types, stands in
`blocking.pyi`, which tools/generate_blocking.py writes. Ctrl-C reaches the thread that waits, and
what it waited for is cancelled. Calls may come from several threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import queue
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from ibouncer import session as session_module
from ibouncer.admin import Admin
from ibouncer.batched import Batched
from ibouncer.errors import ClientError, Delivery
from ibouncer.order_handle import OrderHandle
from ibouncer.streams import Watch

# What a loop is to do: makes a coroutine, in the loop.
Work = Callable[[], Coroutine[Any, Any, Any]]

# How long closing may take before the thread is left to itself; it ends with the process.
CLOSE_TIMEOUT = 5.0


class _Closed(ClientError):
    """The session was closed, before or while this call waited."""

    def __init__(self, delivery: Delivery) -> None:
        super().__init__(
            "the session is closed: connect_blocking() makes another one",
            code="SESSION_CLOSED",
            delivery=delivery,
        )


class _Loop:
    """An event loop on a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="ibouncer", daemon=True)
        # What is handed over before `_stopping` is set is ended by `stop`; nothing is after it.
        # Else a thread could wait for work that a stopped loop never begins.
        self._handing_over = threading.Lock()
        self._stopping = False
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def run(self, work: Work) -> Any:
        """Does it there, and waits here; what interrupts the waiting cancels the work."""
        if threading.current_thread() is self._thread:
            raise ClientError(
                "a blocking call inside the session's own loop would wait for itself: "
                "use the asyncio session there",
                code="BLOCKING_IN_LOOP",
            )
        errand = _Errand(work)
        closed = False
        try:
            with self._handing_over:
                closed = self._stopping
                if not closed:
                    self._loop.call_soon_threadsafe(errand.begin)
            if not closed:
                done = errand.wait()
        except BaseException:
            # Ctrl-C again, in the middle of this, must not leave work behind that nobody waits
            # for. The loop stands here, because a call could be interrupted before it begins.
            while True:
                try:
                    errand.unwanted = True
                    with contextlib.suppress(RuntimeError):
                        # The loop may be closed; then nothing is left to cancel.
                        self._loop.call_soon_threadsafe(errand.cancel)
                    break
                except KeyboardInterrupt:
                    continue
            raise
        if closed:
            raise _Closed("not-sent")
        try:
            return done.result()
        except asyncio.CancelledError:
            # Nobody but `stop` cancels what a thread waits for; if it was to send, it may have.
            raise _Closed("maybe-sent") from None

    def stop(self) -> None:
        """Ends what threads still wait for, and the thread. Once it has, it does nothing."""
        with self._handing_over:
            self._stopping = True
        with contextlib.suppress(RuntimeError):
            # It is closed: a stop before this one came to its end.
            ending = _Errand(_end_others)
            try:
                self._loop.call_soon_threadsafe(ending.begin)
                with contextlib.suppress(queue.Empty):
                    ending.wait(CLOSE_TIMEOUT)
            finally:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join(CLOSE_TIMEOUT)


class _Errand:
    """Work for the loop, and the thread that waits for it.

    They share nothing but a queue in C. A future of concurrent.futures would be a lock that both
    take in Python: Ctrl-C between taking it and knowing so leaves it taken, and the loop waits for
    ever. The work is made in the loop, so that none is left over that nobody began.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._task: asyncio.Task[Any] | None = None
        self._done: queue.SimpleQueue[asyncio.Task[Any]] = queue.SimpleQueue()
        # Nobody waits for it any more.
        self.unwanted = False
        self._cancelled = False

    def begin(self) -> None:
        """In the loop."""
        if not self.unwanted:
            self._task = asyncio.get_running_loop().create_task(self._work())
            self._task.add_done_callback(self._done.put)

    def cancel(self) -> None:
        """In the loop; what was not begun is not begun any more. A second time it does nothing."""
        if self._task is not None and not self._cancelled:
            self._cancelled = True
            self._task.cancel()

    def wait(self, timeout: float | None = None) -> asyncio.Task[Any]:
        """In the thread. Raises queue.Empty after the timeout."""
        if sys.platform != "win32" or timeout is not None:
            return self._done.get(timeout=timeout)
        # There Ctrl-C does not interrupt a thread that waits, but one that comes back now and then.
        while True:
            with contextlib.suppress(queue.Empty):
                return self._done.get(timeout=0.2)


async def _end_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        # Streams that were closed end by themselves.
        _, others = await asyncio.wait(others, timeout=0.5)
    for one in others:
        one.cancel()
    if others:
        await asyncio.wait(others, timeout=1)


class Facade:
    """An object of the asyncio client, called from without its loop."""

    def __init__(self, loop: _Loop, inner: Any) -> None:
        self._loop = loop
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(self._inner, name)
        if inspect.ismethod(found):
            call = functools.wraps(found)(functools.partial(self._call, found))
            # The next time it is found without this detour.
            self.__dict__[name] = call
            return call
        return _outside(self._loop, found)

    def _call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        async def work() -> Any:
            # Streams too are made inside the loop that they belong to.
            result = method(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result

        return _outside(self._loop, self._loop.run(work))

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *(n for n in dir(self._inner) if n[0] != "_")})

    def __repr__(self) -> str:
        return f"<blocking {self._inner!r}>"


class Stream(Facade):
    """A stream as an iterator. It is over when the stream is, or when it was closed."""

    def __init__(self, loop: _Loop, inner: Any) -> None:
        super().__init__(loop, inner)
        self._batch: list[Any] = []
        self._position = 0
        # What was read and perhaps not handed over: Ctrl-C may come in between.
        self._arrived: list[Any] | None = None
        # One read begins when the one before, which was interrupted, has ended.
        self._reading = asyncio.Lock()

    def next_batch(self, timeout: float | None = None) -> list[Any] | None:
        """All that was waiting, never empty; None once the stream is over.

        After `timeout` seconds without anything it is an empty list, and nothing is lost.
        """
        try:
            read = functools.partial(self._read, timeout)
            batch: list[Any] | None = self._loop.run(read)
        except _Closed:
            return None
        self._arrived = None
        return batch

    async def _read(self, timeout: float | None) -> list[Any] | None:
        async with self._reading:
            if self._arrived is None:
                try:
                    # Without a timeout this only awaits.
                    await asyncio.wait_for(self._arrive(), timeout)
                except asyncio.TimeoutError:
                    return self._arrived or []
            return self._arrived

    async def _arrive(self) -> None:
        if isinstance(self._inner, Batched):
            self._arrived = await self._inner.next_batch()
            return
        try:
            self._arrived = [await anext(self._inner)]
        except StopAsyncIteration:
            self._arrived = None

    def batches(self) -> Iterator[list[Any]]:
        """All items that were waiting, a list at a time."""
        while (batch := self.next_batch()) is not None:
            yield batch

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Any:
        # One crossing between the threads for a whole batch.
        position = self._position
        if position >= len(self._batch):
            batch = self.next_batch()
            if batch is None:
                raise StopIteration
            self._batch, position = batch, 0
        self._position = position + 1
        return self._batch[position]

    def close(self) -> None:
        """Ends the stream; a reader in another thread stops."""
        with contextlib.suppress(_Closed):
            self._loop.run(self._inner.aclose)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Session(Facade):
    """The session; `with` opens and closes it."""

    def __init__(self, inner: session_module.Session) -> None:
        super().__init__(_Loop(), inner)

    def open(self) -> None:
        """Connects; `with` does it. Raises BrokerNotFound if there is no broker."""
        try:
            self._loop.run(self._inner.open)
        except BaseException:
            self._loop.stop()
            raise

    def close(self) -> None:
        """Ends all streams, the connection and the thread. A second time it does nothing."""
        try:
            with contextlib.suppress(_Closed):
                self._loop.run(self._close)
        finally:
            self._loop.stop()

    async def _close(self) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._inner.close(), CLOSE_TIMEOUT)

    def __enter__(self) -> Session:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(*args: Any, **kwargs: Any) -> Session:
    """A session, to be used with `with`; the arguments are those of `ibouncer.connect`."""
    return Session(session_module.connect(*args, **kwargs))


def _outside(loop: _Loop, value: Any) -> Any:
    """What a caller without a loop can use."""
    if isinstance(value, (Batched, Watch)):
        return Stream(loop, value)
    if isinstance(value, (Admin, OrderHandle)):
        return Facade(loop, value)
    if type(value) is list:
        return [_outside(loop, item) for item in value]
    return value
