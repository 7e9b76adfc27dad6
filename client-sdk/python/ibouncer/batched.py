"""The reader's side of every stream: one by one, or a batch at a time."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Self

Item = TypeVar("Item", covariant=True)


class Batched(Generic[Item]):
    """A stream: `async for` gives its items one by one, `batches()` lists of them.

    Read it in one of the two ways. To leave early: `aclose()`, or `async with`, or the session's
    end.
    """

    def __init__(self) -> None:
        self._batch: list[Item] = []
        self._position = 0

    async def next_batch(self) -> list[Item] | None:
        """All that was waiting, never empty; None once the stream is over or closed.

        May be cancelled, as by `asyncio.wait_for`, without loss.
        """
        raise NotImplementedError

    async def aclose(self) -> None:
        """Ends the stream."""
        raise NotImplementedError

    def batches(self) -> Batches[Item]:
        """All items that were waiting, a list at a time."""
        return Batches(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        position = self._position
        if position >= len(self._batch):
            batch = await self.next_batch()
            if batch is None:
                raise StopAsyncIteration
            self._batch, position = batch, 0
        self._position = position + 1
        return self._batch[position]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class Batches(Generic[Item]):
    """Iterator over the batches of a stream."""

    def __init__(self, stream: Batched[Item]) -> None:
        self._stream = stream

    def __aiter__(self) -> Batches[Item]:
        return self

    async def __anext__(self) -> list[Item]:
        batch = await self._stream.next_batch()
        if batch is None:
            raise StopAsyncIteration
        return batch
