"""Take the bundle of grammars that the host brings; `agent/sandbox/grammars.py` is its other half.

An archive is unpacked beside its place and moved there whole: whoever finds the directory finds all
of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tarfile
import tempfile
from typing import Any, Dict

from agent.toolbox.code import parsing
from agent.toolbox.code.languages import LANGUAGES
from agent.toolbox.files.paths import Answer, refused

UNPACKED_MAX_BYTES = 200_000_000


def grammars(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """Use the grammars in `folder`, unpacked from `archive` if need be; whether they are `ready`.

    Carried in file by file, they are when the file `last` is there as well. With `probe` also says
    for which languages they do.
    """
    folder, archive = arguments.get("folder", ""), arguments.get("archive", "")
    try:
        if archive and not os.path.isdir(folder):
            _unpack(archive, folder, arguments["digest"])
        if archive:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(archive)
    except (OSError, EOFError, tarfile.TarError) as error:
        return refused(folder, error if isinstance(error, OSError) else OSError(0, str(error)))
    whole = arguments.get("last") or "tree_sitter"
    ready = bool(folder) and os.path.exists(os.path.join(folder, whole))
    if ready:
        parsing.use_grammars(folder)
    answer: Answer = {"ok": True, "ready": ready}
    if arguments.get("probe"):
        answer["able"] = [name for name in sorted(LANGUAGES) if parsing.able(name)]
    return answer


def _unpack(archive: str, folder: str, digest: str) -> None:
    with open(archive, "rb") as file:
        data = file.read(UNPACKED_MAX_BYTES)
        if hashlib.sha256(data).hexdigest() != digest:
            raise OSError(0, "the archive is damaged")
    above = os.path.dirname(folder)
    os.makedirs(above, mode=0o700, exist_ok=True)
    new = tempfile.mkdtemp(prefix=".new-", dir=above)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                _extract(tar, member, new)
        with contextlib.suppress(OSError):  # somebody else was faster
            os.rename(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, new: str) -> None:
    package, _, name = member.name.partition("/")
    content = tar.extractfile(member) if member.isfile() else None
    if content is None or not package or not name or "/" in name or package[0] == ".":
        raise OSError(0, "the archive holds something else")
    os.makedirs(os.path.join(new, package), exist_ok=True)
    with open(os.path.join(new, package, name), "wb") as file:
        shutil.copyfileobj(content, file)
