"""The proxy to the daemons, and what of their answers is HTTP."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
from typing import Any
from urllib.parse import quote

from aiohttp import BodyPartReader, WSMsgType, web

from tests.servers.daytona.box import Box, Down
from tests.servers.daytona.faults import current
from tests.servers.daytona.world import World

BOUNDARY = "DAYTONA-FILE-BOUNDARY"
GONE = "sandbox container not found"
STOPPED = "failed to resolve container IP: no IP address found. Is the Sandbox started?"
IN_TRANSITION = ("creating", "starting", "stopping", "restoring", "archiving", "destroying")


class ToolboxProxy:
    """The requests below `/toolbox/{box}`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._commands = itertools.count(1)

    def routes(self) -> list[web.RouteDef]:
        toolbox = "/toolbox/{box}"
        session = f"{toolbox}/process/session"
        return [
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

    def _running(self, request: web.Request) -> Box:
        """The box, as far as the proxy can reach it; raises the proxy's own answers otherwise."""
        box = next((b for b in self._world.living() if b.id == request.match_info["box"]), None)
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
        if not self._world.legacy:
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
        return self._world.refuse(404, "command not found")

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
        fault = current.get()
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
        fault = current.get()
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
