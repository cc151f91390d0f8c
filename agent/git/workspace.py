"""The repository inside a sandbox, worked by the sandbox's own git through the sandbox port alone.

Nothing read here is believed before `quarantine` has checked it; see `inside` for how it is read.

A plant fails with `SandboxError`; after that every failure is a `SyncError` (or `SandboxLost`).
"""

from __future__ import annotations

import posixpath
import secrets
from collections.abc import Sequence
from pathlib import Path

from agent.core.errors import SandboxError, SandboxLost, SyncError
from agent.core.limits import BUNDLE_MAX_BYTES, WORK_DIFF_MAX_BYTES
from agent.git.gate import HELD, excluded, ignoring
from agent.git.gather import OUT, Gathered, Words, gather
from agent.git.history import Tag, packed_refs
from agent.git.inside import GIT, LOOK_INSIDE, SECONDS, Inside, Reach, absent, commit_id
from agent.git.repository import Identity
from agent.git.seed import Seed
from agent.host import disk
from agent.host.files import AppendFile

REWRITTEN = "Keep the history that was rewritten"

_SET_UP = 'cat >>"$1/config" && printf "ref: %s\\n" "$2" >"$1/HEAD"'
# How many commits, on one line; ends with 1 when there would be one more.
_AHEAD = """\
file=$1 held=$2 since=$3; shift 3
exec 2>/dev/null
trap 'rm -f "$file" "$file.new"' EXIT
"$@" rev-list --count HEAD "^$since"
index=.git/index
test -f "$index" || index=$("$@" rev-parse --git-path index | head -c 4000)
cp -p "$index" "$file"
export GIT_INDEX_FILE="$file"
"$@" add -u >/dev/null
(ulimit -f 40000; exec "$@" ls-files -z --others --exclude-standard) >"$file.new"
if test -s "$file.new"; then
  grep -z "/$" "$file.new" | sed -z "s/^/:(exclude,top,literal)/" |
    (printf ".\\0"; cat; cat "$held") |
    "$@" add -A --ignore-errors --pathspec-from-file=- --pathspec-file-nul >/dev/null
fi
"$@" diff-index --cached --quiet HEAD -- >/dev/null; code=$?
exit $code
"""
# The scratch files that are left inside go with the last question.
_END = 'exec 2>/dev/null; test -z "$1" || rm -f "$1"; shift; exec "$@"'
# A short one is printed; a long one lies in the file, and the exit code is 3.
_DIFF = """\
file=$1 limit=$2 base=$3; shift 3
cp -p "$("$@" rev-parse --git-path index)" "$file.index" 2>/dev/null
export GIT_INDEX_FILE="$file.index"
"$@" add -u >/dev/null 2>&1
(ulimit -f 40000; exec "$@" ls-files -z --others --exclude-standard) >"$file.new" 2>/dev/null
test -s "$file.new" && "$@" add -A --ignore-errors >/dev/null 2>&1
"$@" diff --cached --no-ext-diff --no-textconv --no-color --ignore-submodules=none "$base" -- \
  2>/dev/null | head -c "$limit" >"$file"
rm -f "$file.index" "$file.new"
test "$(wc -c <"$file")" -le 20000 || exit 3
cat "$file"; rm -f "$file"
"""


class Workspace:
    """The clone in a sandbox's `workdir`."""

    def __init__(self, sandbox: Reach) -> None:
        self._sandbox = sandbox
        self._inside = Inside(sandbox)
        self._dir = sandbox.workdir
        self._left = ""  # a file of ours inside that nobody needs any more

    async def plant(self, seed: Seed, branch: str) -> None:
        """Make the clone: the user's branch at the base commit, `branch` checked out at the tip."""
        try:
            await self._plant(seed, branch)
            head = await self.head()
        except SyncError as error:
            raise SandboxError(
                f"the repository could not be set up inside: {error.message}", error.hint
            ) from error
        if head != seed.tip:
            raise SandboxError(
                f"the repository inside stands at {head} and not at {seed.tip}",
                "start a new session; the git inside this sandbox does not answer truly",
            )

    async def _plant(self, seed: Seed, branch: str) -> None:
        await self._inside.do("init", "--quiet", "--template=", self._dir)
        if seed.shallow:
            cuts = "".join(f"{commit}\n" for commit in seed.shallow).encode()
            await self._sandbox.put(self._path(".git/shallow"), cuts)
        pack = self._path(f".git/objects/pack/{seed.pack.name}")
        await self._sandbox.put(pack, disk.pieces(seed.pack), mode=0o444)
        await self._inside.do("index-pack", pack)
        # Written, not asked of git one by one: each question is a trip to another machine.
        refs = packed_refs((*seed.tags, *_own_refs(seed, branch)))
        await self._sandbox.put(self._path(".git/packed-refs"), refs)
        await self._inside.run(
            ["sh", "-c", _SET_UP, "sh", self._path(".git"), f"refs/heads/{branch}"],
            stdin=_config(seed.identity),
        )
        await self._inside.do("reset", "--quiet", "--hard")
        if seed.extra:
            await self._place(seed.extra)
            await self.ignore(seed.included)

    async def _place(self, tree: str) -> None:
        """Write the files of a tree over those that are there, past git's index."""
        index = {"GIT_INDEX_FILE": self._path(".git/glovebox-extra")}
        await self._inside.do("read-tree", tree, env=index)
        await self._inside.do("checkout-index", "--all", "--force", "--quiet", env=index)
        await self._inside.run(["rm", "-f", index["GIT_INDEX_FILE"]])

    async def head(self) -> str:
        """The commit HEAD stands at. Raises `SyncError` when there is none."""
        left, self._left = self._left, ""
        ask = ("rev-parse", "--quiet", "--verify", "HEAD^{commit}")
        done = await self._inside.run(["sh", "-c", _END, "sh", left, *GIT, *ask])
        if done.exit_code == 0:
            return commit_id(done)
        if (await self._inside.ask("rev-parse", "--git-dir")).exit_code:
            raise absent(self._dir, program=False)
        raise SyncError("HEAD of the repository inside is at no commit", LOOK_INSIDE)

    async def gather(self, words: Words, since: str) -> Gathered:
        """Commit and bundle what changed since `since`; see `gather`."""
        return await gather(self._sandbox, words, since)

    async def descend(self, head: str, last: str, words: Words) -> str:
        """`head`, which is HEAD, or its child when it does not descend from `last`.

        An agent may amend, reset, start an orphan or switch branches. Its HEAD then gets a child
        with the same tree and `last` as its first parent, so that work always arrives as a
        fast-forward and no earlier work leaves the history.
        """
        if head == last or await self._is_ancestor(last, head):
            return head
        others = () if await self._is_ancestor(head, last) else ("-p", head)
        done = await self._inside.ask(
            *("commit-tree", f"{head}^{{tree}}", "-p", last, *others, "-F", "-"),
            stdin=words.text(REWRITTEN),
            env=words.author.environment(),
        )
        joined = commit_id(done)
        await self._inside.do("update-ref", "HEAD", joined, head)
        return joined

    async def bundle(self, tip: str, since: str) -> str:
        """Write `since..tip` into a file inside, as the one ref `OUT`; its path."""
        path = self._scratch("bundle")
        await self._inside.do("update-ref", OUT, tip)
        await self._inside.do("bundle", "create", "--quiet", path, OUT, f"^{since}")
        return path

    async def carry(self, path: str, target: Path) -> None:
        """Move the file `path` inside to the new host file `target`."""
        file = AppendFile(target)
        try:
            await self._sandbox.get(path, limit=BUNDLE_MAX_BYTES, sink=file.append)
            file.flush()
        except SandboxLost:
            raise
        except SandboxError as error:
            raise SyncError(
                f"the changes could not be carried out of the sandbox: {error.message}",
                f"have git ignore big generated files; the limit is {BUNDLE_MAX_BYTES} bytes",
            ) from error
        finally:
            file.close()
            self._left = path

    async def tidy(self) -> None:
        """Remove what `carry` left inside, unless `head` has done so."""
        left, self._left = self._left, ""
        if left:
            await self._sandbox.exec(["rm", "-f", left], seconds=SECONDS)

    async def ahead(self, since: str) -> int:
        """How many commits HEAD has that `since` has not, uncommitted changes being one more."""
        words = (self._scratch("index"), f".git/{HELD}", since)
        done = await self._inside.run(["sh", "-c", _AHEAD, "sh", *words, *GIT])
        if not done.output.strip().isdigit():
            raise SyncError(f"the repository inside has lost HEAD or {since}", LOOK_INSIDE)
        if done.exit_code not in (0, 1):
            raise SyncError("git inside cannot say what changed", LOOK_INSIDE)
        return int(done.output[:12]) + done.exit_code

    async def keep(self, ref: str, commit: str) -> None:
        """Point a ref inside at `commit`, so that git inside does not collect it."""
        await self._inside.do("update-ref", ref, commit)

    async def rename(self, old: str, new: str) -> None:
        """Give the branch `old` inside the name `new`, where it still has the old one."""
        done = await self._inside.ask("rev-parse", "--quiet", "--verify", f"refs/heads/{old}")
        if old != new and done.exit_code == 0:
            await self._inside.do("branch", "--quiet", "--force", "-m", old, new)

    async def reset(self, commit: str) -> None:
        """Put branch, index and files back to `commit`; ignored files are left alone."""
        await self._inside.ask("rebase", "--quit")  # one in progress would go on from here
        await self._inside.do("reset", "--quiet", "--hard", commit)
        await self._inside.do("clean", "--quiet", "-d", "--force")
        if (head := await self.head()) != commit:
            raise SyncError(f"the repository inside stands at {head} and not at {commit}")

    async def diff(self, since: str) -> str:
        """Everything that differs from `since`, committed or not, as a unified diff, capped."""
        path = self._scratch("diff")
        argv = ["sh", "-c", _DIFF, "sh", path, str(WORK_DIFF_MAX_BYTES), since, *GIT]
        done = await self._inside.run(argv)
        data = done.output
        if done.exit_code == 3:
            try:
                data = await self._sandbox.get(path, limit=WORK_DIFF_MAX_BYTES)
            except SandboxLost:
                raise
            except SandboxError as error:
                raise SyncError(
                    f"the diff could not be made: {error.message}", LOOK_INSIDE
                ) from error
            finally:
                await self._sandbox.exec(["rm", "-f", path], seconds=SECONDS)
        elif done.exit_code or done.dropped:
            raise SyncError("the diff could not be made", LOOK_INSIDE)
        text = data.decode("utf-8", "replace")
        if len(data) < WORK_DIFF_MAX_BYTES:
            return text
        return f"{text}\n… cut at {WORK_DIFF_MAX_BYTES} bytes; ask for the diff of single files\n"

    async def ignore(self, paths: Sequence[bytes]) -> None:
        """Have git inside ignore `paths`, for as long as this sandbox lives."""
        place = posixpath.join(".git", "info", "exclude")
        script = 'mkdir -p "${1%/*}" && cat >>"$1"'
        await self._inside.run(["sh", "-c", script, "sh", place], stdin=ignoring(paths))

    async def put_away(self) -> int:
        """Have git inside ignore what the last commit held back, from now on; how many paths."""
        paths = await self._held()
        await self.ignore(paths)
        return len(paths)

    async def let_out(self) -> int:
        """Have what the last commit held back come along with the next; how many paths."""
        paths = await self._held()
        spec = b"".join(b":(top,literal)%s\0" % path for path in paths)
        if paths:
            await self._inside.do(
                *("add", "--force", "--pathspec-from-file=-", "--pathspec-file-nul"), stdin=spec
            )
        return len(paths)

    async def _held(self) -> list[bytes]:
        try:
            return excluded(await self._sandbox.get(self._path(f".git/{HELD}"), limit=1_000_000))
        except SandboxLost:
            raise
        except SandboxError:
            return []  # nothing was ever held

    async def _is_ancestor(self, old: str, new: str) -> bool:
        done = await self._inside.ask("merge-base", "--is-ancestor", old, new)
        if done.exit_code not in (0, 1):
            raise SyncError(f"the repository inside has lost {old} or {new}", LOOK_INSIDE)
        return done.exit_code == 0

    def _path(self, name: str) -> str:
        return posixpath.join(self._dir, name)

    def _scratch(self, kind: str) -> str:
        return f"/tmp/glovebox-{secrets.token_hex(8)}.{kind}"


def _config(identity: Identity) -> bytes:
    name, mail = (part.replace("\\", "\\\\").replace('"', '\\"') for part in identity)
    return f"""\
[user]
\tname = "{name}"
\temail = "{mail}"
[gc]
\tauto = 0
[maintenance]
\tauto = false
[advice]
\tdetachedHead = false
""".encode("utf-8", "surrogateescape")


def _own_refs(seed: Seed, branch: str) -> tuple[Tag, ...]:
    """Our branch, what went out last, and the user's branch unless it is in the way of ours."""
    ours = (Tag(OUT, seed.tip, seed.tip), Tag(f"refs/heads/{branch}", seed.tip, seed.tip))
    theirs = seed.branch
    clash = f"{theirs}/".startswith(f"{branch}/") or f"{branch}/".startswith(f"{theirs}/")
    if clash or not _can_be_branch(theirs):
        return ours
    return (*ours, Tag(f"refs/heads/{theirs}", seed.base, seed.base))


def _can_be_branch(name: str) -> bool:
    return bool(name) and name.isprintable() and not name.startswith("-")
