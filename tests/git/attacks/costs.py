"""Few bytes that become many, take for ever, or break what has to walk over them."""

from __future__ import annotations

import hashlib

from tests.git.attacks.base import (
    DIR,
    FILE,
    Attack,
    Build,
    Made,
    Naive,
    Target,
    accepted,
    one_file,
    tip_of,
)
from tests.git.packs import Pack

SMALL = 3_000_000
_LITTLE_TIME = "ulimit -t 2"
_LITTLE_MEMORY = "ulimit -v 1000000"


def zeros(pack: Pack, target: Target) -> Made:
    return tip_of(one_file(pack, b"x", bytes(400_000_000)), pack, target)


def deltas(pack: Pack, target: Target) -> Made:
    """Each doubles the one before: a gigabyte in a few kilobytes."""
    size = 4_000_000
    oid = pack.blob(b"A" * size)
    while size < 1_000_000_000:
        digest = hashlib.sha1(b"blob %d\0" % (2 * size))
        for _ in range(2 * size // 4_000_000):
            digest.update(b"A" * 4_000_000)
        oid = pack.doubled(oid, size, digest.hexdigest())
        size *= 2
    return tip_of(pack.tree((FILE, b"x", oid)), pack, target)


def giant_arrives(naive: Naive) -> bool:
    """A bundle of a few kilobytes is a file of hundreds of megabytes in the repository."""
    small = naive.bundle.stat().st_size < SMALL
    return (
        small and naive.fetch() and int(naive.user.git("cat-file", "-s", "theirs:x")) > 300_000_000
    )


def paths(pack: Pack, target: Target) -> Made:
    tree = one_file(pack)
    for _ in range(10):
        tree = pack.tree(*((DIR, b"d%d" % n, tree) for n in range(10)))
    return tip_of(tree, pack, target)


def cannot_be_listed(naive: Naive) -> bool:
    listing = ("grep", "-q", "none", "theirs")
    return naive.fetch() and naive.git(*listing, limit=_LITTLE_TIME).returncode < 0


def wide(pack: Pack, target: Target) -> Made:
    name, oid = b"100644 %09d\0", bytes.fromhex(pack.blob(b"x"))
    body = b"".join(name % n + oid for n in range(2_200_000))
    return tip_of(pack.put("tree", body), pack, target)


def fills_an_index(naive: Naive) -> bool:
    return naive.fetch() and len(naive.git("ls-tree", "theirs").stdout) > 100_000_000


def deep(count: int) -> Build:
    def build(pack: Pack, target: Target) -> Made:
        tree = one_file(pack)
        for _ in range(count):
            tree = pack.tree((DIR, b"d", tree))
        return tip_of(tree, pack, target)

    return build


def cannot_be_checked_out(naive: Naive) -> bool:
    return naive.fetch() and naive.git("checkout", "-q", "theirs").returncode != 0


def cannot_be_walked(naive: Naive) -> bool:
    """git falls over its own feet: every fetch, gc and clone from now on."""
    return naive.unbundle() and naive.git("rev-list", "--objects", "--all").returncode != 0


def endless_line(pack: Pack, target: Target) -> Made:
    tip = pack.commit(one_file(pack), target.head)
    return Made(b"# v2 git bundle\n-" + b"a" * 40_000_000, tip)


def takes_long(naive: Naive) -> bool:
    fetch = ("fetch", "-q", str(naive.bundle), "refs/*:refs/theirs/*")
    return naive.git(*fetch, limit=_LITTLE_TIME).returncode < 0


def claims(pack: Pack, target: Target) -> Made:
    tip = pack.commit(one_file(pack), target.head)
    return Made(pack.bundle(tip, target.head, claims=2**31 - 1), tip)


def memory_is_asked_for(naive: Naive) -> bool:
    """A hundred gigabytes for a bundle of a few hundred bytes."""
    fetch = ("fetch", "-q", str(naive.bundle), "refs/*:refs/theirs/*")
    return b"emory" in naive.git(*fetch, limit=_LITTLE_MEMORY).stderr


def message(pack: Pack, target: Target) -> Made:
    tip = pack.commit(one_file(pack), target.head, message=b"m" * 100_000_000 + b"\n")
    return Made(pack.bundle(tip, target.head), tip)


def fills_the_screen(naive: Naive) -> bool:
    return naive.fetch() and len(naive.git("log", "-1", "theirs").stdout) > 50_000_000


def parents(pack: Pack, target: Target) -> Made:
    tree = one_file(pack)
    many = [pack.commit(tree, target.head, message=b"%d\n" % n) for n in range(25_000)]
    tip = pack.commit(tree, target.head, *many)
    return Made(pack.bundle(tip, target.head), tip)


def cannot_be_drawn(naive: Naive) -> bool:
    graph = ("log", "--graph", "--oneline", "theirs")
    return naive.fetch() and naive.git(*graph, limit=_LITTLE_TIME).returncode < 0


def attributes(pack: Pack, target: Target) -> Made:
    line = b"x " + b"a" * 3000 + b"\n"
    return tip_of(one_file(pack, b".gitattributes", line), pack, target)


ATTACKS: dict[str, Attack] = {
    "zeros": Attack(zeros, giant_arrives, costly=True),
    "deltas that double": Attack(deltas, giant_arrives, costly=True),
    "ten thousand million paths": Attack(paths, cannot_be_listed, costly=True),
    "a directory of two million files": Attack(wide, fills_an_index, costly=True),
    "directories too deep for a disk": Attack(deep(3_000), cannot_be_checked_out, costly=True),
    "directories too deep for git": Attack(deep(120_000), cannot_be_walked, costly=True),
    "a line without end": Attack(endless_line, takes_long, costly=True),
    "objects that are only claimed": Attack(claims, memory_is_asked_for, costly=True),
    "a message of a hundred megabytes": Attack(message, fills_the_screen, costly=True),
    "parents by the thousand": Attack(parents, cannot_be_drawn, costly=True),
    "attributes longer than a line may be": Attack(attributes, accepted),
}
