"""A package of ours as one zip that a Python runs elsewhere, with its bytecode for our own version.

Whoever runs another version finds the source beside it. Compiling takes long for something that
happens at every start, so what was made of the same source before is taken from the cache.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import marshal
import zipfile
from collections.abc import Mapping
from pathlib import Path

from agent.host import env, files

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same content makes the same zip
MAX_BYTES = 64_000_000
_KEPT = 8
_UNCHECKED = (1).to_bytes(4, "little")  # a hash of the source instead of its time, not looked at


def packed(sources: Mapping[str, bytes]) -> bytes:
    """The zip of `sources`, by their names in it; it holds nothing of this machine."""
    key = hashlib.sha256(importlib.util.MAGIC_NUMBER)
    for name, source in sources.items():
        key.update(b"%d %s %d " % (len(name), name.encode(), len(source)))
        key.update(source)
    path = env.cache_dir() / "toolbox" / f"{key.hexdigest()[:32]}.zip"
    if known := files.read_head(path, MAX_BYTES):
        return known
    data = _made(sources)
    try:
        files.write_whole(path, data)
        _forget_old(path.parent)
    except OSError:
        return data  # a cache that cannot be written costs time, nothing else
    return data


def _made(sources: Mapping[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, source in sources.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), source)
            if name.endswith(".py"):
                code = marshal.dumps(compile(source, name, "exec", dont_inherit=True))
                head = importlib.util.MAGIC_NUMBER + _UNCHECKED + importlib.util.source_hash(source)
                archive.writestr(zipfile.ZipInfo(f"{name}c", _EPOCH), head + code)
    return data.getvalue()


def _forget_old(folder: Path) -> None:
    for path in sorted(files.children(folder), key=files.modified)[:-_KEPT]:
        files.remove_file(path)
