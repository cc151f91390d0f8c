from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from agent.core.errors import UserError
from agent.git import history
from agent.git.repository import Repository
from agent.git.rules import INCLUDE_FILE, Rules
from agent.git.seed import SNAPSHOT_MESSAGE, pack_seed
from agent.host.files import temporary_dir
from tests.git.conftest import Run, Start
from tests.git.users import IDENTITY, User, look

KEY = "ghp_" + "A1b2" * 9
ODD = b"sp ace\nnew\xff\xfe.txt"
ODD_TEXT = ODD.decode("utf-8", "surrogateescape")


def carried(run: Run) -> dict[str, tuple[str, bytes]]:
    return run.agent.tree("HEAD")


def reasons(run: Run) -> str:
    return "\n".join(run.seeded.left_out)


async def test_a_clean_tree_needs_no_snapshot(user: User, start: Start) -> None:
    run = await start(user)

    assert run.seeded.tip == run.seeded.base == user.git("rev-parse", "HEAD")
    assert run.seeded.left_out == ()
    assert run.agent.git("status", "--porcelain") == ""
    assert run.agent.git("log", "--format=%H") == user.git("log", "--format=%H")


async def test_all_kinds_of_uncommitted_work_are_in_the_snapshot(user: User, start: Start) -> None:
    user.commit("more", **{"gone.txt": "x\n", "old name": "moved\n", "staged.txt": "1\n"})
    user.path("gone.txt").unlink()
    user.path("old name").rename(user.path("new name"))
    user.write("run.sh", "#!/bin/sh\n", 0o755)
    user.write("staged.txt", "2\n")
    user.git("add", "staged.txt")
    user.write("staged.txt", "3\n")
    user.write("only staged.txt", "s\n")
    user.git("add", "only staged.txt")
    user.write("intended.txt", "i\n")
    user.git("add", "--intent-to-add", "intended.txt")
    user.write(ODD, "odd\n")
    user.path("link").symlink_to("/etc/passwd")
    user.path("dangling").symlink_to("no such\nplace")
    user.write(".gitignore", "*.log\n")
    user.write("ignored.log")
    before = look(user)

    run = await start(user)

    assert carried(run) == {
        ".gitignore": ("100644", b"*.log\n"),
        "a.txt": ("100644", b"one\ntwo\n"),
        "dangling": ("120000", b"no such\nplace"),
        "dir/b.txt": ("100644", b"b\n"),
        "intended.txt": ("100644", b"i\n"),
        "link": ("120000", b"/etc/passwd"),
        "new name": ("100644", b"moved\n"),
        "only staged.txt": ("100644", b"s\n"),
        "run.sh": ("100755", b"#!/bin/sh\n"),
        ODD_TEXT: ("100644", b"odd\n"),
        "staged.txt": ("100644", b"3\n"),
    }
    assert run.agent.git("status", "--porcelain") == ""
    assert (run.inside.work / ODD_TEXT).read_text() == "odd\n"
    assert os.access(run.inside.work / "run.sh", os.X_OK)
    assert (run.inside.work / "link").readlink() == Path("/etc/passwd")
    assert look(user) == before
    assert run.seeded.left_out == ()


async def test_the_snapshot_is_the_users_and_grows_from_head(user: User, start: Start) -> None:
    user.write("new.txt")
    run = await start(user)

    shown = run.agent.git("log", "-1", "--format=%an|%ae|%cn|%ce|%P|%B")
    by = f"{IDENTITY[0]}|{IDENTITY[1]}|{IDENTITY[0]}|{IDENTITY[1]}"
    assert shown == f"{by}|{user.git('rev-parse', 'HEAD')}|{SNAPSHOT_MESSAGE}".rstrip()


async def test_dirty_counts_the_files_that_differ(user: User) -> None:
    user.write("a.txt", "changed\n")
    user.path("dir/b.txt").unlink()
    user.write("new.txt")
    with temporary_dir() as tmp:
        seed = await pack_seed(await Repository.find(user.root), tmp)

    assert seed.dirty == 3


async def test_a_change_in_the_very_moment_of_the_index_is_seen(user: User, start: Start) -> None:
    # Same size, same time stamp as the index: only a racy-clean check finds it, and only while the
    # copy of the index is as old as the original.
    moment = time.time_ns() - 10**9
    path, index = user.path("a.txt"), user.root / ".git/index"
    os.utime(path, ns=(moment, moment))
    user.git("-c", "core.trustctime=false", "update-index", "--refresh")
    inode = path.stat().st_ino
    path.write_text("ONE\nTWO\n")
    os.utime(path, ns=(moment, moment))
    os.utime(index, ns=(moment, moment))
    user.git("config", "core.trustctime", "false")
    assert path.stat().st_ino == inode

    run = await start(user)

    assert carried(run)["a.txt"] == ("100644", b"ONE\nTWO\n")


async def test_untracked_secrets_and_giants_stay_out_and_are_named(
    user: User, start: Start
) -> None:
    secret = (".env", "conf/.env.local", "x.pem", "id_rsa", "deploy.key", ".netrc", "credentials")
    for name in secret:
        user.write(name, "token\n")
    user.write(".ssh/config", "Host x\n")
    for name in (".env.example", "id_rsa.pub", "credentials.py", "keyboard.txt"):
        user.write(name, "harmless\n")
    user.write("giant.bin", b"x" * 1001)
    user.write("fits.bin", b"x" * 1000)
    user.write("a.txt", "y" * 1001)

    run = await start(user, rules=Rules(file_max=1000))

    new = set(carried(run)) - set(user.tree("HEAD"))
    assert new == {".env.example", "id_rsa.pub", "credentials.py", "keyboard.txt", "fits.bin"}
    assert carried(run)["a.txt"] == ("100644", b"one\ntwo\n")
    for name in (*secret, ".ssh/config", "giant.bin", "a.txt"):
        assert f"`{name}`" in reasons(run)
    objects = run.agent.git("cat-file", "--batch-all-objects", "--batch-check", "--unordered")
    for name in (*secret, "giant.bin"):
        assert user.git("hash-object", name) not in objects


async def test_a_tracked_secret_is_the_users_decision(user: User, start: Start) -> None:
    user.commit("it is fake", **{".env": "A=1\n"})
    user.write(".env", "A=2\n")

    run = await start(user)

    assert carried(run)[".env"] == ("100644", b"A=2\n")


async def test_what_the_users_own_ignore_files_name_stays_out(
    user: User, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "globalignore").write_text("*.swp\n")
    (tmp_path / "gitconfig").write_text(f"[core]\nexcludesFile = {tmp_path}/globalignore\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    user.path(".git/info").mkdir(exist_ok=True)
    user.write(".git/info/exclude", "private/\n")
    user.write("private/notes.txt")
    user.write("a.txt.swp")

    run = await start(user)

    assert run.seeded.tip == run.seeded.base


async def test_the_default_place_of_the_global_ignore_file_counts(
    user: User, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config/git").mkdir(parents=True)
    (tmp_path / "config/git/ignore").write_text("*.swp\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    user.write("a.txt.swp")

    run = await start(user)

    assert run.seeded.tip == run.seeded.base


async def test_submodules_stay_as_recorded_and_their_files_at_home(
    user: User, start: Start, tmp_path: Path
) -> None:
    other = User.start(tmp_path / "other")
    recorded = other.commit("secret sauce", **{"sauce.txt": "s\n"})
    allow = ("-c", "protocol.file.allow=always")
    user.git(*allow, "submodule", "--quiet", "add", str(other.root), "sub")
    user.commit("with submodule")
    sub = User(user.root / "sub")
    sub.git("-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "--allow-empty", "-m", "new")
    sub.write("dirty.txt")
    user.write("new.txt")
    before = look(user)

    run = await start(user)

    assert carried(run)["sub"] == ("160000", recorded.encode())
    assert not [name for name in carried(run) if name.startswith("sub/")]
    assert "`sub`" in reasons(run)
    assert run.agent.git("cat-file", "-t", recorded, ok=False) == ""
    assert run.agent.git("status", "--porcelain") == ""
    assert look(user) == before


async def test_nested_repositories_stay_out_and_are_named(user: User, start: Start) -> None:
    User.start(user.root / "with commit").commit("x", f="f")
    User.start(user.root / "dir/without")
    user.write("dir/without/file.txt")
    user.git("worktree", "add", "--quiet", "tree", "-b", "other")
    user.git("init", "--quiet", "--bare", "bare.git")

    run = await start(user)

    assert run.seeded.tip == run.seeded.base
    for name in ("with commit/", "dir/without/", "tree/", "bare.git/"):
        assert f"`{name}`: a git repository of its own" in reasons(run)


async def test_a_directory_where_a_file_was_and_the_other_way_round(
    user: User, start: Start
) -> None:
    user.path("a.txt").unlink()
    user.write("a.txt/inner.txt", "deep\n")
    user.path("dir/b.txt").unlink()
    user.path("dir").rmdir()
    user.path("dir").symlink_to("elsewhere")
    User.start(user.root / "run").commit("x", f="f")
    user.path("run.sh").unlink()
    user.path("run").rename(user.path("run.sh"))

    run = await start(user)

    assert carried(run) == {
        "a.txt/inner.txt": ("100644", b"deep\n"),
        "dir": ("120000", b"elsewhere"),
    }
    assert "`run.sh`: a git repository" in reasons(run)


async def test_special_files_are_left_alone(user: User, start: Start) -> None:
    os.mkfifo(user.root / "pipe")
    user.path("run.sh").unlink()
    os.mkfifo(user.root / "run.sh")
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(user.root)
        server.bind("socket")

        run = await start(user)

    assert set(carried(run)) == {"a.txt", "dir/b.txt"}
    assert "`run.sh`: not a regular file any more" in reasons(run)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
async def test_an_unreadable_file_is_named(user: User, start: Start) -> None:
    user.write("mine.txt", "x", 0o000)
    run = await start(user)
    assert "`mine.txt`: not readable" in reasons(run)


async def test_a_merge_conflict_is_carried_as_it_is_on_disk(user: User, start: Start) -> None:
    user.git("checkout", "--quiet", "-b", "side")
    user.commit("side", **{"a.txt": "side\n", "dir/b.txt": "side\n"})
    user.git("checkout", "--quiet", "main")
    user.commit("main", **{"a.txt": "main\n"})
    user.git("rm", "--quiet", "dir/b.txt")
    user.commit("removed")
    user.git("merge", "side", ok=False)
    on_disk = user.path("a.txt").read_bytes()
    assert b"<<<<<<<" in on_disk
    before = look(user)

    run = await start(user)

    assert carried(run)["a.txt"] == ("100644", on_disk)
    assert carried(run)["dir/b.txt"] == ("100644", b"side\n")
    assert "`a.txt`: in conflict" in reasons(run)
    assert look(user) == before


async def test_a_sparse_checkout_deletes_nothing(user: User, start: Start) -> None:
    user.commit("more", **{"kept/c.txt": "c\n", "left/d.txt": "d\n"})
    user.git("sparse-checkout", "set", "--cone", "--sparse-index", "kept")
    assert not user.path("left").exists()
    user.write("kept/c.txt", "changed\n")
    before = look(user)

    run = await start(user)

    expected = user.tree("HEAD") | {"kept/c.txt": ("100644", b"changed\n")}
    assert carried(run) == expected
    assert (run.inside.work / "left/d.txt").read_text() == "d\n"
    assert look(user) == before


async def test_assume_unchanged_files_count_as_unchanged(user: User, start: Start) -> None:
    user.git("update-index", "--assume-unchanged", "a.txt", "dir/b.txt")
    user.write("a.txt", "local setting\n")
    user.path("dir/b.txt").unlink()
    user.write("new.txt")

    run = await start(user)

    assert carried(run) == user.tree("HEAD") | {"new.txt": ("100644", b"text\n")}


async def test_a_split_index_and_index_version_four_are_read(user: User, start: Start) -> None:
    user.git("config", "splitIndex.maxPercentChange", "100")
    user.git("update-index", "--index-version", "4")
    user.git("update-index", "--split-index")
    user.write("new.txt")
    user.git("update-index", "--add", "new.txt")
    assert list((user.root / ".git").glob("sharedindex.*"))
    user.write("a.txt", "changed\n")
    before = look(user)

    run = await start(user)

    expected = {"new.txt": ("100644", b"text\n"), "a.txt": ("100644", b"changed\n")}
    assert carried(run) == user.tree("HEAD") | expected
    assert look(user) == before


async def test_an_fsmonitor_that_lies_is_neither_run_nor_believed(
    user: User, start: Start, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    hook = user.root / ".git/monitor"
    hook.write_text(f"#!/bin/sh\nprintf 'token\\0'\n[ -n \"$MARK\" ] && touch {marker}\n:\n")
    hook.chmod(0o755)
    user.git("config", "core.fsmonitor", str(hook))
    user.git("config", "core.fsmonitorHookVersion", "2")
    user.git("update-index", "--fsmonitor")
    user.git("status")
    hook.write_text(f"#!/bin/sh\nprintf 'token\\0'\ntouch {marker}\n")
    user.write("a.txt", "changed\n")

    run = await start(user)

    assert carried(run)["a.txt"] == ("100644", b"changed\n")
    assert not marker.exists()


async def test_filters_do_not_run_and_what_they_guard_stays_as_committed(
    user: User, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "ran"
    (tmp_path / "gitconfig").write_text(
        f'[filter "a=b"]\nclean = touch {marker}; tr a-z A-Z\nrequired = true\n'
        f'[filter "proc"]\nprocess = touch {marker}\n'
    )
    user.commit("attributes", **{".gitattributes": "*.crypt filter=a=b\n*.lfs filter=proc\n"})
    user.commit("plain", **{"x.crypt": "cipher\n", "y.lfs": "pointer\n"})
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    user.write("x.crypt", "clear text\n")
    user.write("y.lfs", "big\n")
    user.write("new.crypt", "clear text\n")

    run = await start(user)

    assert not marker.exists()
    assert run.seeded.tip == run.seeded.base
    for name in ("x.crypt", "y.lfs", "new.crypt"):
        assert f"`{name}`: needs the filter" in reasons(run)
    await run.go()
    assert not marker.exists()


async def test_line_endings_follow_the_users_settings(user: User, start: Start) -> None:
    user.commit("attributes", **{".gitattributes": "*.txt text=auto\n"})
    user.write("dos.txt", "a\r\nb\r\n")
    user.write("dos.bin", "a\r\nb\r\n")

    run = await start(user)

    assert carried(run)["dos.txt"] == ("100644", b"a\nb\n")
    assert carried(run)["dos.bin"] == ("100644", b"a\r\nb\r\n")


async def test_no_remote_credential_stash_or_amended_commit_goes_in(
    user: User, start: Start
) -> None:
    user.git("remote", "add", "origin", "https://me:hunter2@example.org/x.git")
    user.git("config", "http.https://example.org/.extraheader", "Authorization: hunter2")
    user.git("config", "credential.helper", "!echo hunter2")
    lost = user.commit("amended away", **{"a.txt": "hunter2\n"})
    user.git("commit", "--quiet", "--amend", "-m", "clean", "--allow-empty")
    user.write("a.txt", "stashed\n")
    user.git("stash")
    stashed = user.git("rev-parse", "stash")
    user.git("tag", "-a", "v1", "-m", "tag")
    user.git("branch", "elsewhere", "main~1")
    before = look(user)

    run = await start(user)

    inside = "".join(
        path.read_text("utf-8", "replace")
        for path in (run.inside.work / ".git").rglob("*")
        if path.is_file() and path.suffix not in (".pack", ".idx")
    )
    assert "hunter2" not in inside
    assert "origin" not in inside
    for commit in (lost, stashed):
        assert run.agent.git("cat-file", "-t", commit, ok=False) == ""
    refs = run.agent.git("for-each-ref", "--format=%(refname)").split("\n")
    ours = ["refs/glovebox/out", "refs/heads/glovebox/1"]
    assert refs == [*ours, "refs/heads/main", "refs/tags/v1"]
    assert look(user) == before


@pytest.mark.parametrize("place", ["subdirectory", "worktree", "detached"])
async def test_where_the_user_stands(user: User, start: Start, place: str, tmp_path: Path) -> None:
    stands, branch = user, "main"
    if place == "subdirectory":
        stands = User(user.root / "dir")
    elif place == "worktree":
        user.git("worktree", "add", "--quiet", str(tmp_path / "linked tree"), "-b", "feature/x")
        stands, branch = User(tmp_path / "linked tree"), "feature/x"
        stands.write("here.txt")
    else:
        user.git("checkout", "--quiet", "--detach", "main~1")
        branch = ""
    user.write("a.txt", "main worktree\n")
    before = look(user)

    run = await start(stands)
    run.agent.write("made.txt")
    done = await run.go()

    assert done.problem is None
    assert run.seeded.base == stands.git("rev-parse", "HEAD")
    assert run.agent.git("rev-parse", "--verify", f"refs/heads/{branch or 'x'}", ok=False) == (
        run.seeded.base if branch else ""
    )
    assert ("here.txt" in run.agent.tree("HEAD")) == (place == "worktree")
    assert look(user) == before


async def test_a_shallow_clone_works_both_ways(user: User, start: Start, tmp_path: Path) -> None:
    User(tmp_path).git("clone", "--quiet", "--depth=2", user.root.as_uri(), "shallow")
    shallow = User(tmp_path / "shallow")
    shallow.write("a.txt", "changed\n")
    before = look(shallow)

    run = await start(shallow)
    run.agent.write("made.txt")
    done = await run.go()

    assert done.problem is None
    assert run.agent.git("rev-list", "--count", "HEAD") == "4"
    run.agent.git("fsck", "--strict")
    shallow.git("fsck", "--strict")
    assert look(shallow) == before


async def test_borrowed_objects_are_found(user: User, start: Start, tmp_path: Path) -> None:
    User(tmp_path).git("clone", "--quiet", "--shared", str(user.root), "borrower one")
    User(tmp_path).git("clone", "--quiet", "--shared", "borrower one", 'borrower "two"')
    borrower = User(tmp_path / 'borrower "two"')
    borrower.write("a.txt", "changed\n")

    run = await start(borrower)
    run.agent.write("made.txt")

    assert (await run.go()).problem is None
    run.agent.git("fsck", "--strict")


async def test_replaced_objects_go_in_as_they_are(user: User, start: Start) -> None:
    user.git("replace", "main~1", "main~2")
    before = look(user)

    run = await start(user)

    commits = user.git("--no-replace-objects", "rev-list", "main")
    assert run.agent.git("rev-list", "HEAD") == commits
    assert look(user) == before


async def test_a_name_with_a_newline_on_the_way_to_the_repository(
    tmp_path: Path, start: Start
) -> None:
    user = User.start(tmp_path / "odd\nplace \xe9")
    user.commit("x", **{"a.txt": "a\n"})
    user.write("a.txt", "b\n")

    run = await start(user)
    run.agent.write("made.txt")

    assert (await run.go()).problem is None


async def test_a_partial_clone_goes_in_without_the_history_it_lacks(
    user: User, start: Start, tmp_path: Path
) -> None:
    user.git("config", "uploadpack.allowFilter", "true")
    User(tmp_path).git("clone", "-q", "--filter=blob:none", user.root.as_uri(), "partial")
    partial = User(tmp_path / "partial")
    partial.write("a.txt", "changed\n")
    before = look(partial)

    run = await start(partial)
    run.agent.write("made.txt")
    done = await run.go()

    assert done.problem is None
    assert run.seeded.base == user.git("rev-parse", "HEAD")
    assert "the history: this is a partial clone" in reasons(run)
    run.agent.git("fsck", "--strict")
    assert look(partial) == before


async def test_a_partial_clone_that_lacks_its_newest_files_says_so(
    user: User, start: Start, tmp_path: Path
) -> None:
    user.git("config", "uploadpack.allowFilter", "true")
    User(tmp_path).git("clone", "-qn", "--filter=blob:none", user.root.as_uri(), "partial")

    with pytest.raises(UserError, match="partial clone") as caught:
        await start(User(tmp_path / "partial"), rules=Rules(uncommitted=False))
    assert "git fetch --refetch" in caught.value.hint


async def test_a_lost_object_is_said_in_words(user: User, start: Start) -> None:
    oid = user.git("rev-parse", "main~2:a.txt")
    (user.root / ".git/objects" / oid[:2] / oid[2:]).unlink()

    with pytest.raises(UserError, match="pack-objects") as caught:
        await start(user)
    assert "git fsck" in caught.value.hint


# What goes in by choice, and what stays out by rule.


async def test_keys_and_tokens_in_files_stay_out_and_are_named(user: User, start: Start) -> None:
    user.commit("a fixture", **{"fixture.txt": f"{KEY}\n", "config.py": "x = 1\n"})
    user.write("notes.txt", f"see {KEY}\n")
    user.write("server.txt", "-----BEGIN RSA PRIVATE KEY-----\nMII\n")
    user.write("binary.dat", b"\0" + KEY.encode())
    user.write("config.py", f"token = '{KEY}'\n")
    user.write("fixture.txt", f"{KEY}\nand more\n")
    user.write("harmless.txt", "ghp_short\n")

    run = await start(user)

    for name in ("notes.txt", "server.txt", "config.py"):
        assert f"`{name}`: holds a key or a token" in reasons(run)
    assert len(run.seeded.left_out) == 3
    there = carried(run)
    assert there["config.py"] == ("100644", b"x = 1\n")
    assert there["fixture.txt"][1].endswith(b"and more\n")
    assert {"binary.dat", "harmless.txt"} <= set(there)
    assert not {"notes.txt", "server.txt"} & set(there)


async def test_what_is_staged_and_not_committed_is_no_decision_yet(
    user: User, start: Start
) -> None:
    user.commit("config", **{"config.py": "x = 1\n", "other.py": "y = 1\n"})
    user.write(".env", "A=1\n")
    user.write("intended.pem", "A=1\n")
    user.write("config.py", f"token = '{KEY}'\n")
    user.write("other.py", f"token = '{KEY}'\n")
    user.write("notes.txt", f"{KEY}\n")
    user.write("big.bin", b"x" * 2000)
    user.write("fine.txt", "fine\n")
    user.git("add", "--intent-to-add", "intended.pem")
    user.git("add", ".env", "config.py", "other.py", "notes.txt", "big.bin", "fine.txt")
    user.write("other.py", f"token = '{KEY}'  # changed again\n")
    before = look(user)

    run = await start(user, rules=Rules(file_max=1000))

    new = {".env", "intended.pem", "notes.txt", "big.bin"}
    assert not new & set(carried(run))
    assert carried(run)["config.py"] == ("100644", b"x = 1\n")
    assert carried(run)["other.py"] == ("100644", b"y = 1\n")
    assert carried(run)["fine.txt"] == ("100644", b"fine\n")
    for name in (*new, "config.py", "other.py"):
        assert f"`{name}`: " in reasons(run)
    assert len(run.seeded.left_out) == len(new) + 2
    objects = run.agent.git("cat-file", "--batch-all-objects", "--batch-check")
    for name in (*new, "config.py", "other.py"):
        assert user.git("hash-object", name) not in objects
    assert look(user) == before


async def test_what_is_staged_outside_of_a_sparse_checkout_is_kept(
    user: User, start: Start
) -> None:
    user.commit("more", **{"kept/c.txt": "c\n", "left/d.txt": "d\n"})
    user.git("sparse-checkout", "set", "--cone", "kept")
    blob = user.git("hash-object", "-w", "--stdin", stdin=b"staged\n")
    user.git("update-index", "--cacheinfo", f"100644,{blob},left/d.txt")
    user.git("update-index", "--skip-worktree", "left/d.txt")

    run = await start(user)

    assert carried(run)["left/d.txt"] == ("100644", b"staged\n")


async def test_what_the_user_says_is_no_secret_goes_in(user: User, start: Start) -> None:
    user.write(".env", "A=1\n")
    user.write("conf/test.pem", "x\n")
    user.write("notes.txt", f"{KEY}\n")
    user.write("other.pem", "x\n")

    run = await start(user, rules=Rules(secrets=(".env", "conf/*.pem", "notes.txt")))

    assert {".env", "conf/test.pem", "notes.txt"} <= set(carried(run))
    assert run.seeded.left_out == ("`other.pem`: untracked and looks like a secret",)


async def test_more_than_the_gate_lets_in_is_named(user: User, start: Start) -> None:
    for name in ("a.bin", "b.bin", "c.bin"):
        user.write(name, b"x" * 400)

    run = await start(user, rules=Rules(total_max=1000))

    assert {"a.bin", "b.bin"} <= set(carried(run))
    assert "`c.bin`: the uncommitted work is more than 1000 bytes without it" in reasons(run)


async def test_without_uncommitted_work_when_the_user_wants_none(user: User, start: Start) -> None:
    user.write("a.txt", "changed\n")
    user.write("new.txt")

    run = await start(user, rules=Rules(uncommitted=False))

    assert run.seeded.tip == run.seeded.base
    assert run.agent.git("status", "--porcelain") == ""


async def test_ignored_files_that_are_named_lie_there_and_are_in_no_commit(
    user: User, start: Start
) -> None:
    files = {".gitignore": "*.local\nbuild/\n.env\n", INCLUDE_FILE: "*.local\n/build/keep*\n.env\n"}
    user.commit("ignore", **files)
    user.write("deep/settings.local", "mine\n")
    user.write("odd #name .local", "odd\n")
    user.write("build/keep me", "kept\n", 0o755)
    user.write("build/other", "not\n")
    user.write("key.local", f"{KEY}\n")
    user.write(".env", "A=1\n")
    before = look(user)

    run = await start(user)
    inside = run.inside.work

    assert (inside / "deep/settings.local").read_text() == "mine\n"
    assert (inside / "odd #name .local").read_text() == "odd\n"
    assert os.access(inside / "build/keep me", os.X_OK)
    assert not [n for n in ("build/other", "key.local", ".env") if (inside / n).exists()]
    assert "`.env`: untracked and looks like a secret" in reasons(run)
    assert "`key.local`: holds a key or a token" in reasons(run)
    assert run.seeded.tip == run.seeded.base
    assert run.agent.git("status", "--porcelain") == ""
    run.agent.write("deep/settings.local", "changed by the agent\n")
    run.agent.write("made.txt")
    done = await run.go()
    assert set(user.tree(done.commit)) - set(user.tree("HEAD")) == {"made.txt"}
    await run.undo(run.seeded.tip)
    assert (inside / "deep/settings.local").read_text() == "changed by the agent\n"
    assert look(user) == before


async def test_a_list_of_files_that_is_a_link_is_not_followed(
    user: User, start: Start, tmp_path: Path
) -> None:
    user.commit("ignore", **{".gitignore": "*.local\n"})
    (tmp_path / "list").write_text("*\n")
    user.path(INCLUDE_FILE).symlink_to(tmp_path / "list")
    user.write("x.local")

    run = await start(user)

    assert not (run.inside.work / "x.local").exists()


async def test_pointers_of_lfs_are_named(user: User, start: Start) -> None:
    files = {".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "x.bin": "pointer\n"}
    user.commit("lfs", **files)

    run = await start(user)

    assert run.seeded.left_out == (
        "`x.bin`: in Git LFS; its pointer is carried, its content is not",
    )
    assert carried(run)["x.bin"] == ("100644", b"pointer\n")


# Repositories of all kinds.


async def test_a_repository_without_commits_goes_in_as_it_lies_there(
    start: Start, tmp_path: Path
) -> None:
    user = User.start(tmp_path / "new")
    user.write("a.txt", "a\n")
    user.write("staged.txt", "s\n")
    user.git("add", "staged.txt")
    user.write(".env", "A=1\n")
    before = look(user)

    run = await start(user)
    run.agent.write("made.txt")
    done = await run.go()

    assert done.problem is None
    assert set(user.tree("glovebox/1")) == {"a.txt", "staged.txt", "made.txt"}
    assert user.git("rev-list", "--count", "glovebox/1") == "2"
    assert "`.env`" in reasons(run)
    assert look(user) == before
    user.path("a.txt").unlink()
    user.git("rm", "--quiet", "--cached", "staged.txt")
    user.path("staged.txt").unlink()
    user.git("merge", "--quiet", "glovebox/1")
    assert user.path("made.txt").exists()


async def test_an_empty_repository_is_a_place_to_begin(start: Start, tmp_path: Path) -> None:
    user = User.start(tmp_path / "new")

    run = await start(user)
    run.agent.write("made.txt")
    done = await run.go()

    assert done.problem is None
    assert set(user.tree("glovebox/1")) == {"made.txt"}


async def test_an_unborn_branch_beside_others(user: User, start: Start) -> None:
    user.git("checkout", "--quiet", "--orphan", "fresh")
    user.git("rm", "--quiet", "-rf", ".")
    user.write("only.txt")
    before = look(user)

    run = await start(user)
    run.agent.write("made.txt")
    done = await run.go()

    assert done.problem is None
    assert set(user.tree("glovebox/1")) == {"only.txt", "made.txt"}
    assert run.agent.git("rev-list", "--count", "HEAD") == "2"
    assert look(user) == before


def grown(user: User) -> None:
    """History with a merge, tags of both kinds, a side branch, and a tag elsewhere."""
    for n in range(6):
        user.commit(f"main {n}", **{"a.txt": f"{n}\n"})
    user.git("tag", "light", "main~4")
    user.git("tag", "-a", "old", "-m", "old", "main~5")
    user.git("checkout", "--quiet", "-b", "side", "main~2")
    user.commit("side", **{"side.txt": "s\n"})
    user.git("checkout", "--quiet", "main")
    user.git("merge", "--quiet", "--no-ff", "-m", "merge", "side")
    user.git("tag", "-a", "v\u00e9/1", "-m", "release")
    user.git("tag", "-a", "tree", "-m", "no commit", "HEAD^{tree}")
    user.git("tag", "-a", "again", "-m", "tag of a tag", "v\u00e9/1")
    user.git("checkout", "--quiet", "-b", "elsewhere", "main~3")
    user.commit("elsewhere", **{"secret.txt": "x\n"})
    user.git("tag", "never-sent")
    user.git("checkout", "--quiet", "main")


async def test_ids_merges_and_tags_are_the_same_inside(user: User, start: Start) -> None:
    grown(user)
    before = look(user)

    run = await start(user)

    graph = ("log", "--topo-order", "--format=%H %P %T", "HEAD")
    assert run.agent.git(*graph) == user.git(*graph)
    tags = ("for-each-ref", "--format=%(objectname) %(refname)", "refs/tags/")
    expected = [t for t in user.git(*tags).split("\n") if not t.endswith(("never-sent", "/tree"))]
    assert run.agent.git(*tags).split("\n") == expected
    assert run.agent.git("describe") == user.git("describe")
    run.agent.git("fsck", "--strict")
    assert look(user) == before


@pytest.mark.parametrize("depth", [1, 3, 5])
async def test_a_history_that_is_cut_has_the_same_ids(user: User, start: Start, depth: int) -> None:
    grown(user)
    user.git("commit-graph", "write", "--reachable")
    user.write("a.txt", "uncommitted\n")
    before = look(user)

    run = await start(user, rules=Rules(history=depth))
    there = run.agent.git("rev-list", "HEAD").split("\n")

    assert there[0] == run.seeded.tip
    assert min(depth, 3) < len(there) <= depth + 1
    assert set(there[1:]) <= set(user.git("rev-list", "HEAD").split("\n"))
    run.agent.git("fsck", "--strict")
    run.agent.git("log", "-p", "--stat")
    run.agent.write("made.txt")
    done = await run.go()
    assert done.problem is None
    assert user.git("rev-list", "--count", f"{run.seeded.base}..glovebox/1") == "2"
    user.git("fsck", "--strict")
    assert look(user) == before


async def test_an_old_branch_merged_lately_does_not_cut_off_the_rest(
    user: User, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(12):
        user.commit(f"main {n}", **{"a.txt": f"{n}\n"})
    user.git("checkout", "--quiet", "-b", "old", "main~11")
    with monkeypatch.context() as long_ago:
        long_ago.setenv("GIT_COMMITTER_DATE", "2001-01-01T00:00:00Z")
        for n in range(3):
            user.git("commit", "--quiet", "--allow-empty", "-m", f"old {n}")
    user.git("checkout", "--quiet", "main")
    user.git("merge", "--quiet", "--no-ff", "-m", "merge", "old")

    run = await start(user, rules=Rules(history=8))

    there = run.agent.git("log", "--format=%s", "HEAD").split("\n")
    assert set(there) >= {"merge", "main 11", "main 9", "old 2", "old 0"}
    assert len(there) <= 8
    run.agent.git("fsck", "--strict")


async def test_much_history_is_cut_unless_somebody_asks_for_it(
    user: User, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.git("repack", "-adq")
    monkeypatch.setattr(history, "HISTORY_FULL_BYTES", 100)
    monkeypatch.setattr(history, "HISTORY_COMMITS", 2)

    run = await start(user)
    assert run.agent.git("rev-list", "--count", "HEAD") == "2"
    whole = await start(user, rules=Rules(history=0), session="s2", number=2)
    assert whole.agent.git("rev-list", "--count", "HEAD") == "3"


async def test_a_shallow_clone_is_cut_further(user: User, start: Start, tmp_path: Path) -> None:
    grown(user)
    User(tmp_path).git("clone", "--quiet", "--depth=4", user.root.as_uri(), "shallow")
    shallow = User(tmp_path / "shallow")

    for number, depth in enumerate((2, 0), start=1):
        rules = Rules(history=depth)
        run = await start(shallow, rules=rules, session=f"s{number}", number=number)
        run.agent.git("fsck", "--strict")
        assert run.agent.git("rev-parse", "HEAD") == user.git("rev-parse", "main")


async def test_odd_names_of_people_and_branches_arrive_as_they_are(
    user: User, start: Start
) -> None:
    user.git("config", "user.name", 'Ada "the \\ first" #1; é')
    user.git("checkout", "--quiet", "-b", 'feature/"q$(x)')

    run = await start(user)

    assert run.agent.git("config", "user.name") == 'Ada "the \\ first" #1; é'
    assert run.agent.git("config", "user.email") == IDENTITY[1]
    assert run.agent.git("rev-parse", 'refs/heads/feature/"q$(x)') == run.seeded.base
    assert run.agent.git("symbolic-ref", "HEAD") == "refs/heads/glovebox/1"
    user.git("checkout", "--quiet", "-b", "glovebox/2/mine")
    run = await start(user, session="s2", number=2)
    assert run.agent.git("for-each-ref", "refs/heads/", "--format=%(refname)") == (
        "refs/heads/glovebox/2"
    )
