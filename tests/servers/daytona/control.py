"""The control plane: boxes by name, label and state, with the answers of the real one."""

from __future__ import annotations

import asyncio
import json
import secrets

from aiohttp import web

from tests.servers.daytona.box import Box
from tests.servers.daytona.world import World


class ControlPlane:
    """The requests below `/api`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        box = "/api/sandbox/{box}"
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
            web.post(f"{box}/network-settings", self._network),
            web.put(f"{box}/labels", self._labels),
            web.get(box + "/ports/{port}/signed-preview-url", self._preview),
            web.get("/api/snapshots/{name}", self._get_snapshot),
        ]

    def _box(self, request: web.Request) -> Box:
        name = request.match_info["box"]
        for box in self._world.living():
            if name in (box.id, box.name):
                return box
        raise web.HTTPNotFound(
            text=json.dumps({"statusCode": 404, "message": f"Sandbox {name} not found"}),
            content_type="application/json",
        )

    async def _create(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if asked.get("name") in [box.name for box in self._world.living()]:
            return self._world.refuse(409, f"Sandbox with name {asked['name']} already exists")
        if asked.get("snapshot") == "unknown":
            return self._world.refuse(400, "Snapshot unknown not found")
        if not self._world.knows_domains:
            asked.pop("domainAllowList", None)
        if not self._world.blocks:
            asked.pop("networkBlockAll", None)
        box = Box(
            self._world.root, asked, self._world.base, slow=self._world.slow, poor=self._world.poor
        )
        self._world.boxes[box.id] = box
        if asked.get("snapshot") == "broken":
            box.state, box.reason = "error", "no space left on runner"
        else:
            box.go(box.bring_up())
            if not self._world.slow:
                await asyncio.wait(list(box.work))  # the real one holds the request a while too
        return web.json_response(box.described())

    async def _list(self, request: web.Request) -> web.Response:
        wanted = json.loads(request.query.get("labels", "{}")).items()
        found = [b for b in self._world.living() if wanted <= b.labels.items()]
        start, limit = int(request.query.get("cursor", 0)), int(request.query.get("limit", 100))
        page = [b.described(listed=True) for b in found[start : start + limit]]
        more = start + limit if start + limit < len(found) else None
        return web.json_response({"items": page, "nextCursor": None if more is None else str(more)})

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._box(request).described())

    async def _delete(self, request: web.Request) -> web.Response:
        box = self._box(request)
        if box.state in ("creating", "starting", "stopping"):
            return self._world.refuse(409, "Sandbox state change in progress")
        if box.state != "destroying":
            box.state = "destroying"
            box.go(box.destroy())
        return web.json_response(box.described())

    async def _start_box(self, request: web.Request) -> web.Response:
        box = self._box(request)
        if self._world.refuses_start:
            return self._world.refuse(400, self._world.refuses_start)
        if box.state == "started":
            return web.json_response(box.described())
        if box.state not in ("stopped", "archived", "error"):
            return self._world.refuse(409, "Sandbox state change in progress")
        box.state, box.reason = "starting", ""
        box.go(box.bring_up())
        return web.json_response(box.described())

    async def _stop_box(self, request: web.Request) -> web.Response:
        box = self._box(request)
        if box.state != "started":
            return self._world.refuse(400, "Sandbox is not started")
        self._world.stop(box)
        return web.json_response(box.described())

    async def _fork(self, request: web.Request) -> web.Response:
        parent, asked = self._box(request), await request.json()
        if not self._world.forks:
            return self._world.refuse(422, "Forking is not supported for sandbox class container")
        own = {"name": asked.get("name"), "labels": dict(parent.labels)}
        box = Box(
            self._world.root,
            parent.asked | own,
            self._world.base,
            slow=self._world.slow,
            poor=self._world.poor,
        )
        self._world.boxes[box.id] = box
        await box.bring_up()
        await box.copy_disk(parent)
        return web.json_response(box.described())

    async def _snapshot(self, request: web.Request) -> web.Response:
        self._world.snapshots.add((await request.json())["name"])
        return web.json_response(self._box(request).described())

    async def _get_snapshot(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._world.snapshots:
            return self._world.refuse(404, f"Snapshot {name} not found")
        nulls = dict.fromkeys(("size", "entrypoint", "errorReason", "lastUsedAt"))
        numbers = {"cpu": 1, "gpu": 0, "mem": 1, "disk": 3}
        times = dict.fromkeys(("createdAt", "updatedAt"), "2026-01-01T00:00:00Z")
        own = {"id": name, "general": False, "name": name, "state": "active"}
        return web.json_response({**own, **nulls, **numbers, **times})

    async def _nothing(self, request: web.Request) -> web.Response:
        self._box(request)
        return web.Response(status=201)

    async def _network(self, request: web.Request) -> web.Response:
        box, asked = self._box(request), await request.json()
        if not self._world.knows_domains:
            asked.pop("domainAllowList", None)
        box.asked |= asked
        if asked.get("networkBlockAll"):
            box.asked |= {"networkAllowList": None, "domainAllowList": None}
        return web.json_response(box.described())

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
