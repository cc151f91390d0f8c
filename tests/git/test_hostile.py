"""What comes out of a sandbox is whatever an attacker wants it to be."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.core.errors import SandboxError, SyncError
from agent.core.limits import (
    BUNDLE_MAX_BYTES,
    IMPORT_FILE_MAX_BYTES,
    IMPORT_MEMORY_BYTES,
    IMPORT_SECONDS,
)
from agent.git import quarantine, trees
from agent.git.guard import Git
from agent.git.mirror import Mirror
from agent.git.quarantine import receive
from agent.git.repository import Repository
from agent.git.workspace import OUT, Workspace
from agent.host.files import temporary_dir
from tests.git.conftest import Start
from tests.git.packs import Pack
from tests.git.users import Look, User, look

FILE, DIR = b"100644", b"40000"


@dataclass
class Target:
    """A user's repository that a bundle is thrown at."""

    user: User
    repository: Repository
    head: str
    place: Path

    async def take(self, data: bytes | Callable[[Path], None], tip: str = "") -> None:
        """What `Sync` does with a bundle whose tip the inside says is `tip`."""
        bundle = self.place / "bundle"
        if callable(data):
            data(bundle)
        else:
            bundle.write_bytes(data)
        mirror = Mirror(self.repository, name="s1")
        with temporary_dir() as tmp:
            private = await receive(self.repository, bundle, tmp, ref=OUT, since=self.head, tip=tip)
            await mirror.adopt(private, tip, "tip")

    async def refuses(self, data: bytes | Callable[[Path], None], tip: str, why: str) -> None:
        before = self.seen()
        with pytest.raises(SyncError, match=why):
            await self.take(data, tip)
        assert self.seen() == before

    def seen(self) -> tuple[Look, dict[str, str], list[str]]:
        objects = self.user.root / ".git/objects"
        return look(self.user), self.user.refs(), sorted(str(p) for p in objects.rglob("*"))


async def at(user: User, tmp_path: Path) -> Target:
    repository = await Repository.find(user.root)
    return Target(user, repository, repository.head, tmp_path)


def sound(pack: Pack, parent: str) -> str:
    return pack.commit(pack.tree((FILE, b"ok", pack.blob(b"ok\n"))), parent)


async def test_a_sound_bundle_written_by_hand_is_taken(user: User, tmp_path: Path) -> None:
    target, pack = await at(user, tmp_path), Pack()
    tip = sound(pack, target.head)
    await target.take(pack.bundle(tip, target.head), tip)
    assert user.refs()["refs/glovebox/s1/tip"] == tip
    user.git("fsck", "--strict")


HEADERS: dict[str, Callable[[Target, Pack, str], bytes]] = {
    "no bundle": lambda t, p, tip: b"gitdir: /etc\n\n",
    "empty": lambda t, p, tip: b"",
    "v1": lambda t, p, tip: p.bundle(tip, t.head).replace(b"# v2", b"# v1", 1),
    "v3 filter": lambda t, p, tip: p.bundle(tip, t.head).replace(
        b"# v2 git bundle\n", b"# v3 git bundle\n@filter=blob:none\n", 1
    ),
    "v2 capability": lambda t, p, tip: p.bundle(tip, t.head).replace(
        b"bundle\n", b"bundle\n@filter=blob:none\n", 1
    ),
    "other ref": lambda t, p, tip: p.bundle(tip, t.head, ref="refs/heads/main"),
    "longer ref": lambda t, p, tip: p.bundle(tip, t.head, ref="refs/glovebox/out2"),
    "option as ref": lambda t, p, tip: p.bundle(tip, t.head, ref="--upload-pack=touch x"),
    "a tag too": lambda t, p, tip: p.bundle(
        tip, t.head, ref=f"refs/glovebox/out\n{tip} refs/tags/v1"
    ),
    "the same ref twice": lambda t, p, tip: p.bundle(
        tip, t.head, ref=f"refs/glovebox/out\n{tip} refs/glovebox/out"
    ),
    "no ref": lambda t, p, tip: b"# v2 git bundle\n\n" + p.pack(),
    "short id": lambda t, p, tip: p.bundle(tip[:39], t.head),
    "line without end": lambda t, p, tip: b"# v2 git bundle\n-" + b"a" * 10_000_000,
    "many lines": lambda t, p, tip: p.bundle(tip, *[t.head] * 5000),
    "huge comment": lambda t, p, tip: (
        b"# v2 git bundle\n-%b %b\n"
        % (
            t.head.encode(),
            b"x" * 70_000,
        )
    ),
    "no pack": lambda t, p, tip: p.bundle(tip, t.head).split(b"PACK")[0] + b"\0" * 50,
    "too many objects": lambda t, p, tip: p.bundle(tip, t.head, claims=2**31),
}


@pytest.mark.parametrize("case", HEADERS)
async def test_a_header_of_another_form_is_refused(user: User, tmp_path: Path, case: str) -> None:
    target, pack = await at(user, tmp_path), Pack()
    tip = sound(pack, target.head)
    await target.refuses(HEADERS[case](target, pack, tip), tip, "refused: ")


async def test_another_tip_than_the_inside_said_is_refused(user: User, tmp_path: Path) -> None:
    target, pack = await at(user, tmp_path), Pack()
    tip = sound(pack, target.head)
    await target.refuses(pack.bundle(tip, target.head), "1" * 40, "brings")


async def test_a_tip_that_does_not_grow_from_ours_is_refused(user: User, tmp_path: Path) -> None:
    target = await at(user, tmp_path)
    for parents in ((), (user.git("rev-parse", "main~1"),)):
        pack = Pack()
        tip = pack.commit(pack.tree((FILE, b"x", pack.blob(b"x"))), *parents)
        await target.refuses(pack.bundle(tip, *parents), tip, "does not grow from")


async def test_commits_that_were_never_sent_are_no_ground(user: User, tmp_path: Path) -> None:
    target = await at(user, tmp_path)
    user.git("checkout", "--quiet", "-b", "private")
    hidden = user.commit("never sent", **{"secret.txt": "s\n"})
    user.git("checkout", "--quiet", "main")
    blob = user.git("rev-parse", "main:a.txt")
    for need in (hidden, blob, "2" * 40):
        pack = Pack()
        tip = pack.commit(pack.tree((FILE, b"x", pack.blob(b"x"))), target.head)
        await target.refuses(pack.bundle(tip, target.head, need), tip, "never sent")


async def test_objects_that_were_never_sent_cannot_be_named(user: User, tmp_path: Path) -> None:
    target = await at(user, tmp_path)
    user.git("checkout", "--quiet", "-b", "private")
    hidden = user.commit("never sent", **{"secret.txt": "s\n", "dir/secret.txt": "d\n"})
    user.git("checkout", "--quiet", "main")
    blob = user.git("rev-parse", "private:secret.txt")
    for mode, oid in ((FILE, blob), (DIR, user.git("rev-parse", "private:dir"))):
        pack = Pack()
        tip = pack.commit(pack.tree((mode, b"stolen", oid)), target.head)
        await target.refuses(pack.bundle(tip, target.head), tip, "never sent")
    pack = Pack()
    tip = pack.commit(pack.tree((FILE, b"x", pack.blob(b"x"))), target.head, hidden)
    await target.refuses(pack.bundle(tip, target.head), tip, "never sent")


async def test_objects_that_were_sent_before_may_be_named(user: User, tmp_path: Path) -> None:
    old = user.git("rev-parse", "main~2:a.txt")
    target, pack = await at(user, tmp_path), Pack()
    tip = pack.commit(pack.tree((FILE, b"again", old)), target.head)
    await target.take(pack.bundle(tip, target.head), tip)
    assert user.refs()["refs/glovebox/s1/tip"] == tip


async def test_a_tip_that_is_no_commit_is_refused(user: User, tmp_path: Path) -> None:
    target, pack = await at(user, tmp_path), Pack()
    commit = sound(pack, target.head)
    tag = pack.put(
        "tag", f"object {commit}\ntype commit\ntag x\ntagger X <x@x> 1 +0000\n\nx\n".encode()
    )
    await target.refuses(pack.bundle(tag, target.head), tag, "not a commit")


def missing_blob(pack: Pack, head: str) -> str:
    return pack.commit(pack.tree((FILE, b"x", pack.blob(b"gone", include=False))), head)


def missing_tree(pack: Pack, head: str) -> str:
    return pack.commit(pack.tree((FILE, b"x", pack.blob(b"x")), include=False), head)


def missing_parent(pack: Pack, head: str) -> str:
    lost = Pack()
    return pack.commit(pack.tree(), head, sound(lost, head))


def no_author(pack: Pack, head: str) -> str:
    tree = pack.tree((FILE, b"x", pack.blob(b"x")))
    return pack.put("commit", f"tree {tree}\nparent {head}\n\nx\n".encode())


def gitmodules_option(pack: Pack, head: str) -> str:
    text = b'[submodule "x"]\n\tpath = x\n\turl = --upload-pack=touch pwned\n'
    return pack.commit(pack.tree((FILE, b".gitmodules", pack.blob(text))), head)


def nul_in_header(pack: Pack, head: str) -> str:
    tree = pack.tree((FILE, b"x", pack.blob(b"x")))
    return pack.commit(tree, head, head=b"encoding a\0b\n")


def deep(pack: Pack, head: str) -> str:
    tree = pack.tree((FILE, b"x", pack.blob(b"x")))
    for _ in range(trees.IMPORT_DEPTH_MAX + 1):
        tree = pack.tree((DIR, b"d", tree))
    return pack.commit(tree, head)


def bomb(pack: Pack, head: str) -> str:
    tree = pack.tree((FILE, b"x", pack.blob(b"boom")))
    for _ in range(10):
        tree = pack.tree(*((DIR, b"d%d" % n, tree) for n in range(10)))
    return pack.commit(tree, head)


def odd_mode(pack: Pack, head: str) -> str:
    return pack.commit(pack.tree((b"100666", b"x", pack.blob(b"x"))), head)


def long_message(pack: Pack, head: str) -> str:
    tree = pack.tree((FILE, b"x", pack.blob(b"x")))
    return pack.commit(tree, head, message=b"m" * 2_000_000)


def long_name(pack: Pack, head: str) -> str:
    return pack.commit(pack.tree((FILE, b"n" * 256, pack.blob(b"x"))), head)


def named(*names: bytes) -> Callable[[Pack, str], str]:
    def build(pack: Pack, head: str) -> str:
        blob = pack.blob(b"[core]\nfsmonitor = touch pwned\n")
        inner = pack.tree((FILE, b"config", blob))
        return pack.commit(pack.tree(*((DIR, name, inner) for name in names)), head)

    return build


def link_and_folder(pack: Pack, head: str) -> str:
    inner = pack.tree((FILE, b"post-checkout", pack.blob(b"#!/bin/sh\ntouch pwned\n")))
    link = pack.blob(b".git/hooks")
    return pack.commit(pack.tree((b"120000", b"A", link), (DIR, b"a", inner)), head)


OBJECTS: dict[str, tuple[Callable[[Pack, str], str], str]] = {
    "missing blob": (missing_blob, "index-pack"),
    "missing tree": (missing_tree, "index-pack"),
    "missing parent": (missing_parent, "index-pack"),
    "no author": (no_author, "index-pack"),
    "option as submodule url": (gitmodules_option, "index-pack"),
    "nul in header": (nul_in_header, "index-pack"),
    "deep": (deep, "deep"),
    "path bomb": (bomb, "paths"),
    "odd mode": (odd_mode, "mode"),
    "long message": (long_message, "commit of 2"),
    "long name": (long_name, "impossible name"),
    ".git": (named(b".git"), "index-pack"),
    ".GIT": (named(b".GIT"), "index-pack"),
    "git~1": (named(b"git~1"), "index-pack"),
    "hfs": (named(b".g\xe2\x80\x8cit"), "index-pack"),
    "ntfs stream": (named(b".git::$INDEX_ALLOCATION"), "index-pack"),
    "parent": (named(b".."), "index-pack"),
    "here": (named(b"."), "index-pack"),
    "slash": (named(b"a/b"), "index-pack"),
    "empty name": (named(b""), "index-pack"),
    "a link and a directory, but for case": (link_and_folder, "where case does not count"),
    "twice": (named(b"a", b"a"), "index-pack"),
    "unsorted": (named(b"b", b"a"), "index-pack"),
}


@pytest.mark.parametrize("case", OBJECTS)
async def test_unsound_objects_are_refused(user: User, tmp_path: Path, case: str) -> None:
    target, pack = await at(user, tmp_path), Pack()
    build, why = OBJECTS[case]
    tip = build(pack, target.head)
    await target.refuses(pack.bundle(tip, target.head), tip, why)


@pytest.mark.parametrize("name", [b".", b"..", b".git", b".Git", b"a/b", b"", b"n" * 256])
def test_names_no_work_tree_can_have_are_refused_by_us_too(name: bytes) -> None:
    tree = FILE + b" " + name + b"\0" + b"\1" * 20
    with pytest.raises(SyncError, match="impossible name"):
        trees.check_trees({"a" * 40: tree})


@pytest.mark.parametrize("data", [b"100644", b"100644 x\0short", b"100644x\0" + b"1" * 20])
def test_a_tree_that_ends_in_the_middle_is_refused(data: bytes) -> None:
    with pytest.raises(SyncError, match="malformed"):
        trees.check_trees({"a" * 40: data})


async def test_a_damaged_pack_is_refused(user: User, tmp_path: Path) -> None:
    target, pack = await at(user, tmp_path), Pack()
    tip = sound(pack, target.head)
    data = bytearray(pack.bundle(tip, target.head))
    data[-30] ^= 1
    await target.refuses(bytes(data), tip, "index-pack")
    await target.refuses(bytes(data[:-5]), tip, "index-pack")


async def test_a_file_bigger_than_the_cap_is_refused(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "IMPORT_FILE_MAX_BYTES", 1_000_000)
    target, pack = await at(user, tmp_path), Pack()
    tip = pack.commit(pack.tree((FILE, b"x", pack.blob(bytes(1_000_001)))), target.head)
    await target.refuses(pack.bundle(tip, target.head), tip, "blob of 1000001 bytes")


@pytest.mark.slow
async def test_deltas_that_double_to_gigabytes_are_refused(user: User, tmp_path: Path) -> None:
    target, pack = await at(user, tmp_path), Pack()
    size = 4_000_000
    oid = pack.blob(b"A" * size)
    digest = hashlib.sha1()
    while size <= IMPORT_FILE_MAX_BYTES:
        digest = hashlib.sha1(b"blob %d\0" % (2 * size))
        for _ in range(2 * size // 4_000_000):
            digest.update(b"A" * 4_000_000)
        oid = pack.doubled(oid, size, digest.hexdigest())
        size *= 2
    tip = pack.commit(pack.tree((FILE, b"x", oid)), target.head)
    data = pack.bundle(tip, target.head)
    assert len(data) < 10_000
    await target.refuses(data, tip, f"blob of {size} bytes")


async def test_more_objects_than_the_cap_are_refused(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "IMPORT_OBJECTS_MAX", 2)
    target, pack = await at(user, tmp_path), Pack()
    tip = sound(pack, target.head)
    await target.refuses(pack.bundle(tip, target.head), tip, "more than 2 objects")


async def test_a_bundle_that_is_a_link_is_not_followed(user: User, tmp_path: Path) -> None:
    target, pack = await at(user, tmp_path), Pack()
    tip = sound(pack, target.head)
    (tmp_path / "real").write_bytes(pack.bundle(tip, target.head))
    with pytest.raises(OSError, match="symbolic link"):
        await target.take(lambda path: path.symlink_to(tmp_path / "real"), tip)


async def test_git_on_hostile_data_runs_under_limits(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\nfor limit in v t f c; do ulimit -$limit; done\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")

    done = await Git(user.root / ".git", limited=True).run("version")

    memory, seconds, size, core = (int(line) for line in done.text.split("\n"))
    assert memory == IMPORT_MEMORY_BYTES // 1024
    assert seconds == IMPORT_SECONDS
    assert size == 4 * BUNDLE_MAX_BYTES // 512
    assert core == 0


async def test_a_bundle_is_only_ever_touched_by_a_limited_git(
    user: User, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, bool]] = []
    real = Git.run

    async def noted(self: Git, *args: str, **kwargs: Any) -> Any:
        if self.git_dir.name == "quarantine.git":
            ran.append((args[0], self.limited))
        return await real(self, *args, **kwargs)

    monkeypatch.setattr(Git, "run", noted)
    run = await start(user)
    run.agent.write("made.txt")
    assert (await run.go()).problem is None

    assert {name for name, limited in ran if limited} == {name for name, _ in ran}
    assert {"index-pack", "rev-list", "diff-tree"} <= {name for name, _ in ran}


SCRIPTS = {
    "says nothing": "exit 0",
    "fails": "exit 1",
    "garbage": "head -c 500 /dev/urandom",
    "endless": "yes",
    "a wrong id": "echo 1111111111111111111111111111111111111111",
    "an option for an id": "echo --upload-pack=touch",
    "two ids": "echo 1111111111111111111111111111111111111111; exec echo 22",
    "control characters": "printf '\\033]52;c;eHh4\\007'; exit 3",
}


@pytest.mark.parametrize("case", SCRIPTS)
async def test_a_git_inside_that_is_a_script_yields_a_problem(
    user: User, start: Start, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.git.inside.SECONDS", 2.0)
    run = await start(user)
    run.agent.write("made.txt")
    run.inside.replace_git(f"#!/bin/sh\n{SCRIPTS[case]}\n")
    before = look(user), user.refs()

    done = await run.go()

    assert done.problem is not None
    assert done.problem.kind == "SyncError"
    assert done.problem.message.isprintable()
    assert (look(user), user.refs()) == before


@pytest.mark.parametrize(
    "said", ["x" + "1" * 40, "1" * 41, "1" * 39, "1" * 40 + "\\n" + "2" * 40, "A" * 40]
)
async def test_an_id_is_forty_hex_digits_and_nothing_else(
    user: User, start: Start, said: str
) -> None:
    run = await start(user)
    run.inside.replace_git(f"#!/bin/sh\nprintf '{said}\\n'\n")
    with pytest.raises(SyncError, match="no commit id"):
        await Workspace(run.inside).head()


@pytest.mark.parametrize("kind", ["link", "pipe", "directory", "device", "nothing"])
async def test_something_else_where_the_bundle_should_be_yields_a_problem(
    user: User, start: Start, kind: str
) -> None:
    make = {
        "link": 'ln -s /etc/passwd "$file"',
        "pipe": 'mkfifo "$file"',
        "directory": 'mkdir "$file"',
        "device": 'ln -s /dev/zero "$file"',
        "nothing": ":",
    }[kind]
    run = await start(user)
    run.agent.write("made.txt")
    run.inside.replace_git(
        '#!/bin/sh\ncase " $* " in *" bundle "*) ;; *) exec /usr/bin/git "$@";; esac\n'
        f'for word; do case "$word" in /tmp/*) file=$word;; esac; done\n{make}\n'
    )
    before = look(user), user.refs()

    done = await run.go()

    assert done.problem is not None
    assert "could not be carried out" in done.problem.message
    assert (look(user), user.refs()) == before
    run.inside.replace_git('#!/bin/sh\nexec /usr/bin/git "$@"\n')
    assert (await run.go()).problem is None


async def test_a_plant_that_did_not_take_is_an_error(user: User, start: Start) -> None:
    lie = '#!/bin/sh\ncase " $* " in *" rev-parse "*) echo ' + "1" * 40 + ";; esac\n"
    with pytest.raises(SandboxError, match="stands at 1111"):
        await start(user, git_inside=lie)
