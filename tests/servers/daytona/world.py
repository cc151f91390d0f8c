"""What the parts of the server share: the boxes there are, and how a test wants it to behave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiohttp import web

from tests.servers.daytona.box import Box


class World:
    """All boxes, and the switches: `legacy` error bodies, slow transitions, settings not obeyed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.boxes: dict[str, Box] = {}
        self.snapshots: set[str] = set()
        self.slow = 0.0
        self.legacy = False
        self.knows_domains = True
        self.blocks = True
        self.refuses_start = ""
        self.poor = ""  # boxes without Python; see `box.POOR`
        self.forks = False  # boxes are of a class that can be forked
        self.base = ""

    def living(self) -> list[Box]:
        return [box for box in self.boxes.values() if box.state != "destroyed"]

    def stop(self, box: Box) -> None:
        """Begin to stop a box, by itself or on request."""
        if box.state == "started":
            box.state = "stopping"
            box.go(box.take_down())

    def refuse(
        self, status: int, message: str, code: str = "", headers: dict[str, str] | None = None
    ) -> web.Response:
        body: dict[str, Any] = {"statusCode": status, "message": message, "error": "Error"}
        if not self.legacy:
            body |= {"source": "DAYTONA_API", **({"code": code} if code else {})}
        return web.json_response(body, status=status, headers=headers)
