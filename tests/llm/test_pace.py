"""Many who ask one provider that limits them, in a time of their own."""

from __future__ import annotations

import asyncio
import heapq
import itertools

import pytest

from agent.core.errors import LlmDownError, LlmLimitError
from agent.llm.pace import PATIENCE_SECONDS, Pace, Share
from agent.llm.retry import TransientError
from tests.llm.asking import Heard


class Time:
    """Goes on to the next who sleeps when nobody has anything to do."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()

    async def sleep(self, seconds: float) -> None:
        done = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._count), done))
        await done

    async def run(self, *work: asyncio.Task[str]) -> list[str]:
        while not all(task.done() for task in work):
            for _ in range(50):
                await asyncio.sleep(0)
            if self._sleepers:
                self.now, _, done = heapq.heappop(self._sleepers)
                done.set_result(None)
        return [task.result() for task in work]


class Provider:
    """Answers after a second; refuses whoever comes while it has as many as it takes."""

    def __init__(self, time: Time, most: float, asked: float | None) -> None:
        self.time, self.most, self.asked = time, most, asked
        self.came: list[float] = []
        self.refused: list[float] = []
        self._here = 0

    async def ask(self) -> str:
        self.came.append(self.time.now)
        self._here += 1
        try:
            refused = self._here > self.most
            await self.time.sleep(0.5 if refused else 1)
            if refused:
                self.refused.append(self.time.now)
                error = LlmLimitError("too many")
                raise TransientError(error, "provider is busy", asked=self.asked, busy=True)
            return "fine"
        finally:
            self._here -= 1


def paced(time: Time) -> Pace:
    return Pace(clock=lambda: time.now, sleep=time.sleep, jitter=lambda: 0.0)


async def ask_all(provider: Provider, pace: Pace, count: int) -> list[Share]:
    shares, heard = [Share(pace) for _ in range(count)], Heard()
    work = [asyncio.create_task(share.run(provider.ask, heard)) for share in shares]
    async with asyncio.timeout(60):
        assert await provider.time.run(*work) == ["fine"] * count
    return shares


async def test_all_wait_as_long_as_was_asked_and_come_back_as_fewer_until_all_are_answered() -> (
    None
):
    time = Time()
    provider, pace = Provider(time, 2, asked=5.0), paced(time)

    shares = await ask_all(provider, pace, 8)

    assert provider.came[:8] == [0.0] * 8
    assert provider.refused[:6] == [0.5] * 6
    # The first wave is one storm: half of it comes back, and then half of that, which is answered.
    assert provider.came[8:12] == [5.5] * 4
    assert provider.came[12:14] == [11.0] * 2
    assert not [at for at in provider.came if 0.5 < at < 5.5 or 6.0 < at < 11.0]
    assert max(share.waited for share in shares) >= 10.0
    assert min(share.waited for share in shares) == 0.0


async def test_who_is_answered_comes_back_as_more() -> None:
    time = Time()
    provider, pace = Provider(time, 1, asked=1.0), paced(time)
    await ask_all(provider, pace, 8)
    slowest = pace.allowed
    provider.most, before = 1000, len(provider.came)

    await ask_all(provider, pace, 40)

    waves = [len(list(them)) for _, them in itertools.groupby(provider.came[before:])]
    assert len(provider.came) - before == 40
    assert waves[:-1] == sorted(waves[:-1])
    assert waves[-2] > waves[0]
    assert pace.allowed > slowest + 4


async def test_without_a_time_the_pauses_double_and_no_refusal_is_the_last_within_an_hour() -> None:
    time = Time()
    provider, pace, heard = Provider(time, 0, asked=None), paced(time), Heard()

    asked = asyncio.create_task(Share(pace).run(provider.ask, heard))
    with pytest.raises(LlmLimitError, match="too many"):
        await time.run(asked)

    assert provider.came[:5] == [0.0, 1.5, 4.0, 8.5, 17.0]
    assert PATIENCE_SECONDS - 61 < time.now <= PATIENCE_SECONDS + 61
    assert heard.notices[0] == "provider is busy; all who ask it wait for 1.0 s"


async def test_a_time_that_nobody_waits_for_keeps_nobody_and_other_failures_go_through() -> None:
    time = Time()
    provider, pace = Provider(time, 0, asked=2 * PATIENCE_SECONDS), paced(time)
    asked = asyncio.create_task(Share(pace).run(provider.ask, Heard()))
    with pytest.raises(LlmLimitError):
        await time.run(asked)
    provider.most = 9

    async def broken() -> str:
        raise TransientError(LlmDownError("gone"), "gone", quick=True)

    await ask_all(provider, pace, 1)
    assert provider.came[-1] == 0.5
    with pytest.raises(LlmDownError):
        await Share(pace).run(broken, Heard())
    assert pace.allowed > 100
