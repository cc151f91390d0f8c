"""What is a sound commit, and still not to be trusted: it may arrive, and must do nothing."""

from __future__ import annotations

from tests.git.attacks.base import (
    FILE,
    LINK,
    Attack,
    Bites,
    Build,
    Made,
    Naive,
    Target,
    one_file,
    tip_of,
)
from tests.git.packs import PERSON, Pack

ESCAPE = b"\x1b]52;c;cHduZWQ=\x07\x1b[8m"


def driver(line: bytes, name: bytes = b"a.txt") -> Build:
    """The user's own drivers (git-lfs and its like), put to use by an attribute."""

    def build(pack: Pack, target: Target) -> Made:
        files = [(FILE, b".gitattributes", pack.blob(line)), (FILE, name, pack.blob(b"theirs\n"))]
        return tip_of(pack.tree(*files), pack, target)

    return build


def ran(*commands: tuple[str, ...]) -> Bites:
    """The driver ran in one of the commands that follow a pull."""

    def bites(naive: Naive) -> bool:
        naive.user.commit("mine", **{"a.txt": "mine\n"})
        naive.pull()
        for command in commands:
            naive.git(*command)
        return naive.marker.exists()

    return bites


def merged(naive: Naive) -> bool:
    naive.user.commit("mine", **{"a.txt": "mine\n"})
    naive.fetch()
    naive.git("checkout", "-q", "theirs")
    naive.git("merge", "-q", "main")
    return naive.marker.exists()


def checked_out(naive: Naive) -> bool:
    naive.fetch()
    naive.git("checkout", "-q", "theirs")
    return naive.marker.exists()


def commit(body: bytes) -> Build:
    def build(pack: Pack, target: Target) -> Made:
        head = f"tree {one_file(pack)}\nparent {target.head}\n".encode()
        tip = pack.put("commit", head + body)
        return Made(pack.bundle(tip, target.head), tip)

    return build


def escapes_in(*command: str) -> Bites:
    def bites(naive: Naive) -> bool:
        return naive.pull() and b"\x1b" in naive.git(*command).stdout

    return bites


def control_by_decoding(naive: Naive) -> bool:
    """The start of a control sequence that was not there before git changed the alphabet."""
    return naive.pull() and "\x9b".encode() in naive.git("log", "-2").stdout


def escaped(pack: Pack, target: Target) -> Made:
    return tip_of(one_file(pack, b"x", b"text " + ESCAPE + b"\n"), pack, target)


def link_out(pack: Pack, target: Target) -> Made:
    outside = target.user.root.parent / "outside.txt"
    outside.write_text("outside\n")
    return tip_of(pack.tree((LINK, b"notes", pack.blob(str(outside).encode()))), pack, target)


def outside_is_read(naive: Naive) -> bool:
    return naive.pull() and (naive.user.root / "notes").read_text() == "outside\n"


def odd_names(pack: Pack, target: Target) -> Made:
    blob = pack.blob(b"x\n")
    names = sorted([b"a\nb", b"c" + ESCAPE, b"d\\e", b"-rf", b"\xff\xfe"])
    return tip_of(pack.tree(*((FILE, name, blob) for name in names)), pack, target)


def screen_obeys(naive: Naive) -> bool:
    return naive.pull() and any("\x1b" in path.name for path in naive.user.root.iterdir())


def mailmap(pack: Pack, target: Target) -> Made:
    body = b"Linus Torvalds <torvalds@example.org> <x@example.org>\n"
    return tip_of(one_file(pack, b".mailmap", body), pack, target)


def somebody_else(naive: Naive) -> bool:
    log = ("log", "-1", "--no-merges", "--format=%aN", "theirs")
    return naive.pull() and naive.fetch() and b"Linus Torvalds" in naive.git(*log).stdout


def another_repository(pack: Pack, target: Target) -> Made:
    return tip_of(pack.tree((b"160000", b"dir", "1" * 40)), pack, target)


def nothing_arrived(naive: Naive) -> bool:
    """git is content, and where the work should be there is an empty directory."""
    return naive.pull() and not list((naive.user.root / "dir").iterdir())


def hook(pack: Pack, target: Target) -> Made:
    script = b"#!/bin/sh\ntouch '%b'\n" % str(target.user.root.parent / "ran").encode()
    inner = pack.tree((b"100755", b"post-checkout", pack.blob(script)))
    return tip_of(pack.tree((b"40000", b".githooks", inner)), pack, target)


def hook_ran(naive: Naive) -> bool:
    naive.git("config", "core.hooksPath", ".githooks")  # as such projects tell everybody to
    return checked_out(naive) or (naive.git("checkout", "-q", "main") and naive.marker.exists())


_WHO = b"author " + PERSON + b"\ncommitter " + PERSON + b"\n"

ATTACKS: dict[str, Attack] = {
    "a filter on checkout": Attack(driver(b"* filter=spy\n"), checked_out, taken=True),
    "a filter for the bytes of LFS": Attack(driver(b"* filter=lfs\n"), checked_out, taken=True),
    "a program that shows text": Attack(
        driver(b"* diff=spy\n"),
        ran(
            ("log", "-p", "--all"),
        ),
        taken=True,
    ),
    "a program that compares": Attack(
        driver(b"* diff=spyc\n"),
        ran(
            ("diff", "HEAD~1"),
        ),
        taken=True,
    ),
    "a program that merges": Attack(driver(b"* merge=spy\n"), merged, taken=True),
    "hooks in the tree": Attack(hook, hook_ran, taken=True),
    "escapes in a message": Attack(
        commit(_WHO + b"\nx " + ESCAPE + b"\n"), escapes_in("log", "-2"), taken=True
    ),
    "escapes in a name": Attack(
        commit(
            b"author X" + ESCAPE + b" <x@x> 1 +0000\ncommitter " + PERSON + b"\n\nx\n",
        ),
        escapes_in("log", "-2"),
        taken=True,
    ),
    "escapes by a change of alphabet": Attack(
        commit(_WHO + b"encoding ISO-8859-1\n\nx \x9b8m\n"),
        control_by_decoding,
        taken=True,
    ),
    "escapes in text": Attack(driver(b"", b"z" + b".txt"), lambda naive: naive.pull(), taken=True),
    "names of files": Attack(odd_names, screen_obeys, taken=True),
    "a link that leads out": Attack(link_out, outside_is_read, taken=True),
    "another author": Attack(mailmap, somebody_else, taken=True),
    "a directory that is another repository": Attack(
        another_repository, nothing_arrived, taken=True
    ),
}
