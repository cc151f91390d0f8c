"""What a repository says to those who work on it: files of some names, in folders in use."""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, List, Sequence

from agent.toolbox.files import paths, transfer
from agent.toolbox.files.paths import Answer


def notes(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """The files with one of `names` at the root and in the folders that lead to `files`.

    Outermost first, without those `known` and their doubles, `bytes` of text in all. A link is
    followed as long as it stays in the work directory.
    """
    workdir = os.path.realpath(limits["workdir"])
    room = arguments["bytes"]
    known: List[str] = arguments["known"]
    seen = {os.path.realpath(os.path.join(workdir, path)) for path in known}
    found: List[Dict[str, Any]] = []
    for folder in _folders(arguments["files"], workdir):
        for name in arguments["names"]:
            path = os.path.join(folder, name)
            target = os.path.realpath(path)
            if target in seen or not _within(target, workdir) or room <= 0:
                continue
            seen.add(target)
            data = _read(target, room)
            text = data[:room].decode("utf-8", "replace")
            if not text.strip() or "\0" in text:
                continue
            shown = os.path.relpath(path, workdir)
            found.append({"path": shown, "text": text, "cut": len(data) > room})
            room -= len(data)
    return {"ok": True, "notes": found}


def _folders(files: Sequence[str], workdir: str) -> Iterator[str]:
    """The root and every folder between it and one of the files, each once."""
    known = {workdir}
    yield workdir
    for file in files:
        folder = os.path.dirname(os.path.realpath(paths.absolute(file, workdir)))
        chain: List[str] = []
        while _within(folder, workdir) and folder not in known:
            known.add(folder)
            chain.append(folder)
            folder = os.path.dirname(folder)
        yield from reversed(chain)


def _within(path: str, workdir: str) -> bool:
    inside = path == workdir or path.startswith(workdir.rstrip("/") + "/")
    return inside and ".git" not in os.path.relpath(path, workdir).split("/")


def _read(path: str, room: int) -> bytes:
    try:
        with os.fdopen(transfer.open_regular(path), "rb") as file:
            return file.read(room + 1)
    except OSError:
        return b""  # not there, or not to be read
