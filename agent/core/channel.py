"""A one-way street from one producer to one consumer.

Delivery promise: nothing is dropped or reordered. What was sent before `close` is still received
after it; then iteration ends. Memory is bounded by the consumer's pace only, so a consumer that
stops reading must close its end by leaving the iteration.
"""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class _Closed:
    pass


class Channel(Generic[T]):
    """Unbounded, ordered, single consumer. `send` never blocks and is a no-op after `close`."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[T | _Closed] = asyncio.Queue()
        self._closed = False

    def send(self, item: T) -> None:
        """Hand one item to the consumer; ignored once the channel is closed."""
        if not self._closed:
            self._queue.put_nowait(item)

    def close(self) -> None:
        """End the iteration after what was already sent."""
        if not self._closed:
            self._closed = True
            self._queue.put_nowait(_Closed())

    def __aiter__(self) -> Channel[T]:
        return self

    async def __anext__(self) -> T:
        item = await self._queue.get()
        if isinstance(item, _Closed):
            self._queue.put_nowait(item)
            raise StopAsyncIteration
        return item
