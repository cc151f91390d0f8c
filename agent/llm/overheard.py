"""A stream's chunks as the provider sent them, for somebody who listens while another reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Self


class Overheard:
    """An async iterable that shows each chunk to `hear` before its reader has it.

    For the reader it is `stream` itself.
    """

    def __init__(self, stream: Any, hear: Callable[[Any], None]) -> None:
        self._stream = stream
        self._hear = hear
        self._chunks: AsyncIterator[Any] = aiter(stream)

    def __aiter__(self) -> Self:
        self._chunks = aiter(self._stream)
        return self

    async def __anext__(self) -> Any:
        chunk = await anext(self._chunks)
        self._hear(chunk)
        return chunk

    async def aclose(self) -> None:
        """Close the stream, of which not all need have been read."""
        stream = self._stream
        await (stream.aclose if hasattr(stream, "aclose") else stream.close)()
