"""What of an agent's new files stays inside unless somebody says otherwise.

Secrets, giants and what tools made: by the rules by which the user's own are not carried in. Only
files that git inside does not know yet are looked at. One that was added to the index on purpose is
tracked, and comes along like everything tracked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.core.limits import GATE_NAMES_MAX_BYTES, SEED_FILE_MAX_BYTES
from agent.core.text import one_line
from agent.git.keys import PATTERN
from agent.git.secrets import looks_secret, name_pattern

HELD = "glovebox-held"
"""The file in the git directory inside that names what is held, as pathspecs that leave it out."""

_MADE = (
    *("node_modules", "bower_components", ".venv", "venv", "__pycache__", ".pytest_cache"),
    *(".mypy_cache", ".ruff_cache", ".tox", ".nox", ".hypothesis", ".ipynb_checkpoints"),
    *(".gradle", ".next", ".nuxt", ".svelte-kit", ".parcel-cache", ".turbo", ".terraform"),
)
# For `gather`: `$file.new` names the new files; prints a letter and a path, ended by NUL, for each
# that has to stay. `head` bounds what a repository full of such files can print; where it cuts,
# the answer is refused.
GATE = r"""
sed -z -n -E "s#^#/#; s#/($made)/.*#/\1#p" "$file.new" |
  sed -z "s#^/#m #" | sort -z -u | head -c "$most"
grep -z -v -E "(^|/)($made)/" "$file.new" >"$file.rest"
grep -z -i -E "$secret" "$file.rest" | sed -z "s/^/s /" | head -c "$most"
sed -z "s#^#./#" "$file.rest" >"$file.dotted"
xargs -0 -r sh -c 'find "$@" -prune -type f -size +"$0"k -print0' "$kilobytes" <"$file.dotted" |
  sed -z "s#^\./#b #" | head -c "$most"
xargs -0 -r sh -c 'find "$@" -prune -type f -size -2048k -print0' sh <"$file.dotted" |
  xargs -0 -r grep -l -Z -E -e "$content" | sed -z "s#^\./#c #" | head -c "$most"
"""
_LEFT_OUT = b":(exclude,top,literal)"
_WHY = {
    "m": "was made by a tool",
    "s": "has the name of a secret",
    "b": f"is larger than {SEED_FILE_MAX_BYTES // 1_000_000} MB",
    "c": "holds a key or a token",
}


@dataclass(frozen=True, slots=True)
class Held:
    """A path inside, as it is, and why it stays there. A directory stands for all below it."""

    path: bytes
    why: str

    @property
    def name(self) -> str:
        """The path on one printable line."""
        return one_line(self.path.decode("utf-8", "replace"), 200)

    @property
    def note(self) -> str:
        """For people, and for whoever decides otherwise."""
        how = "`git add` it there to have it come along"
        return f"`{self.name}` {self.why}, so it stayed inside; {how}"


def gate_words() -> tuple[str, ...]:
    """What `GATE` looks for, as its variables `made secret content kilobytes most`."""
    made = "|".join(name.replace(".", r"\.") for name in _MADE)
    limits = (str(SEED_FILE_MAX_BYTES // 1024), str(GATE_NAMES_MAX_BYTES))
    return (made, name_pattern(), PATTERN, *limits)


def kept(records: Sequence[tuple[str, bytes]]) -> tuple[Held, ...]:
    """The new files that stay, of the records that `GATE` printed."""
    sure = [(kind, name) for kind, name in records if kind != "s" or looks_secret(name)]
    unique = {name: Held(name, _WHY[kind]) for kind, name in reversed(sure) if kind in _WHY}
    return tuple(unique[name] for name in sorted(unique))


def excluding(paths: Iterable[bytes]) -> bytes:
    """Pathspecs for everything but `paths`, as git reads them from a file."""
    return b"".join((b".\0", *(b"%s%s\0" % (_LEFT_OUT, path) for path in paths)))


def excluded(pathspecs: bytes) -> list[bytes]:
    """The paths that `excluding` made pathspecs of."""
    return [one.removeprefix(_LEFT_OUT) for one in pathspecs.split(b"\0") if _LEFT_OUT in one]


def ignoring(paths: Sequence[bytes]) -> bytes:
    """Lines for `info/exclude` that have git ignore exactly `paths`."""
    return b"".join(b"/%s\n" % _escaped(path) for path in paths if b"\n" not in path)


def _escaped(path: bytes) -> bytes:
    return b"".join(b"\\" + bytes([c]) if c in b"\\*?[]!# " else bytes([c]) for c in path)
