"""Daytona on loopback: control plane, toolbox proxy, log streams, faults and a record of it all.

It runs in a thread with a loop of its own, so that the client under test has its own too. What a
test does to it goes through the plain methods, which wait until it is done.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import re
import secrets
import threading
from collections.abc import Coroutine, Generator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from aiohttp import BodyPartReader, WSMsgType, web

from tests.servers.daytona.box import Box, Down
from tests.servers.daytona.faults import Fault, Seen

KEY = "dtn_0123456789abcdef0123456789abcdef"
BOUNDARY = "DAYTONA-FILE-BOUNDARY"
GONE = "sandbox container not found"
STOPPED = (
    "bad request: failed to resolve container IP: no IP address found. Is the Sandbox started?"
)
IN_TRANSITION = ("creating", "starting", "stopping", "restoring", "archiving", "destroying")
_Result = TypeVar("_Result")
_fault: ContextVar[Fault | None] = ContextVar("fault", default=None)


class DaytonaServer:
    """See `daytona_server`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.boxes: dict[str, Box] = {}
        self.requests: list[Seen] = []
        self.faults: list[Fault] = []
        self.snapshots: set[str] = set()
        self.slow = 0.0
        self.legacy = False
        self.knows_domains = True
        self.blocks = True
        self.refuses_start = ""
        self.base = ""
        self._commands = itertools.count(1)
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

    def living(self) -> list[Box]:
        return [box for box in self.boxes.values() if box.state != "destroyed"]

    def stop_box(self) -> None:
        """Have the only box stop by itself, as after too long an idle time."""

        async def stop() -> None:
            self._stop(self.only_box())

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
        app.add_routes(self._routes())
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

    # Every request.

    @web.middleware
    async def _watch(self, request: web.Request, handler: Any) -> web.StreamResponse:
        path = request.path
        body = b"" if request.content_type.startswith("multipart/") else await request.read()
        fault = next((f for f in self.faults if f.fits(request.method, path)), None)
        if fault is not None:
            fault.times -= 1
        _fault.set(fault)
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
            self._stop(self.only_box())
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

    def refuse(
        self, status: int, message: str, code: str = "", headers: dict[str, str] | None = None
    ) -> web.Response:
        body: dict[str, Any] = {"statusCode": status, "message": message, "error": "Error"}
        if not self.legacy:
            body |= {"source": "DAYTONA_API", **({"code": code} if code else {})}
        return web.json_response(body, status=status, headers=headers)

    # The control plane.

    def _routes(self) -> list[web.RouteDef]:
        box, toolbox = "/api/sandbox/{box}", "/toolbox/{box}"
        session = f"{toolbox}/process/session"
        return [
            web.post("/api/sandbox", self._create),
            web.get("/api/sandbox", self._list),
            web.get(box, self._get),
            web.delete(box, self._delete),
            web.post(f"{box}/start", self._start_box),
            web.post(f"{box}/recover", self._start_box),
            web.post(f"{box}/stop", self._stop_box),
            web.post(f"{box}/fork", self._fork),
            web.post(f"{box}/snapshot", self._snapshot),
            web.post(f"{box}/last-activity", self._nothing),
            web.put(f"{box}/labels", self._labels),
            web.get(box + "/ports/{port}/signed-preview-url", self._preview),
            web.get("/api/snapshots/{name}", self._get_snapshot),
            web.get(f"{toolbox}/work-dir", self._where),
            web.get(f"{toolbox}/user-home-dir", self._where),
            web.post(f"{toolbox}/process/execute", self._execute),
            web.post(session, self._create_session),
            web.get(session, self._sessions),
            web.get(session + "/{session}", self._sessions),
            web.delete(session + "/{session}", self._delete_session),
            web.post(session + "/{session}/exec", self._send),
            web.get(session + "/{session}/command/{command}", self._command),
            web.get(session + "/{session}/command/{command}/logs", self._logs),
            web.post(session + "/{session}/command/{command}/input", self._input),
            web.post(f"{toolbox}/files/bulk-upload", self._upload),
            web.post(f"{toolbox}/files/bulk-download", self._download),
        ]

    def _box(self, request: web.Request) -> Box:
        name = request.match_info["box"]
        for box in self.living():
            if name in (box.id, box.name):
                return box
        raise web.HTTPNotFound(
            text=json.dumps({"statusCode": 404, "message": f"Sandbox {name} not found"}),
            content_type="application/json",
        )

    async def _create(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if asked.get("name") in [box.name for box in self.living()]:
            return self.refuse(409, f"Sandbox with name {asked['name']} already exists")
        if asked.get("snapshot") == "unknown":
            return self.refuse(400, "Snapshot unknown not found")
        if not self.knows_domains:
            asked.pop("domainAllowList", None)
        if not self.blocks:
            asked.pop("networkBlockAll", None)
        box = Box(self.root, asked, self.base, slow=self.slow)
        self.boxes[box.id] = box
        if asked.get("snapshot") == "broken":
            box.state, box.reason = "error", "no space left on runner"
        else:
            box.go(box.bring_up())
            if not self.slow:
                await asyncio.wait(list(box.work))  # the real one holds the request a while too
        return web.json_response(box.described())

    async def _list(self, request: web.Request) -> web.Response:
        wanted = json.loads(request.query.get("labels", "{}")).items()
        found = [b for b in self.living() if wanted <= b.labels.items()]
        start, limit = int(request.query.get("cursor", 0)), int(request.query.get("limit", 100))
        page = [b.described(listed=True) for b in found[start : start + limit]]
        more = start + limit if start + limit < len(found) else None
        return web.json_response({"items": page, "nextCursor": None if more is None else str(more)})

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._box(request).described())

    async def _delete(self, request: web.Request) -> web.Response:
        box = self._box(request)
        if box.state in ("creating", "starting", "stopping"):
            return self.refuse(409, "Sandbox state change in progress")
        if box.state != "destroying":
            box.state = "destroying"
            box.go(box.destroy())
        return web.json_response(box.described())

    async def _start_box(self, request: web.Request) -> web.Response:
        box = self._box(request)
        if self.refuses_start:
            return self.refuse(400, self.refuses_start)
        if box.state == "started":
            return web.json_response(box.described())
        if box.state not in ("stopped", "archived", "error"):
            return self.refuse(409, "Sandbox state change in progress")
        box.state, box.reason = "starting", ""
        box.go(box.bring_up())
        return web.json_response(box.described())

    async def _stop_box(self, request: web.Request) -> web.Response:
        box = self._box(request)
        if box.state != "started":
            return self.refuse(400, "Sandbox is not started")
        self._stop(box)
        return web.json_response(box.described())

    def _stop(self, box: Box) -> None:
        if box.state == "started":
            box.state = "stopping"
            box.go(box.take_down())

    async def _fork(self, request: web.Request) -> web.Response:
        self._box(request)
        return self.refuse(422, "Forking is not supported for sandbox class container")

    async def _snapshot(self, request: web.Request) -> web.Response:
        self.snapshots.add((await request.json())["name"])
        return web.json_response(self._box(request).described())

    async def _get_snapshot(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.snapshots:
            return self.refuse(404, f"Snapshot {name} not found")
        nulls = dict.fromkeys(("size", "entrypoint", "errorReason", "lastUsedAt"))
        numbers = {"cpu": 1, "gpu": 0, "mem": 1, "disk": 3}
        times = dict.fromkeys(("createdAt", "updatedAt"), "2026-01-01T00:00:00Z")
        own = {"id": name, "general": False, "name": name, "state": "active"}
        return web.json_response({**own, **nulls, **numbers, **times})

    async def _nothing(self, request: web.Request) -> web.Response:
        self._box(request)
        return web.Response(status=201)

    async def _labels(self, request: web.Request) -> web.Response:
        box = self._box(request)
        box.labels = (await request.json())["labels"]
        return web.json_response({"labels": box.labels})

    async def _preview(self, request: web.Request) -> web.Response:
        box, port = self._box(request), int(request.match_info["port"])
        token = secrets.token_hex(8)
        box.signed[token] = int(request.query["expiresInSeconds"])
        url = f"http://{port}-{token}.localhost"
        return web.json_response({"sandboxId": box.id, "port": port, "token": token, "url": url})

    # The toolbox, through the proxy.

    def _running(self, request: web.Request) -> Box:
        """The box, as far as the proxy can reach it; raises the proxy's own answers otherwise."""
        box = next((b for b in self.living() if b.id == request.match_info["box"]), None)
        body, kind = {"statusCode": 404, "message": GONE, "code": "NOT_FOUND"}, "application/json"
        if box is None or box.state in ("archived", "destroying"):
            raise web.HTTPNotFound(text=json.dumps(body), content_type=kind)
        if box.state in IN_TRANSITION:
            raise Down
        if box.state != "started":
            body = {"statusCode": 400, "message": STOPPED, "code": "BAD_REQUEST"}
            raise web.HTTPBadRequest(text=json.dumps(body), content_type=kind)
        return box

    def _daemon_says(self, done: dict[str, Any]) -> web.Response | None:
        if "status" not in done:
            return None
        body = {"statusCode": done["status"], "message": done["message"]}
        if not self.legacy:
            body |= {"source": "DAYTONA_DAEMON", "code": done.get("code", "")}
        return web.json_response(body, status=done["status"])

    async def _where(self, request: web.Request) -> web.Response:
        done = await self._running(request).ask("where")
        return web.json_response({"dir": done["work" if "work" in request.path else "home"]})

    async def _execute(self, request: web.Request) -> web.Response:
        done = await self._running(request).ask("execute", **await request.json())
        text = _decoded(done.get("out", ""))
        return self._daemon_says(done) or web.json_response(
            {"result": text, "exitCode": done["exit"]}
        )

    async def _create_session(self, request: web.Request) -> web.Response:
        name = (await request.json())["sessionId"]
        done = await self._running(request).ask("session.create", session=name)
        return self._daemon_says(done) or web.Response(status=201)

    async def _sessions(self, request: web.Request) -> web.Response:
        which = {k: v for k, v in request.match_info.items() if k == "session"}
        done = await self._running(request).ask("session.list", **which)
        if refusal := self._daemon_says(done):
            return refusal
        return web.json_response(done if which else done["sessions"])

    async def _delete_session(self, request: web.Request) -> web.Response:
        done = await self._running(request).ask("session.delete", **_named(request))
        return self._daemon_says(done) or web.Response(status=204)

    async def _send(self, request: web.Request) -> web.Response:
        asked = await request.json()
        later = bool(asked.get("runAsync") or asked.get("async"))
        done = await self._running(request).ask(
            "session.exec",
            **_named(request),
            command=asked["command"],
            number=next(self._commands),
            **{"async": later},
        )
        if refusal := self._daemon_says(done):
            return refusal
        if later:
            return web.json_response({"cmdId": done["cmdId"]}, status=202)
        return web.json_response(
            {"cmdId": done["cmdId"], "exitCode": done["exit"], **_apart(done["log"])}
        )

    async def _command(self, request: web.Request) -> web.Response:
        named = _named(request)
        done = await self._running(request).ask("session.list", session=named["session"])
        if refusal := self._daemon_says(done):
            return refusal
        for command in done["commands"]:
            if command["id"] == named["command"]:
                return web.json_response(command)
        return self.refuse(404, "command not found")

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        box, named = self._running(request), _named(request)
        done = await box.ask("session.logs", **named, offset=0)
        if refusal := self._daemon_says(done):
            return refusal
        if request.query.get("follow") != "true":
            return web.json_response(_apart(done["log"]))
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        sending = asyncio.create_task(self._stream(request, socket, box, named))
        try:
            async for message in socket:
                if message.type in (WSMsgType.CLOSE, WSMsgType.ERROR):
                    break
        finally:
            sending.cancel()
            await asyncio.wait([sending])
        return socket

    async def _stream(
        self, request: web.Request, socket: web.WebSocketResponse, box: Box, named: dict[str, str]
    ) -> None:
        fault = _fault.get()
        offset = 0
        try:
            while True:
                done = await box.ask("session.logs", **named, offset=offset, wait=True)
                data = _bytes(done["log"]) if "log" in done else b""
                offset += len(data)
                if data:
                    # Odd sizes: markers and characters get split over frames.
                    for at in range(0, len(data), 7001):
                        await socket.send_bytes(data[at : at + 7001])
                    if fault is not None and fault.how == "hang up":
                        await socket.close(code=1011, message=b"cut by the test")
                        return
                if "status" in done or (done["ended"] and not data):
                    await asyncio.sleep(0.1)
                    await socket.close(code=1000)
                    return
        except (Down, ConnectionError):
            with contextlib.suppress(ConnectionError):
                await socket.close(code=1011, message=b"daemon went away")

    async def _input(self, request: web.Request) -> web.Response:
        data = (await request.json())["data"]
        done = await self._running(request).ask("session.input", **_named(request), data=data)
        return self._daemon_says(done) or web.Response(status=204)

    async def _upload(self, request: web.Request) -> web.Response:
        box = self._running(request)
        paths: dict[str, str] = {}
        early: dict[str, bytes] = {}
        written: list[str] = []
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader) and part.name is not None
            index, _, kind = part.name.partition(".")
            if kind == "path":
                paths[index] = (await part.read()).decode()
                continue
            assert index in paths, early
            more = False
            while piece := await part.read_chunk(1 << 20):
                done = await box.upload(paths[index], bytes(piece), more=more)
                if "status" in done:
                    return web.json_response(
                        {"errors": [done["message"]], "files": written}, status=400
                    )
                more = True
            if not more:
                await box.upload(paths[index], b"", more=False)
            written.append(paths[index])
        return web.json_response({"files": written, "errors": []})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        box, paths = self._running(request), (await request.json())["paths"]
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        answer = web.StreamResponse(headers={"Content-Type": kind})
        await answer.prepare(request)
        for path in paths:
            await self._part(request, answer, box, path)
        await answer.write(f"--{BOUNDARY}--\r\n".encode())
        return answer

    async def _part(
        self, request: web.Request, answer: web.StreamResponse, box: Box, path: str
    ) -> None:
        fault = _fault.get()
        done = await box.ask("download", path=path, offset=0)
        name = "error" if "status" in done else "file"
        escaped = path.replace("\\", "\\\\").replace('"', '\\"')
        disposition = f'Content-Disposition: form-data; name="{name}"; filename="{escaped}"'
        if not path.isascii():
            disposition += f"; filename*=utf-8''{quote(path, safe='')}"
        head = f"--{BOUNDARY}\r\n{disposition}\r\n"
        if name == "error":
            body = {"statusCode": done["status"], "message": done["message"]}
            text = f"{head}Content-Type: application/json\r\n\r\n{json.dumps(body)}\r\n"
            await answer.write(text.encode())
            return
        await answer.write(f"{head}Content-Type: application/octet-stream\r\n\r\n".encode())
        offset = 0
        while data := _bytes(done["data"]):
            await answer.write(data)
            offset += len(data)
            if fault is not None and fault.how == "truncate":
                assert request.transport is not None
                await asyncio.sleep(0.05)
                request.transport.abort()
                return
            done = await box.ask("download", path=path, offset=offset)
        await answer.write(b"\r\n")


def _named(request: web.Request) -> dict[str, str]:
    return {k: v for k, v in request.match_info.items() if k in ("session", "command")}


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)


def _decoded(text: str) -> str:
    return _bytes(text).decode("utf-8", "replace")


def _apart(log: str) -> dict[str, str]:
    """A log as the three texts of the wire; `output` keeps the raw markers."""
    raw = _bytes(log)
    streams = {b"\1\1\1": b"", b"\2\2\2": b""}
    for line in raw.splitlines(keepends=True):
        streams[line[:3]] = streams.get(line[:3], b"") + line[3:]
    out, err = streams[b"\1\1\1"], streams[b"\2\2\2"]
    return {
        "output": raw.decode("utf-8", "replace"),
        "stdout": out.decode("utf-8", "replace"),
        "stderr": err.decode("utf-8", "replace"),
    }


@contextlib.contextmanager
def daytona_server(root: Path) -> Generator[DaytonaServer]:
    """A server whose boxes' files lie under `root`; at the end nothing of them is left."""
    server = DaytonaServer(root)
    server.start()
    try:
        yield server
    finally:
        server.end()
