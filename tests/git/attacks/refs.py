"""Headers that name what they should not, history that is not ours, things that are no bundle."""

from __future__ import annotations

from tests.git.attacks.base import (
    DIR,
    FILE,
    REF,
    Attack,
    Build,
    Made,
    Naive,
    Target,
    one_file,
)
from tests.git.packs import Pack


def also(*names: str) -> Build:
    """A bundle that offers more refs than it was asked for."""

    def build(pack: Pack, target: Target) -> Made:
        tip = pack.commit(one_file(pack), target.head)
        ref = REF + "".join(f"\n{tip} {name}" for name in names)
        return Made(pack.bundle(tip, target.head, ref=ref), tip)

    return build


def only(name: str) -> Build:
    def build(pack: Pack, target: Target) -> Made:
        tip = pack.commit(one_file(pack), target.head)
        return Made(pack.bundle(tip, target.head, ref=name), tip)

    return build


def all_refs(naive: Naive) -> bool:
    """Whoever takes everything that is offered has something else there than before."""
    before = naive.user.refs()
    naive.git("fetch", "-q", "--update-head-ok", str(naive.bundle), "+refs/*:refs/*")
    after = naive.user.refs()
    after.pop(REF, "")
    return after != before


def tags_come_along(naive: Naive) -> bool:
    return naive.fetch() and "refs/tags/v9" in naive.user.refs()


def head_is_merged(naive: Naive) -> bool:
    naive.git("pull", "-q", "--no-rebase", "--no-edit", str(naive.bundle))
    return naive.user.git("rev-parse", "HEAD") != naive.target.head


def option_is_obeyed(naive: Naive) -> bool:
    """Whoever takes the name from the bundle gives git an option."""
    name = naive.git("bundle", "list-heads", str(naive.bundle)).stdout.split()[1].decode()
    naive.git("bundle", "list-heads", str(naive.bundle), name)
    naive.git("for-each-ref", name)
    naive.git("archive", name, "HEAD")
    return (naive.user.root / "pwned").exists()


def history(kind: str) -> Build:
    def build(pack: Pack, target: Target) -> Made:
        before = target.user.git("rev-parse", f"{target.head}~1")
        parents = {"unrelated": (), "rewritten": (before,)}[kind]
        tip = pack.commit(one_file(pack), *parents)
        return Made(pack.bundle(tip, *parents), tip)

    return build


def work_is_lost(naive: Naive) -> bool:
    """A forced fetch onto the branch that has the earlier work."""
    naive.user.git("branch", "-f", "theirs", naive.target.head)
    return (
        naive.fetch()
        and naive.git("merge-base", "--is-ancestor", naive.target.head, "theirs").returncode == 1
    )


def on_hidden(pack: Pack, target: Target) -> Made:
    tip = pack.commit(one_file(pack), target.head, target.hidden)
    return Made(pack.bundle(tip, target.head, target.hidden), tip)


def with_hidden_parent(pack: Pack, target: Target) -> Made:
    tip = pack.commit(one_file(pack), target.head, target.hidden)
    return Made(pack.bundle(tip, target.head), tip)


def hidden_is_in_it(naive: Naive) -> bool:
    """What was never sent is part of the work, and goes wherever that goes."""
    return naive.fetch() and b"never sent" in naive.git("log", "theirs").stdout


def names_hidden(kind: str) -> Build:
    def build(pack: Pack, target: Target) -> Made:
        path = "secret.txt" if kind == "file" else "secrets"
        oid = target.user.git("rev-parse", f"{target.hidden}:{path}")
        tree = pack.tree((FILE if kind == "file" else DIR, b"stolen", oid))
        tip = pack.commit(tree, target.head)
        return Made(pack.bundle(tip, target.head), tip)

    return build


def secret_is_readable(naive: Naive) -> bool:
    shown = naive.git("grep", "-h", "canary", "theirs") if naive.fetch() else None
    return shown is not None and b"canary" in shown.stdout


def no_commit(kind: str) -> Build:
    def build(pack: Pack, target: Target) -> Made:
        tree = one_file(pack)
        commit = pack.commit(tree, target.head)
        text = f"object {commit}\ntype commit\ntag x\ntagger X <x@x> 1 +0000\n\nx\n"
        tip = {"tag": pack.put("tag", text.encode()), "tree": tree}[kind]
        return Made(pack.bundle(tip, target.head), tip)

    return build


def something_else_arrives(naive: Naive) -> bool:
    into = ("fetch", "-q", str(naive.bundle), f"+{REF}:refs/theirs")
    return naive.git(*into).returncode == 0 and naive.git("switch", "theirs").returncode != 0


def filtered(pack: Pack, target: Target) -> Made:
    tip = pack.commit(pack.tree((FILE, b"x", pack.blob(b"x", include=False))), target.head)
    data = pack.bundle(tip, target.head)
    old, new = b"# v2 git bundle\n", b"# v3 git bundle\n@filter=blob:none\n"
    return Made(data.replace(old, new, 1), tip)


def promises_stay(naive: Naive) -> bool:
    """The pack is kept as one that may lack objects: what is missing is missed by nobody."""
    naive.fetch()
    return any((naive.user.root / ".git/objects/pack").glob("*.promisor"))


def elsewhere(line: str) -> Build:
    """Not a bundle: a way to the user's own repository, whose secrets are taken for the work."""

    def build(pack: Pack, target: Target) -> Made:
        tip = pack.commit(one_file(pack), target.head)
        target.user.git("update-ref", REF, target.hidden)
        place = line.format(git=target.user.root / ".git")
        return Made(pack.bundle(tip, target.head), tip, place)

    return build


def other_repository(naive: Naive) -> bool:
    return naive.fetch() and b"never sent" in naive.git("log", "theirs").stdout


def damaged(pack: Pack, target: Target) -> Made:
    tip = pack.commit(one_file(pack), target.head)
    return Made(pack.bundle(tip, target.head)[:-9], tip)


def rubbish_stays(naive: Naive) -> bool:
    """What could not be unpacked lies about for ever, or until the next gc."""
    naive.git("config", "fetch.unpackLimit", "1")
    naive.fetch()
    return any((naive.user.root / ".git/objects").rglob("tmp_*"))


ATTACKS: dict[str, Attack] = {
    "branches of the user": Attack(also("refs/heads/main", "refs/heads/other"), all_refs),
    "a tag": Attack(also("refs/tags/v9"), tags_come_along),
    "a replacement": Attack(also(f"refs/replace/{'1' * 40}"), all_refs),
    "notes and a stash": Attack(also("refs/notes/commits", "refs/stash"), all_refs),
    "the branch that shuts ours out": Attack(also("refs/heads/glovebox"), all_refs),
    "HEAD": Attack(only("HEAD"), head_is_merged),
    "an option as a name": Attack(only("--output=pwned"), option_is_obeyed),
    "unrelated history": Attack(history("unrelated"), work_is_lost),
    "history made anew": Attack(history("rewritten"), work_is_lost),
    "a commit that was never sent": Attack(on_hidden, hidden_is_in_it),
    "the same, not said": Attack(with_hidden_parent, hidden_is_in_it),
    "a file that was never sent": Attack(names_hidden("file"), secret_is_readable),
    "a directory that was never sent": Attack(names_hidden("directory"), secret_is_readable),
    "a tag as the tip": Attack(no_commit("tag"), something_else_arrives),
    "a tree as the tip": Attack(no_commit("tree"), something_else_arrives),
    "a promise of objects": Attack(filtered, promises_stay),
    "a way to another repository": Attack(
        elsewhere("printf 'gitdir: {git}\\n' > \"$file\""), other_repository
    ),
    "a link to another repository": Attack(elsewhere('ln -s "{git}" "$file"'), other_repository),
    "a pack that breaks off": Attack(damaged, rubbish_stays),
}
