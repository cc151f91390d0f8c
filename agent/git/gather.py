"""What changed inside, committed and bundled by one program: every trip there has its price.

What it prints is hostile like all that comes out, see `inside`. It stops where new files may have
to stay inside, and goes on once it has been decided here which of them do.
"""

from __future__ import annotations

import posixpath
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from agent.core.errors import SyncError
from agent.core.limits import GATE_NAMES_MAX_BYTES
from agent.core.text import one_line
from agent.git.gate import GATE, HELD, excluding, gate_words, kept
from agent.git.inside import GIT, LOOK_INSIDE, UNLOCK, Inside, Reach, absent, checked_id
from agent.git.repository import Identity

OUT = "refs/glovebox/out"
"""What last went out; keeps it from being collected when the agent rewrites history."""

# Records end with NUL: `n` a repository in the repository as `name/`, or a file in the place of a
# submodule as `./name/file`; those of `gate`; `e` what could not be added, `f` what failed, `x` no
# repository, `h` HEAD, `o` that there is a bundle. Limits, `head` and `tail`, because a git that
# was replaced can write without end. Each program costs, so none runs without need.
_BEGIN = rf"""
step=$1 file=$2 since=$3 held=$4; shift 4
made=$1 secret=$2 content=$3 kilobytes=$4 most=$5; shift 5
cat >"$file.text"
exec 2>/dev/null
trap 'rm -f "$file.text" "$file.said" "$file.new" "$file.links" "$file.nested" "$file.found" \
  "$file.rest" "$file.dotted" "$file.spec"' EXIT
say() {{ printf '%s %s\0' "$1" "$2"; }}
try() {{
  from=$1 name=$2 left=1; shift 2
  until "$@" <"$from" >"$file.said" 2>&1; do
    code=$? said=$(tail -c 2000 "$file.said")
    case $left$said in 1*".lock'"*) {UNLOCK}; left=0; continue;; esac
    said="git $name: ${{said:-exit code $code}}"
    return 1
  done
}}
fail() {{
  "$@" rev-parse --git-dir >/dev/null; code=$?
  test $code = 0 && say f "$said" || say x $code
  exit
}}
(ulimit -f 40000; exec "$@" ls-files -z --others --exclude-standard) >"$file.new"; code=$?
"$@" ls-files -z --stage |
  (ulimit -v 2000000; exec sed -z -n 's/^160000 [0-9a-f]* [0-9].//p') >"$file.links"
: >"$file.nested"
if test -s "$file.new" || test -s "$file.links"; then
  {{
    grep -z '/$' "$file.new"
    xargs -0 -r -I{{}} sh -c '
      if test -e "./$1/.git"
      then printf "%s/\0" "$1"
      else find "./$1" -mindepth 1 -maxdepth 1 -print0 -quit
      fi' sh {{}} <"$file.links"
  }} | head -c "$most" >"$file.nested"
  sed -z 's/^/n /' "$file.nested"
fi
if test "$step" = look; then
  if test -s "$file.new"; then
    {{ {GATE} }} >"$file.found"
    test -s "$file.found" && {{ cat "$file.found"; exit; }}
  fi
  : >"$held"
fi
"""
# Without new files and submodules `add -u` does it all, and without a look into every directory.
# Left in, a nested repository becomes a bare id and its files are lost, or the whole `git add`
# fails because it has no commit; what is tracked comes along also where something new does not.
_END = rf"""
problem=''
if test "$step" = add || test -s "$file.new" || test -s "$file.links" || test $code != 0; then
  {{
    printf '.\0'
    grep -z '/$' "$file.nested" | sed -z 's/^/:(exclude,top,literal)/; s#/$##'
    cat "$held"
  }} >"$file.spec"
  tracked=''
  try "$file.spec" add \
    "$@" add -A --ignore-errors --pathspec-from-file=- --pathspec-file-nul ||
    problem=$said tracked=y
  test -s "$file.links" || test "$step" = add && tracked=y
  test -z "$tracked" || try /dev/null add "$@" add -u --ignore-errors
else
  try /dev/null add "$@" add -u --ignore-errors || problem=$said
fi
if ! "$@" diff-index --cached --quiet HEAD -- >/dev/null; then
  try "$file.text" commit \
    "$@" commit --quiet --no-verify --allow-empty --cleanup=verbatim -F - || fail "$@"
fi
(ulimit -f 1; exec "$@" rev-parse --quiet --verify 'HEAD^{{commit}}') >"$file.said"
head=$(cat "$file.said")
test -z "$problem" || say e "$problem"
say h "$head"
test -n "$since" && test "$head" != "$since" || exit 0
"$@" merge-base --is-ancestor "$since" "$head" >/dev/null || exit 0
try /dev/null update-ref "$@" update-ref {OUT} "$head" || fail "$@"
try /dev/null bundle "$@" bundle create --quiet "$file.bundle" {OUT} "^$since" || fail "$@"
say o ''
"""
_SCRIPT = _BEGIN + _END


@dataclass(frozen=True, slots=True)
class Words:
    """What a commit of ours says, and in whose name."""

    message: str
    author: Identity
    trailers: Mapping[str, str]

    def text(self, instead: str = "") -> bytes:
        """The whole of a commit message, with `instead` for what it says."""
        lines = "".join(f"{key}: {value}\n" for key, value in self.trailers.items())
        said = (instead or self.message).replace("\0", "").strip() or "Work of the agent"
        return f"{said}\n\n{lines}".encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a commit inside left: HEAD, and what did not go in, as text for people.

    `held` are new files that can be let out or put away, see `gate`. `bundle` is a file inside with
    what HEAD has and the commit asked for has not; "" when that is nothing, or HEAD has left it.
    """

    head: str
    notes: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    bundle: str = ""


async def gather(sandbox: Reach, words: Words, since: str) -> Gathered:
    """Commit whatever changed, ignored files left alone, and bundle what is new since `since`.

    The agent's own commits stay as they are.
    """
    inside = Inside(sandbox)
    path = f"/tmp/glovebox-{secrets.token_hex(8)}"
    records = await _run(inside, "look", path, words, since)
    staying = kept(records)
    if not any(kind in "ehf" for kind, _ in records):
        spec = excluding(one.path for one in staying).removeprefix(b".\0")
        await sandbox.put(posixpath.join(sandbox.workdir, ".git", HELD), spec)
        records = await _run(inside, "add", path, words, since)
    said = dict(reversed(records))
    if problem := said.get("f"):
        raise SyncError(f"git failed inside: {_text(problem)}", LOOK_INSIDE)
    nested = [name for kind, name in records if kind == "n"]
    notes = [nested_note(_text(n[:-1])) for n in nested if n.endswith(b"/")]
    notes += [_submodule_note(name) for name in nested if name.startswith(b"./")]
    notes += [one.note for one in staying]
    notes += [f"not everything could be committed: {_text(said['e'])}"] if "e" in said else []
    return Gathered(
        checked_id(said.get("h", b"")),
        tuple(notes),
        tuple(one.name for one in staying),
        f"{path}.bundle" if "o" in said else "",
    )


async def _run(
    inside: Inside, step: str, path: str, words: Words, since: str
) -> list[tuple[str, bytes]]:
    head = [step, path, since, f".git/{HELD}", *gate_words()]
    done = await inside.run(
        ["sh", "-c", _SCRIPT, "sh", *head, *GIT],
        stdin=words.text(),
        env=words.author.environment(),
    )
    records = done.output.split(b"\0")
    if done.dropped or len(done.output) >= GATE_NAMES_MAX_BYTES:
        raise SyncError(
            "too many new files inside look like secrets or were made by tools",
            "have the agent add them to `.gitignore`, then sync again",
        )
    if records[-1]:
        raise SyncError("the new files inside could not be listed", LOOK_INSIDE)
    found = [(r[:1].decode("ascii", "replace"), r[2:]) for r in records if r[1:2] == b" "]
    if lost := [code for kind, code in found if kind == "x"]:
        raise absent(inside.place, lost[0] == b"127")
    return found


def nested_note(name: str) -> str:
    """What a person should know of a repository that the agent made inside the repository."""
    return (
        f"`{one_line(name, 200)}` is a git repository of its own, so its files stayed inside;"
        f" remove its `.git` to have them come along"
    )


def _submodule_note(name: bytes) -> str:
    place = name.decode("utf-8", "replace").removeprefix("./").rpartition("/")[0]
    return (
        f"`{one_line(place, 200)}` is the place of a submodule, so the files put there stayed"
        " inside; have them written elsewhere"
    )


def _text(said: bytes) -> str:
    return one_line(said.decode("utf-8", "replace"), 300)
