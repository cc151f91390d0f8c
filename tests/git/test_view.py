"""What a person is shown of an agent's commits runs nothing, says what is stored, is bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.errors import UserError
from agent.core.text import terminal_safe
from agent.git import view
from agent.git.powers import Power, alike, has_power, leads_out, power_of
from agent.git.repository import Repository
from agent.git.view import viewing
from tests.git.users import User


def spied(user: User, marker: Path) -> None:
    """A user whose git runs a program at every look."""
    user.write(".gitattributes", "* diff=spy\n")
    user.write(".git/info/attributes", "* diff=spy\n")
    for key in ("diff.spy.textconv", "diff.spy.command", "diff.external", "core.pager"):
        user.git("config", key, f"touch {marker}; cat")
    user.git("config", "log.showSignature", "true")
    user.git("config", "gpg.program", f"touch {marker}")


async def test_nothing_of_the_users_configuration_runs(user: User, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    spied(user, marker)
    base = user.git("rev-parse", "HEAD")
    tip = user.commit("change", **{"a.txt": "changed\n"})
    user.git("diff", base, tip, ok=False)
    assert marker.exists()
    marker.unlink()

    async with viewing(await Repository.find(user.root)) as shown:
        text = await shown.diff(base, tip)
        assert "+changed" in text.split("\n")
        assert "+changed" in (await shown.show(tip)).split("\n")
        assert [c.subject for c in await shown.log(base, tip)] == ["change"]
        await shown.powers(base, tip)

    assert not marker.exists()


async def test_replacements_grafts_and_mailmaps_do_not_lie(user: User) -> None:
    base = user.git("rev-parse", "HEAD")
    tip = user.commit("truth", **{".mailmap": "Mallory <m@example.org> <ada@example.org>\n"})
    other = user.git("commit-tree", "HEAD^{tree}", "-m", "lie")
    user.git("replace", tip, other)
    user.write(".git/info/grafts", f"{tip}\n")

    async with viewing(await Repository.find(user.root)) as shown:
        (one,) = await shown.log(base, tip)

    assert (one.id, one.subject, one.parents) == (tip, "truth", (base,))
    assert (one.name, one.mail) == ("Ada Lovelace", "ada@example.org")


async def test_no_control_character_reaches_the_screen(user: User) -> None:
    base = user.git("rev-parse", "HEAD")
    escape = "\x1b]52;c;eHh4\x07\x9b31m\u202e"
    user.write(f"na{escape}me\n.txt", f"text{escape}\n")
    user.git("add", "-A")
    tree = user.git("write-tree")
    body = f"tree {tree}\nparent {base}\nauthor A{escape} <a{escape}@x> 99999999999999 +0000\n"
    body += (
        f"committer A <a@x> 1 +0000\nencoding ISO-2022-CN-EXT\n\nsub{escape}ject\n\nbody{escape}\n"
    )
    tip = user.git(
        "hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=body.encode()
    )

    async with viewing(await Repository.find(user.root)) as shown:
        (one,) = await shown.log(base, tip)
        texts = [
            await shown.diff(base, tip),
            await shown.show(tip),
            one.message,
            one.name,
            one.mail,
        ]

    assert one.when == 0
    for text in texts:
        assert "52;c;eHh4" in text
        assert terminal_safe(text) == text


async def test_a_long_diff_is_cut_and_says_so(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "WORK_DIFF_MAX_BYTES", 1000)
    base = user.git("rev-parse", "HEAD")
    tip = user.commit("long", **{"long.txt": "line\n" * 1000})
    async with viewing(await Repository.find(user.root)) as shown:
        text = await shown.diff(base, tip)
        with pytest.raises(UserError, match="larger than 100 bytes"):
            await shown.patch(base, tip, 100)
    assert "cut at 1000 bytes" in text


async def test_only_full_ids_are_asked_for(user: User) -> None:
    async with viewing(await Repository.find(user.root)) as shown:
        for bad in ("HEAD", "--output=/tmp/x", "a" * 39, "refs/heads/main", "A" * 40):
            with pytest.raises(UserError, match="not the full id"):
                await shown.diff(bad, bad)


async def test_a_patch_carries_every_byte(user: User, tmp_path: Path) -> None:
    base = user.git("rev-parse", "HEAD")
    user.write("binary", bytes(range(256)))
    user.write(b"odd \xff\n", b"x\r\n\x1b")
    user.path("run.sh").unlink()
    user.write("a.txt", "no newline", 0o755)
    tip = user.commit("all kinds")
    async with viewing(await Repository.find(user.root)) as shown:
        patch = await shown.patch(base, tip, 1_000_000)

    user.git("checkout", "--quiet", base)
    user.git("apply", "--index", "-", stdin=patch)
    assert user.git("write-tree") == user.git("rev-parse", f"{tip}^{{tree}}")


async def test_changes_are_counted_by_path(user: User) -> None:
    base = user.git("rev-parse", "HEAD")
    user.path("dir/b.txt").unlink()
    user.write("bin", b"\0\1")
    tip = user.commit("x", **{"a.txt": "one\n3\n4\n", ":looks like a raw entry": "1\n"})
    async with viewing(await Repository.find(user.root)) as shown:
        found = {c.path: (c.what, c.lines) for c in await shown.changes(base, tip)}
    assert found == {
        "dir/b.txt": ("removed", (0, 1)),
        "bin": ("added", None),
        "a.txt": ("changed", (2, 1)),
        ":looks like a raw entry": ("added", (1, 0)),
    }


async def test_files_with_power_are_named(user: User) -> None:
    user.commit("old", **{"readme": "x\n", "plain.txt": "x\n"})
    base = user.git("rev-parse", "HEAD")
    for name in (".github/workflows/ci.yml", "sub/.envrc", ".vscode/tasks.json", "README"):
        user.write(name)
    user.write("tool", mode=0o755)
    user.write("plain.txt", "y\n")
    user.path("out").symlink_to("../../etc/passwd")
    user.path("in").symlink_to("dir/b.txt")
    tip = user.commit("new")
    async with viewing(await Repository.find(user.root)) as shown:
        found = {one.path: one.why for one in await shown.powers(base, tip)}
    assert found == {
        ".github/workflows/ci.yml": "CI runs it",
        ".vscode/tasks.json": "the editor may run it",
        "sub/.envrc": "the shell may run it on entering",
        "tool": "it can be executed now",
        "out": "a link that leads out, to `../../etc/passwd`",
        "readme": "one file with `README` where case does not count",
    }


@pytest.mark.parametrize(
    ("path", "target", "out"),
    [
        ("a", "b", False),
        ("a/b/c", "../../d", False),
        ("a/b/c", "../../../d", True),
        ("a", "/etc/passwd", True),
        ("a", "C:\\x", True),
        ("a", "..\\x", True),
        ("a", "", True),
        ("a/b", "../.GIT/config", True),
        ("a", "b/../../x", True),
    ],
)
def test_links_that_lead_out(path: str, target: str, out: bool) -> None:
    assert leads_out(path, target) is out


def test_names_alike() -> None:
    assert alike(["a", "b", "A"]) == (("a", "A"),)
    assert alike(["\u00e9", "e\u0301"]) == (("\u00e9", "e\u0301"),)
    assert alike(["a\u200cb", "ab"]) == (("a\u200cb", "ab"),)
    assert alike(["x.", "x"]) == (("x.", "x"),)
    assert alike(["a", "b"]) == ()


def test_powers_by_name() -> None:
    assert has_power("deep/down/.gitattributes")
    assert has_power(".Github/Workflows/x.YML")
    assert has_power("x/.cargo/config.toml")
    assert not has_power("src/main.py")
    assert power_of("sub", "000000", "160000") == Power("sub", "another repository (a submodule)")
    assert power_of("x", "100755", "100755") is None
