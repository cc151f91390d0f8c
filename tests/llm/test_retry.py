from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import LlmDownError, LlmLimitError
from agent.llm.retry import Retry, TransientError
from tests.llm.asking import Heard, Naps, without_waiting


class _Attempts:
    """Fails with the given failures in order, then succeeds."""

    def __init__(self, *failures: TransientError) -> None:
        self._failures = list(failures)
        self.count = 0

    async def __call__(self) -> str:
        self.count += 1
        if self._failures:
            raise self._failures.pop(0) from OSError("below")
        return "fine"


def _busy(asked: float | None = None, *, quick: bool = False) -> TransientError:
    return TransientError(LlmLimitError("busy"), "provider is busy", asked=asked, quick=quick)


async def test_pauses_double_and_each_is_announced_with_its_number() -> None:
    naps, heard = Naps(), Heard()

    answer = await without_waiting(naps).run(_Attempts(_busy(), _busy(), _busy()), heard)

    assert answer == "fine"
    assert naps.seconds == [1, 2, 4]
    assert heard.notices == [
        "provider is busy; trying again in 1 s (2 of 5)",
        "provider is busy; trying again in 2 s (3 of 5)",
        "provider is busy; trying again in 4 s (4 of 5)",
    ]


async def test_the_last_failure_is_raised_with_its_cause() -> None:
    attempts = _Attempts(*[_busy() for _ in range(9)])

    with pytest.raises(LlmLimitError) as caught:
        await without_waiting().run(attempts, Heard())

    assert attempts.count == 5
    assert isinstance(caught.value.__cause__, OSError)


async def test_nobody_listening_is_tried_three_times_in_a_second() -> None:
    naps, heard = Naps(), Heard()

    with pytest.raises(LlmLimitError):
        await without_waiting(naps).run(_Attempts(*[_busy(quick=True)] * 3), heard)

    assert naps.seconds == [0.3, 0.6]
    assert heard.notices[0].endswith("trying again in 0.3 s (2 of 3)")


@pytest.mark.parametrize(("asked", "pause"), [(0.0, 1.0), (0.2, 1.0), (90.0, 90.0)])
async def test_the_asked_pause_is_kept_but_never_shortens_ours(asked: float, pause: float) -> None:
    naps = Naps()

    await without_waiting(naps).run(_Attempts(_busy(asked)), Heard())

    assert naps.seconds == [pause]


async def test_a_pause_beyond_the_cap_is_not_begun() -> None:
    naps, attempts = Naps(), _Attempts(_busy(121.0))

    with pytest.raises(LlmLimitError):
        await without_waiting(naps).run(attempts, Heard())

    assert (naps.seconds, attempts.count) == ([], 1)


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 40))
def test_chance_adds_at_most_a_quarter_and_the_cap_holds(chance: float, attempts: int) -> None:
    naps = Naps()
    policy = Retry(attempts=attempts + 1, sleep=naps, jitter=lambda: chance)

    asyncio.run(policy.run(_Attempts(*[_busy() for _ in range(attempts)]), Heard()))

    plain = [min(policy.cap_seconds, 2.0**n) for n in range(attempts)]
    assert all(p <= s <= p * 1.25 for p, s in zip(plain, naps.seconds, strict=True))


async def test_a_cancel_during_the_pause_goes_through() -> None:
    asleep = asyncio.Event()

    async def sleep(_: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    policy = replace(without_waiting(), sleep=sleep)
    task = asyncio.create_task(policy.run(_Attempts(_busy()), Heard()))
    await asleep.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_failure_that_is_final_is_not_touched() -> None:
    async def fail() -> str:
        raise LlmDownError("gone")

    naps = Naps()
    with pytest.raises(LlmDownError, match="gone"):
        await without_waiting(naps).run(fail, Heard())

    assert naps.seconds == []
