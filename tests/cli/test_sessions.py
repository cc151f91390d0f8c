"""`glovebox sessions, rename, fork, adopt`, as a user types them."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.cli.test_home import bash
from tests.cli.test_shell import shell
from tests.e2e.rig import MODEL, User
from tests.servers.openai import OpenAIServer, say

pytestmark = pytest.mark.sandbox


def made(user: User, script: str, *wanted: str) -> None:
    done = shell(user, *(wanted or ("--new",)), "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr


def listed(user: User, *words: str) -> list[dict[str, object]]:
    ran = user.glovebox("sessions", "--json", *words)
    assert ran.code == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


def test_a_name_stands_where_a_number_can(user: User) -> None:
    user.start()
    made(user, "echo 1 >a")
    made(user, "echo 2 >a")
    assert user.glovebox("rename", "1", "the first").code == 0
    assert "the first: " in user.glovebox("sessions").out
    assert "+1" in user.glovebox("diff", "the first").out
    taken = user.glovebox("rename", "2", "the first")
    assert (taken.code, "session 1 is called" in taken.err) == (2, True)
    assert user.glovebox("rename", "the first", "").code == 0
    gone = user.glovebox("diff", "the first")
    assert (gone.code, "no session fits" in gone.err) == (2, True)


def test_sessions_are_found_by_what_was_said_in_any_repository(user: User) -> None:
    user.start()
    made(user, "echo one-\u001b[31m-needle")
    made(user, "export DB_PASSWORD=hunter2hunter2; echo thimble")
    other = user.home / "other"
    shutil.copytree(user.repo, other, ignore=shutil.ignore_patterns("glovebox"))
    done = shell(user, "--new", "--", "sh", "-c", "echo needle >n", at=other)
    assert done.returncode == 0, done.stderr
    assert [one["number"] for one in listed(user, "--search", "NEEDLE echo")] == [1]
    assert [one["repository"] for one in listed(user, "--all", "--search", "needle")] == [
        str(user.repo),
        str(other),
    ]
    assert len(listed(user, "--all")) == 3
    shown = user.glovebox("sessions", "--search", "needle")
    assert "one-" in shown.out and "\x1b" not in shown.out
    masked = user.glovebox("sessions", "--search", "thimble").out
    assert "[secret]" in masked and "hunter2" not in masked
    none = user.glovebox("sessions", "--search", "nowhere")
    assert (none.code, none.out) == (0, "no session has all of these words\n")


def test_a_fork_is_made_by_its_own_command_and_on_the_way_to_a_message(user: User) -> None:
    user.start()
    with OpenAIServer([bash("echo 1 >a"), say("done"), bash("echo 2 >>a"), say("done")]) as server:
        ran = user.glovebox("-m", "first", "--model", MODEL, server=server)
        assert ran.code == 0, ran.err
        ran = user.glovebox("--fork", "1", "-m", "second", server=server)
        assert ran.code == 0, ran.err
        said = [m["content"] for m in server.requests[-1]["messages"] if m["role"] == "user"]
        assert said == ["first", "second"]
    assert user.git("show", "glovebox/2:a") == "1\n2"
    assert user.git("show", "glovebox/1:a") == "1"
    ran = user.glovebox("fork", "2", "--turn", "1")
    assert ran.code == 0, ran.err
    assert "session 3 starts where session 2 stood after turn 1" in ran.out
    done = shell(user, "3", "--", "cat", "a")
    assert (done.returncode, done.stdout) == (0, b"1\n")
    assert listed(user)[-1]["forked"] == listed(user)[-2]["id"]
    both = user.glovebox("--fork", "1", "--continue", "-m", "x")
    assert (both.code, "--fork begins" in both.err) == (2, True)


def test_a_session_goes_with_a_repository_that_is_moved_rewritten_and_collected(user: User) -> None:
    user.start()
    (user.repo / "more.txt").write_text("more\n")
    user.git("add", "-A")
    user.git("commit", "-q", "-m", "second")
    made(user, "echo 1 >a")
    user.git("branch", "-D", "glovebox/1")
    moved = user.home / "renamed"
    user.repo.rename(moved)
    user.repo = moved
    user.git("commit", "-q", "--amend", "-m", "rewritten")
    user.git("rebase", "-q", "--root", "--exec", "git commit -q --amend --reset-author --no-edit")
    user.git("reflog", "expire", "--expire=now", "--all")
    user.git("gc", "--quiet", "--prune=now")
    made(user, "echo 2 >>a", "1")
    assert user.git("show", "glovebox/1:a") == "1\n2"
    assert "+2" in user.glovebox("diff", "1").out
    user.git("fsck", "--strict", "--no-dangling")


def test_a_new_clone_takes_over_the_sessions_of_the_lost_one(user: User) -> None:
    user.start()
    made(user, "echo 1 >a; git add a; git commit -qm one")
    made(user, "echo 2 >b")
    hub = user.home / "hub.git"
    user.git("clone", "-q", "--bare", str(user.repo), str(hub))
    living = user.home / "living"
    user.git("clone", "-q", str(hub), str(living), at=user.home)
    assert "adopt" not in user.glovebox("sessions", at=living).err
    shutil.rmtree(user.repo)
    user.git("clone", "-q", "--single-branch", "-b", "main", str(hub), str(user.repo), at=user.home)
    for key, value in (("user.name", "Ada"), ("user.email", "ada@example.org")):
        user.git("config", key, value)
    user.git("commit", "-q", "--allow-empty", "-m", "newer")
    made(user, "echo 3 >c")
    offered = user.glovebox("sessions").err
    assert "its sessions: 1, 2" in offered and "`glovebox adopt`" in offered
    unknown = user.glovebox("adopt", "9")
    assert (unknown.code, "no session of a lost" in unknown.err) == (2, True)
    taken = user.glovebox("adopt")
    assert taken.code == 0, taken.err
    assert "session 3 is of this repository now (it was 1)" in taken.out
    assert "session 2 is of this repository now" in taken.out
    assert "adopt" not in user.glovebox("sessions").err
    assert user.glovebox("sync", "3").code == 0
    assert user.git("show", "glovebox/3:a") == "1"
    made(user, "echo 4 >>b", "2")
    assert user.git("show", "glovebox/2:b") == "2\n4"
    assert "+1" in user.glovebox("diff", "3").out
    user.git("fsck", "--strict", "--no-dangling")


def test_a_conversation_goes_out_without_keys_and_comes_in_with_its_files(user: User) -> None:
    user.start()
    key = "AKIA" + "ABCDEFGHIJ234567"
    with OpenAIServer([bash(f"echo {key}; echo made >a"), say("done")]) as server:
        text = "use sk-canary-key of https://me:hunter22@example.org"
        ran = user.glovebox("-m", text, "--model", MODEL, server=server)
        assert ran.code == 0, ran.err
    for name in ("t.json", "t.md", "t.html"):
        ran = user.glovebox("export", "1", "--transcript", name)
        assert ran.code == 0, ran.err
        written = (user.repo / name).read_text()
        assert "[secret]" in written
        assert not any(word in written for word in (key, "sk-canary-key", "hunter22"))
    twice = user.glovebox("export", "1", "--transcript", "t.md")
    assert (twice.code, "exists" in twice.err) == (2, True)
    ran = user.glovebox("import", "t.json", "--network", "none", "--sandbox", "local")
    assert ran.code == 0, ran.err
    assert "session 2 begins with 4 messages" in ran.out and "on glovebox/2" in ran.out
    with OpenAIServer([bash("cat a >b"), say("done")]) as server:
        ran = user.glovebox("--resume", "2", "-m", "go on", "--model", MODEL, server=server)
        assert ran.code == 0, ran.err
        said = [m["content"] for m in server.requests[-1]["messages"] if m["role"] == "user"]
        assert said == ["use [secret] of https://[secret]@example.org", "go on"]
    assert user.git("show", "glovebox/2:b") == "made"
    other = user.home / "other"
    user.git("init", "-q", "-b", "main", str(other), at=user.home)
    ran = user.glovebox("import", str(user.repo / "t.json"), "--sandbox", "local", at=other)
    assert ran.code == 0 and "is not here" in ran.out, ran.err
    (user.repo / "bad.json").write_text('{"messages": [{"type": "tool", "results": []}]}')
    ran = user.glovebox("import", "bad.json")
    assert (ran.code, "no transcript that can be read" in ran.err) == (2, True)
