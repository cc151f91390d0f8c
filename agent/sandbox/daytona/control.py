"""The control plane with patience: nothing made twice, nothing left over, every wait bounded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import TypeVar

from agent.core.errors import SandboxError, SandboxUnavailable
from agent.host.launch import settled
from agent.sandbox.daytona.plan import MADE_BY, MAKING, SNAPSHOT
from agent.sandbox.daytona.sdk import Box, Plan, Service
from agent.sandbox.daytona.trouble import Kind, Trouble

CREATE_SECONDS = 300.0
DELETE_SECONDS = 60.0
SNAPSHOT_SECONDS = 600.0
TRIES = 6
LOOKS = 4
WAIT_MAX_SECONDS = 60.0
_BROKEN = ("error", "build_failed")
_Result = TypeVar("_Result")


class Control:
    """Makes, finds and deletes boxes."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def get(self, name: str) -> Box:
        """The box with this id or name. Raises `Trouble` of the kind ABSENT."""
        return await _patiently(lambda: self._service.get(name))

    async def find(self, labels: Mapping[str, str]) -> list[Box]:
        """Our boxes that carry these labels. The list lags behind; what is got by id is true."""
        found: list[Box] = []
        for identity in await _patiently(lambda: self._service.find({**MADE_BY, **labels})):
            with contextlib.suppress(_Absent), absent(_Absent("it went meanwhile")):
                box = await self.get(identity)
                wanted = {**MADE_BY, **labels}.items()
                if box.state != "destroyed" and wanted <= box.labels.items():
                    found.append(box)
        return found

    # Making.

    async def make(self, plan: Plan) -> Box:
        """Make a box and wait until it runs. Left early or failed, it leaves none behind."""
        making = asyncio.ensure_future(self._make(plan))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.cancel()
            await settled(making)
            await settled(asyncio.ensure_future(self._abandon(plan)))
            raise
        except (SandboxError, Trouble):
            await settled(asyncio.ensure_future(self._abandon(plan)))
            raise

    async def _make(self, plan: Plan) -> Box:
        for attempt in range(TRIES):
            try:
                return await self._service.create(plan, CREATE_SECONDS)
            except Trouble as trouble:
                if trouble.box:
                    raise SandboxUnavailable(
                        "Daytona did not have the sandbox running within"
                        f" {CREATE_SECONDS:g} seconds",
                        "try again: a new image is slow only the first time",
                    ) from trouble
                if trouble.kind is Kind.LIMIT:
                    await _pause(attempt, trouble)
                    continue
                if trouble.kind not in (Kind.UNSURE, Kind.CONFLICT):
                    raise SandboxUnavailable(
                        f"Daytona refused to make the sandbox: {trouble.message}",
                        "check the account's limits, the image and the region",
                    ) from trouble
                # The answer may have got lost on the way: the name tells whether a box was made.
                if (box := await self._made(plan, trouble)) is not None:
                    return box
                await _pause(attempt, trouble)
        raise SandboxUnavailable("Daytona does not make sandboxes now", "try again in a minute")

    async def _made(self, plan: Plan, trouble: Trouble) -> Box | None:
        """The box of this very plan, running; None when there is none."""
        try:
            box = await self.get(plan.name)
        except Trouble as missing:
            if missing.kind is Kind.ABSENT:
                return None
            raise
        if box.labels.get(MAKING) != plan.labels[MAKING]:
            raise SandboxError(
                f"there is already a Daytona sandbox named `{plan.name}`",
                "delete it in Daytona's dashboard if it is not in use",
            ) from trouble
        if box.state in _BROKEN:
            raise SandboxUnavailable(
                f"the Daytona sandbox could not be made: {box.problem or trouble.message}",
                "check the image, or use a snapshot",
            ) from trouble
        await box.wait_started(CREATE_SECONDS)
        return box

    async def _abandon(self, plan: Plan) -> None:
        """Delete what this plan made, also when the service is only just making it."""
        for look in range(LOOKS):
            with contextlib.suppress(SandboxError):
                box = await self.get(plan.name)
                if box.labels.get(MAKING) == plan.labels[MAKING]:
                    await self.delete(box.id)
                return
            await asyncio.sleep(0.25 * (look + 1))

    # Freeing.

    async def delete(self, identity: str) -> None:
        """Delete a box and wait until it is gone. One that is not there is no error."""
        for attempt in range(TRIES):
            try:
                box = await self._service.get(identity)
                if box.state != "destroyed":
                    await box.delete(DELETE_SECONDS)
                return
            except Trouble as trouble:
                if trouble.kind is Kind.ABSENT:
                    return
                if attempt + 1 >= TRIES or trouble.kind in (Kind.DENIED, Kind.REFUSED):
                    raise SandboxError(
                        f"the Daytona sandbox {identity} could not be deleted: {trouble.message}",
                        "delete it in Daytona's dashboard; left alone it deletes itself in the end",
                    ) from trouble
                await _pause(attempt, trouble)

    async def snapshot(self, identity: str, name: str) -> str:
        """Keep a box's disk under `name`; the image that starts from it."""
        box = await self.get(identity)
        try:
            await box.snapshot(name, SNAPSHOT_SECONDS)
        except Trouble as trouble:
            raise SandboxError(f"no snapshot could be made: {trouble.message}") from trouble
        # It can fail without a word.
        if not await _patiently(lambda: self._service.has_snapshot(name)):
            raise SandboxError(f"Daytona made no snapshot `{name}`, and gave no reason")
        return f"{SNAPSHOT}{name}"


class _Absent(SandboxError):
    """There is no such box."""


@contextlib.contextmanager
def absent(instead: SandboxError) -> Generator[None]:
    """Raise `instead` when what is asked for does not exist."""
    try:
        yield
    except Trouble as trouble:
        if trouble.kind is Kind.ABSENT:
            raise instead from trouble
        raise


async def _patiently(request: Callable[[], Awaitable[_Result]]) -> _Result:
    """The result of a request that changes nothing, sent again while that may help."""
    for attempt in range(TRIES):
        try:
            return await request()
        except Trouble as trouble:
            if attempt + 1 >= TRIES or trouble.kind not in (Kind.LIMIT, Kind.UNSURE):
                raise
            await _pause(attempt, trouble)
    raise AssertionError


async def _pause(attempt: int, trouble: Trouble) -> None:
    await asyncio.sleep(min(trouble.wait or 0.2 * 2**attempt, WAIT_MAX_SECONDS))
