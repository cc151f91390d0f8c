"""Daytona on loopback: control plane, toolbox proxy, log streams, faults and a record of it all.

It runs in a thread with a loop of its own, so that the client under test has its own too. What a
test does to it goes through the plain methods, which wait until it is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Coroutine, Generator
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from tests.servers.daytona.box import Box, Down
from tests.servers.daytona.control import ControlPlane
from tests.servers.daytona.faults import Fault, Seen, current
from tests.servers.daytona.toolbox import ToolboxProxy
from tests.servers.daytona.world import World

KEY = "dtn_0123456789abcdef0123456789abcdef"
_Result = TypeVar("_Result")


class DaytonaServer(World):
    """See `daytona_server`."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.requests: list[Seen] = []
        self.faults: list[Fault] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        """What goes into DAYTONA_API_URL."""
        return f"{self.base}/api"

    # For tests.

    def do(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run `work` in the server's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    def fault(self, method: str, path: str, how: Any, **more: Any) -> Fault:
        """Have the next requests that fit go wrong."""
        made = Fault(method, path, how, **more)
        self.faults.append(made)
        return made

    def sent(self, method: str, path: str) -> list[Seen]:
        """The requests so far whose method and path fit."""
        return [s for s in self.requests if s.method == method and re.search(path, s.path)]

    def only_box(self) -> Box:
        (box,) = self.living()
        return box

    def stop_box(self) -> None:
        """Have the only box stop by itself, as after too long an idle time."""

        async def stop() -> None:
            self.stop(self.only_box())

        self.do(stop())

    def vanish(self) -> None:
        """Have the only box go without a trace."""
        box = self.only_box()
        box.state = "destroying"
        self.do(box.destroy())

    # Life.

    def start(self) -> None:
        self._thread.start()
        self.do(self._start())

    async def _start(self) -> None:
        app = web.Application(client_max_size=2**31, middlewares=[self._watch])
        app.add_routes([*ControlPlane(self).routes(), *ToolboxProxy(self).routes()])
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # pyright: ignore
        self.base = f"http://127.0.0.1:{port}"

    def end(self) -> None:
        self.do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        await self._runner.cleanup()
        for box in self.boxes.values():
            for task in list(box.work):
                await asyncio.wait([task])
            if box.state != "destroyed":
                await box.destroy()
        # Whoever closed a connection has not been told the end of its handler.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    # Every request.

    @web.middleware
    async def _watch(self, request: web.Request, handler: Any) -> web.StreamResponse:
        path = request.path
        body = b"" if request.content_type.startswith("multipart/") else await request.read()
        fault = next((f for f in self.faults if f.fits(request.method, path)), None)
        if fault is not None:
            fault.times -= 1
        current.set(fault)
        status = 0
        try:
            answer = await self._meet(request, handler, fault)
            status = answer.status
            return answer
        except web.HTTPException as refusal:
            status = refusal.status
            raise
        finally:
            self.requests.append(Seen(request.method, path, request.query_string, body, status))

    async def _meet(
        self, request: web.Request, handler: Any, fault: Fault | None
    ) -> web.StreamResponse:
        if "/socket.io/" in request.path:
            return web.Response(status=404)  # no events: the client goes on asking
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return self.refuse(401, "Invalid credentials")
        if fault is None or fault.how in ("hang up", "truncate"):
            return await self._handle(request, handler)
        if fault.how == "slow":
            await asyncio.sleep(fault.seconds)
            return await self._handle(request, handler)
        if fault.how == "stop":
            self.stop(self.only_box())
            return web.Response(status=502)
        if fault.how in ("drop after", "status after"):
            await self._handle(request, handler)
            await asyncio.sleep(fault.seconds)
        if fault.how in ("drop before", "drop after"):
            assert request.transport is not None
            request.transport.abort()
        if fault.body is not None:
            return web.Response(status=fault.status, text=fault.body, headers=fault.headers)
        if fault.status == 502:
            return web.Response(status=502)
        return self.refuse(fault.status, "Injected by the test", headers=fault.headers)

    async def _handle(self, request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            return await handler(request)
        except Down:
            return web.Response(status=502)


@contextlib.contextmanager
def daytona_server(root: Path) -> Generator[DaytonaServer]:
    """A server whose boxes' files lie under `root`; at the end nothing of them is left."""
    server = DaytonaServer(root)
    server.start()
    try:
        yield server
    finally:
        server.end()
