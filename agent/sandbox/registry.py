"""Which backends there are. Adding one is a file beside this one and a line here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.core.errors import UserError
from agent.sandbox.protocol import Backend

_CLASSES: Mapping[str, str] = {
    "local": "agent.sandbox.local:LocalBackend",
    "docker": "agent.sandbox.docker.backend:DockerBackend",
    "daytona": "agent.sandbox.daytona.backend:DaytonaBackend",
}

BACKENDS = tuple(_CLASSES)


def open_backend(name: str, root: Path) -> Backend:
    """The backend `name`, with the files of its sandboxes under `root`. Imports nothing else."""
    if name not in _CLASSES:
        raise UserError(
            f"there is no sandbox backend `{name}`", f"choose one of: {', '.join(BACKENDS)}"
        )
    module, _, attribute = _CLASSES[name].partition(":")
    backend: Any = getattr(importlib.import_module(module), attribute)
    return backend(root)
