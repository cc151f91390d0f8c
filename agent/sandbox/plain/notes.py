"""The repository's notes, read by a shell."""

from __future__ import annotations

from posixpath import dirname, join, normpath
from typing import Any

from agent.sandbox.plain.shell import Shell, told

_NOTES = """
most=$1; shift
root=$(pwd -P)
for path; do
  [ -f "$path" ] && [ -r "$path" ] || continue
  real=$(readlink -f "$path") || continue
  case $real in */.git/*) continue ;; "$root"/*) ;; *) continue ;; esac
  printf '%s\\0%s\\0' "$path" "$real"
  head -c "$most" "$path" | tr '\\0' '\\001'
  printf '\\0'
done
"""

Answer = dict[str, Any]


async def notes(shell: Shell, workdir: str, arguments: Answer) -> Answer:
    """The same answer as the toolbox's, for folders that are what their names say."""
    room: int = arguments["bytes"]
    names: list[str] = arguments["names"]
    folders = _folders(arguments["files"], workdir)
    known: list[str] = arguments["known"]
    asked = [join(folder, name) for folder in folders for name in names]
    limit = (room + 10_000) * len(asked)  # two paths stand before each text
    _, said = await told(
        shell, f'cd "$1" && shift\n{_NOTES}', workdir, str(room + 1), *asked, limit=limit
    )
    parts = said.split(b"\0")[:-1]
    found: list[Answer] = []
    seen: set[bytes] = set()
    for path, real, data in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
        shown = path.decode("utf-8", "surrogateescape").removeprefix(f"{workdir}/")
        text = data[:room].decode("utf-8", "replace")
        if real not in seen and shown not in known and room > 0 and _is_text(text):
            found.append({"path": shown, "text": text, "cut": len(data) > room})
            room -= len(data)
        seen.add(real)
    return {"ok": True, "notes": found}


def _is_text(text: str) -> bool:
    return bool(text.strip()) and "\1" not in text


def _folders(files: list[str], workdir: str) -> list[str]:
    """The work directory and every folder in it that leads to one of the files, outermost first."""
    folders = {workdir: None}
    for file in files:
        folder = dirname(normpath(join(workdir, file)))
        chain: list[str] = []
        while folder.startswith(f"{workdir}/"):
            chain.insert(0, folder)
            folder = dirname(folder)
        folders |= dict.fromkeys(chain)
    return list(folders)
