"""Objects that no git would write: names, modes, headers, holes."""

from __future__ import annotations

from tests.git.attacks.base import (
    DIR,
    FILE,
    LINK,
    Attack,
    Build,
    Made,
    Naive,
    Target,
    accepted,
    one_file,
    tip_of,
    unpacked,
)
from tests.git.packs import PERSON, Pack


def folder(*names: bytes) -> Build:
    """A directory of that name with a configuration that runs a program."""

    def build(pack: Pack, target: Target) -> Made:
        inner = one_file(pack, b"config", b"[core]\n\tfsmonitor = touch pwned\n")
        return tip_of(pack.tree(*((DIR, name, inner) for name in names)), pack, target)

    return build


def mode(text: bytes) -> Build:
    def build(pack: Pack, target: Target) -> Made:
        return tip_of(pack.tree((text, b"x", pack.blob(b"x"))), pack, target)

    return build


def padded(pack: Pack, target: Target) -> Made:
    return tip_of(pack.tree((b"040000", b"d", one_file(pack))), pack, target)


def through_a_link(pack: Pack, target: Target) -> Made:
    link, evil = pack.blob(b"/tmp"), pack.blob(b"evil\n")
    return tip_of(pack.tree((LINK, b"a", link), (FILE, b"a/evil", evil)), pack, target)


def link_like_a_folder(pack: Pack, target: Target) -> Made:
    hooks, inner = pack.blob(b".git/hooks"), one_file(pack, b"post-checkout", b"#!/bin/sh\n")
    return tip_of(pack.tree((LINK, b"A", hooks), (DIR, b"a", inner)), pack, target)


def both_are_here(naive: Naive) -> bool:
    """Even with all checks of git switched on."""
    naive.git("config", "fetch.fsckObjects", "true")
    return naive.fetch() and b"120000" in naive.git("ls-tree", "theirs").stdout


def modules(text: bytes, kind: bytes = FILE) -> Build:
    def build(pack: Pack, target: Target) -> Made:
        return tip_of(pack.tree((kind, b".gitmodules", pack.blob(text))), pack, target)

    return build


def submodule(line: bytes, name: bytes = b"x") -> bytes:
    return b'[submodule "%b"]\n\tpath = x\n\turl = https://example.org/x\n\t%b\n' % (name, line)


def without(kind: str) -> Build:
    """A bundle whose pack lacks one object that it names."""

    def build(pack: Pack, target: Target) -> Made:
        blob = pack.blob(b"gone", include=kind != "blob")
        tree = pack.tree((FILE, b"x", blob), include=kind != "tree")
        parents = [target.head]
        if kind == "parent":
            lost = Pack()
            parents.append(lost.commit(one_file(lost), target.head))
        tip = pack.commit(tree, *parents)
        return Made(pack.bundle(tip, target.head), tip)

    return build


def commit(text: str) -> Build:
    """A commit of that text, with its tree and parent filled in."""

    def build(pack: Pack, target: Target) -> Made:
        body = text.format(tree=one_file(pack), head=target.head, who=PERSON.decode())
        tip = pack.put("commit", body.encode())
        return Made(pack.bundle(tip, target.head), tip)

    return build


_HEAD = "tree {tree}\nparent {head}\n"

ATTACKS: dict[str, Attack] = {
    ".git": Attack(folder(b".git"), accepted),
    ".GIT": Attack(folder(b".GIT"), accepted),
    "git~1": Attack(folder(b"git~1"), accepted),
    ".git with characters that HFS+ ignores": Attack(folder(b".g\xe2\x80\x8cit"), accepted),
    ".git as a stream of NTFS": Attack(folder(b".git::$INDEX_ALLOCATION"), accepted),
    "the parent directory": Attack(folder(b".."), accepted),
    "the directory itself": Attack(folder(b"."), accepted),
    "a name with a slash": Attack(folder(b"a/b"), accepted),
    "a name without a letter": Attack(folder(b""), unpacked),
    "a name twice": Attack(folder(b"a", b"a"), accepted),
    "names out of order": Attack(folder(b"b", b"a"), accepted),
    "a mode of its own": Attack(mode(b"100666"), accepted),
    "a mode with a zero in front": Attack(padded, accepted),
    "a file below a link": Attack(through_a_link, accepted),
    "a link and a directory, but for case": Attack(link_like_a_folder, both_are_here),
    "option as a submodule's url": Attack(modules(submodule(b"url = --x=touch pwned")), accepted),
    "option as a submodule's path": Attack(modules(submodule(b"path = -x")), accepted),
    "a submodule outside": Attack(modules(submodule(b"", b"../../x")), accepted),
    "a submodule that runs a program": Attack(modules(submodule(b"update = !touch x")), accepted),
    "a link as .gitmodules": Attack(modules(b"/etc/passwd", LINK), accepted),
    "a file that is not there": Attack(without("blob"), unpacked),
    "a directory that is not there": Attack(without("tree"), unpacked),
    "a parent that is not there": Attack(without("parent"), unpacked),
    "no author": Attack(commit(_HEAD + "\nx\n"), accepted),
    "NUL in a header": Attack(
        commit(_HEAD + "author {who}\ncommitter {who}\nx a\0b\n\nx\n"), accepted
    ),
    "a date beyond all numbers": Attack(
        commit(_HEAD + "author X <x@x> 99999999999999999999999 +0000\ncommitter {who}\n\nx\n"),
        accepted,
    ),
    "a time zone that is text": Attack(
        commit(_HEAD + "author X <x@x> 1 +x\ncommitter {who}\n\nx\n"), accepted
    ),
    "no space before the address": Attack(
        commit(_HEAD + "author X<x@x> 1 +0000\ncommitter {who}\n\nx\n"), accepted
    ),
}
