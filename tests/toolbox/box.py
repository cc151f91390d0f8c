"""A real toolbox that stays for many cases, each with files of its own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import threading
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from tests.sandbox_fixtures import bare_toolbox

Files = Mapping[str, bytes | str]


class Box:
    """Asks the toolbox that works in `folder`."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop, toolbox: Any) -> None:
        self.folder = folder
        self._loop = loop
        self._toolbox = toolbox

    def __call__(self, op: str, **arguments: Any) -> dict[str, Any]:
        call = self._toolbox.call(op, **arguments)
        return asyncio.run_coroutine_threadsafe(call, self._loop).result()

    def fill(self, files: Files) -> None:
        """Make `files` all there is."""
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(content))

    def files(self) -> dict[str, bytes]:
        """All there is, temporary files of a change included."""
        return {
            os.path.relpath(path, self.folder): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }

    def seen(self, *names: str) -> dict[str, str]:
        """What a model knows that has read these files."""
        paths = [self.folder / name for name in names]
        return {str(path): digest(path.read_bytes()) for path in paths}


@contextlib.contextmanager
def box(folder: Path) -> Generator[Box]:
    """A box that works in `folder`."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    manager = bare_toolbox(folder)
    try:
        enter = asyncio.run_coroutine_threadsafe(manager.__aenter__(), loop)
        yield Box(folder, loop, enter.result())
    finally:
        leave = manager.__aexit__(None, None, None)
        asyncio.run_coroutine_threadsafe(leave, loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def encoded(content: bytes | str) -> bytes:
    return content if isinstance(content, bytes) else content.encode()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
