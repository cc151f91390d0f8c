"""One box of the server: what the control plane knows of it, and the local sandbox it really is."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import sys
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from agent.core.errors import GloveboxError
from agent.sandbox.local import LocalBackend, LocalSandbox
from agent.sandbox.protocol import Program, SandboxSpec

UPLOAD_BYTES = 200_000


POOR = "/var/tmp/.poor"
"""Where a box has the programs of an image without a Python that the toolbox could use."""
# The daemon itself is in Python: what it runs finds these programs and no other.
MAKE_POOR = """
kind=$1; mkdir -p "$2" && cd "$2" || exit 1
if [ "$kind" = busybox ]; then
  for name in $(/usr/bin/busybox --list); do ln -sf /usr/bin/busybox "$name"; done
  ln -sf /usr/bin/git git
else
  for file in /usr/bin/* /bin/* /usr/local/bin/*; do
    case $file in */python*|*/pypy*|*/pip*|*/busybox) ;; *) ln -sf "$file" . ;; esac
  done
fi
if [ "$kind" = bare ]; then rm -f base64 setsid; fi
if [ "$kind" = old ]; then
  printf '#!/bin/sh\ncase $* in *exit*) exit 1 ;; esac\necho python 3.6\n' >python3
  chmod +x python3
fi
"""


class Down(Exception):
    """The daemon cannot be asked: the box stopped."""


class Daemon:
    """The daemon inside a running box, asked over its own stdin and stdout."""

    def __init__(self, sandbox: LocalSandbox, name: str, path: str = "") -> None:
        self._sandbox = sandbox
        self._name = name
        self._path = path
        self._program: Program | None = None
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._sending = asyncio.Lock()
        self._up = asyncio.Event()
        self._running = asyncio.create_task(self._run())

    async def up(self) -> None:
        await asyncio.wait_for(self._up.wait(), 60)

    async def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        if self._program is None or self._running.done():
            raise Down
        number = next(self._ids)
        answer = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        line = json.dumps({"id": number, "op": op, **arguments}).encode() + b"\n"
        try:
            async with self._sending:
                await self._program.send(line)
        except GloveboxError as error:
            raise Down from error
        return await answer

    async def close(self) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])

    async def _run(self) -> None:
        source = resources.files(__package__).joinpath("daemon.py").read_text()
        argv = ["python3", "-S", "-c", source, self._name, self._path]
        rest = bytearray()
        try:
            with contextlib.suppress(GloveboxError):
                async with self._sandbox.interact(argv) as program:
                    self._program = program
                    async for stream, piece in program.output():
                        if stream == "stderr":
                            sys.stderr.write(f"daemon: {piece.decode('utf-8', 'replace')}")
                            continue
                        *lines, last = (bytes(rest) + piece).split(b"\n")
                        rest[:] = last
                        for line in lines:
                            self._take(json.loads(line))
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(Down())

    def _take(self, answer: dict[str, Any]) -> None:
        if answer["id"] == 0:
            self._up.set()
            return
        waiting = self._waiting.pop(answer["id"])
        if not waiting.done():
            waiting.set_result(answer)


def now() -> str:
    return datetime.now(UTC).isoformat()


@dataclass
class Box:
    """A box with its state machine; `slow` is how long each transition takes at least."""

    root: Path
    asked: dict[str, Any]
    base: str
    slow: float = 0.0
    poor: str = ""  # "linux", "busybox", "bare" or "old": no Python, or too old a one
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: str = "creating"
    reason: str = ""
    recoverable: bool = False
    signed: dict[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        self.name = self.asked.get("name") or self.id
        self.labels: dict[str, str] = dict(self.asked["labels"])
        self.backend = LocalBackend(self.root)
        self.spec = SandboxSpec(session="d" + uuid.uuid4().hex[:12])
        self.sandbox: LocalSandbox | None = None
        self.daemon: Daemon | None = None
        self.turn = asyncio.Lock()
        self.changed = asyncio.Condition()
        self.work: set[asyncio.Task[None]] = set()

    def go(self, work: Any) -> None:
        """Do a transition in the background."""
        task = asyncio.create_task(work)
        self.work.add(task)
        task.add_done_callback(self.work.discard)

    async def bring_up(self) -> None:
        async with self.turn:
            await asyncio.sleep(self.slow)
            if self.sandbox is None:
                self.sandbox = await self.backend.create(self.spec)
            else:
                self.sandbox = await self.backend.attach(self.sandbox.ref, self.spec)
            if self.poor:
                argv = ["sh", "-c", MAKE_POOR, "sh", self.poor, POOR]
                made = await self.sandbox.exec(argv)
                assert made.exit_code == 0, made.output
            self.daemon = Daemon(self.sandbox, self.id, POOR if self.poor else "")
            await self.daemon.up()
            if self.state in ("creating", "starting"):
                self.state = "started"

    async def copy_disk(self, parent: Box) -> None:
        """Have what the other box has on its disk, but not what runs there."""
        assert self.sandbox is not None
        assert parent.sandbox is not None
        places = ("workspace", "home", "tmp")
        pack = f"cd / && tar -cf /tmp/.disk --exclude=./tmp/.disk {' '.join(places)}"
        done = await parent.sandbox.exec(["sh", "-c", pack])
        assert done.exit_code == 0, done.output
        await self.sandbox.put("/tmp/.disk", await parent.sandbox.get("/tmp/.disk", limit=10**9))
        unpack = "cd / && tar -xf /tmp/.disk --no-overwrite-dir; rm /tmp/.disk"
        done = await self.sandbox.exec(["sh", "-c", unpack])
        assert done.exit_code == 0, done.output

    async def take_down(self) -> None:
        async with self.turn:
            await self._close()
            await asyncio.sleep(self.slow)
            if self.state == "stopping":
                self.state = "stopped"

    async def destroy(self) -> None:
        async with self.turn:
            await self._close()
            await asyncio.sleep(self.slow)
            if self.sandbox is not None:
                await self.backend.destroy(self.sandbox.ref)
            self.state = "destroyed"

    async def _close(self) -> None:
        if self.sandbox is not None:
            await self.sandbox.close()
        if self.daemon is not None:
            await self.daemon.close()
            self.daemon = None

    async def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        if self.daemon is None:
            raise Down
        return await self.daemon.ask(op, **arguments)

    async def upload(self, path: str, data: bytes, *, more: bool) -> dict[str, Any]:
        done: dict[str, Any] = {}
        for at in range(0, max(len(data), 1), UPLOAD_BYTES):
            piece = base64.b64encode(data[at : at + UPLOAD_BYTES]).decode()
            done = await self.ask("upload", path=path, data=piece, more=more or at > 0)
            if "status" in done:
                break
        return done

    def described(self, *, listed: bool = False) -> dict[str, Any]:
        """The object on the wire, with every key that the client insists on."""
        asked = self.asked
        value: dict[str, Any] = {
            "id": self.id,
            "organizationId": "11111111-2222-3333-4444-555555555555",
            "name": self.name,
            "user": asked.get("user") or "daytona",
            "labels": self.labels,
            "public": bool(asked.get("public")),
            "networkBlockAll": bool(asked.get("networkBlockAll")),
            "target": asked.get("target") or "us",
            "cpu": asked.get("cpu") or 1,
            "gpu": 0,
            "memory": asked.get("memory") or 1,
            "disk": asked.get("disk") or 3,
            "toolboxProxyUrl": f"{self.base}/toolbox",
            "state": self.state,
            "desiredState": "destroyed" if self.state == "destroying" else "started",
            "snapshot": asked.get("snapshot") or "daytona-small",
            "autoStopInterval": asked.get("autoStopInterval", 15),
            "autoArchiveInterval": asked.get("autoArchiveInterval", 10080),
            "autoDeleteInterval": asked.get("autoDeleteInterval", -1),
            "sandboxClass": "container",
            "createdAt": now(),
            "updatedAt": now(),
        }
        for key in ("networkAllowList", "domainAllowList"):
            if asked.get(key) is not None:
                value[key] = asked[key]
        if self.reason:
            value |= {"errorReason": self.reason, "recoverable": self.recoverable}
        if not listed:
            value |= {"env": asked.get("env") or {}, "kvm": False}
        return value
