"""What promises are written with."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import ParamSpec

from agent.core.errors import GloveboxError
from agent.sandbox.protocol import Backend, Sandbox, SandboxSpec
from agent.testing import programs

PATIENCE_SECONDS = 60.0
"""How long a chore may take on a slow machine."""
CHORES = 4
"""How many such times a whole promise may take: whoever waits for what never comes has failed."""

Promise = Callable[[Sandbox], Awaitable[None]]
BackendPromise = Callable[[Backend, SandboxSpec], Awaitable[None]]

Given = ParamSpec("Given")
_Kind = type[BaseException] | tuple[type[BaseException], ...]

SANDBOX: list[Promise] = []
BACKEND: list[BackendPromise] = []


def name(promise: object) -> str:
    """The promise in words, for test ids."""
    return getattr(promise, "__name__", str(promise))


def of_sandbox(promise: Promise) -> Promise:
    """Add a promise of every running sandbox."""
    SANDBOX.append(_ending(promise))
    return promise


def of_backend(promise: BackendPromise) -> BackendPromise:
    """Add a promise of every backend."""
    BACKEND.append(_ending(promise))
    return promise


def _ending(promise: Callable[Given, Awaitable[None]]) -> Callable[Given, Awaitable[None]]:
    @functools.wraps(promise)
    async def kept(*given: Given.args, **named: Given.kwargs) -> None:
        limit = asyncio.timeout(CHORES * PATIENCE_SECONDS)
        try:
            async with limit:
                await promise(*given, **named)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise AssertionError(f"waits for what does not come: {name(promise)}") from error

    return kept


async def done(sandbox: Sandbox, argv: Sequence[str]) -> str:
    """What a program prints that must succeed."""
    result = await sandbox.exec(argv, seconds=PATIENCE_SECONDS)
    assert result.exit_code == 0, result
    return result.output.decode()


async def running(sandbox: Sandbox, marker: str) -> bool:
    """Whether a program with `marker` as a whole argument runs inside."""
    return await _signalled(sandbox, 0, marker)


async def killed(sandbox: Sandbox, marker: str) -> bool:
    """Kill the programs that `running` finds; whether there were any."""
    return await _signalled(sandbox, 9, marker)


async def _signalled(sandbox: Sandbox, number: int, marker: str) -> bool:
    # In two parts, so that the program that looks does not find itself.
    result = await sandbox.exec(programs.signal_every(number, marker[:1], marker[1:]))
    assert result.exit_code in (0, 9), result
    return result.exit_code == 0


def same(got: bytes, expected: bytes) -> None:
    """They must be equal. Says where they part: pytest would take minutes to compare megabytes."""
    if got != expected:
        pairs = enumerate(zip(got, expected, strict=False))
        parted = next((n for n, (a, b) in pairs if a != b), min(len(got), len(expected)))
        here, there = got[parted : parted + 40], expected[parted : parted + 40]
        sizes = f"{len(got)} bytes, {len(expected)} expected"
        raise AssertionError(f"{sizes}; from byte {parted} on {here!r} and not {there!r}")


def raised(error: BaseException | None, kind: _Kind) -> None:
    """`error` must be of that kind."""
    assert isinstance(error, kind), f"{kind} expected, got {error!r}"


async def error_of(awaitable: Awaitable[object]) -> BaseException | None:
    """The error of ours that it raises, if it does."""
    try:
        await awaitable
    except GloveboxError as error:
        return error
    return None
