from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from agent.llm.overheard import Overheard


class Letters:
    def __init__(self) -> None:
        self.left = ["a", "b", "c"]
        self.closed = 0

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop(0)


class Generating(Letters):
    """Closed as a generator is."""

    async def aclose(self) -> None:
        self.closed += 1


class Answering(Letters):
    """Closed as an answer of the library's is."""

    async def close(self) -> None:
        self.closed += 1


async def test_each_chunk_is_heard_before_it_is_read_and_reading_may_be_begun_anew() -> None:
    heard: list[str] = []
    stream = Overheard(Letters(), heard.append)

    async for first in stream:
        assert (first, heard) == ("a", ["a"])
        break

    assert [(chunk, heard[-1]) async for chunk in stream] == [("b", "b"), ("c", "c")]


@pytest.mark.parametrize("kind", [Generating, Answering])
async def test_closing_closes_the_stream(kind: type[Letters]) -> None:
    stream = kind()

    await Overheard(stream, lambda _: None).aclose()

    assert stream.closed == 1
