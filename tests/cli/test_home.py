"""`glovebox pull, undo, redo, sync`: moves between a session and the repository."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.test_shell import shell
from tests.e2e.rig import MODEL, User
from tests.servers.openai import OpenAIServer, Reply, call, reply, say

pytestmark = pytest.mark.sandbox


@pytest.fixture
def script() -> list[Reply]:
    """What the model says, to be added to."""
    return []


@pytest.fixture
def server(script: list[Reply]) -> Iterator[OpenAIServer]:
    with OpenAIServer(script) as running:
        yield running


def bash(command: str) -> Reply:
    return reply("", call("bash", {"command": command}))


def turn(user: User, server: OpenAIServer, said: list[Reply], script: str, *more: str) -> None:
    """One turn of a model that runs a script and says it is done."""
    said += [bash(script), say("done")]
    ran = user.glovebox(*more, "-m", f"do {script}", "--model", MODEL, server=server)
    assert ran.code == 0, ran.err


def inside(user: User, script: str) -> str:
    done = shell(user, "1", "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def test_turns_are_undone_and_redone_with_all_they_did(
    user: User, server: OpenAIServer, script: list[Reply]
) -> None:
    user.start()
    turn(user, server, script, "echo 1 >a; echo x >~/kept")
    turn(user, server, script, "echo 2 >>a; rm hello.txt", "--continue")
    turn(user, server, script, "echo 3 >>a", "--continue")
    tips = [user.git("rev-parse", f"glovebox/1~{n}") for n in (0, 1, 2)]
    before = user.fingerprint()
    ran = user.glovebox("undo", "1", "--turns", "2")
    assert ran.code == 0, ran.err
    assert user.git("rev-parse", "glovebox/1") == tips[2]
    assert inside(user, "cat a; ls") == "1\na\nhello.txt\n"
    assert user.glovebox("redo", "1").code == 0
    assert user.git("rev-parse", "glovebox/1") == tips[0]
    assert inside(user, "cat a; ls") == "1\n2\n3\na\n"
    assert user.fingerprint() == before
    ran = user.glovebox("redo", "1")
    assert (ran.code, "nothing to redo" in ran.err) == (2, True)
    ran = user.glovebox("undo", "1", "--turns", "4")
    assert (ran.code, "only 3 turns" in ran.err) == (2, True)


def test_the_conversation_goes_and_comes_with_the_files(
    user: User, server: OpenAIServer, script: list[Reply]
) -> None:
    user.start()
    turn(user, server, script, "echo 1 >a")
    turn(user, server, script, "echo 2 >a", "--continue")
    assert user.glovebox("undo", "1").code == 0
    assert user.glovebox("redo", "1").code == 0
    turn(user, server, script, "echo 3 >a", "--continue")
    asked = [m["content"] for m in server.requests[-1]["messages"] if m["role"] == "user"]
    assert asked == ["do echo 1 >a", "do echo 2 >a", "do echo 3 >a"]
    assert user.glovebox("undo", "1").code == 0
    turn(user, server, script, "echo 4 >a", "--continue")
    asked = [m["content"] for m in server.requests[-1]["messages"] if m["role"] == "user"]
    assert asked == ["do echo 1 >a", "do echo 2 >a", "do echo 4 >a"]
    assert user.glovebox("redo", "1").code == 2  # something else was done since


def test_new_commits_are_pulled_in_and_conflicts_left_for_the_agent(user: User) -> None:
    user.start({"a.txt": "a\n", "b.txt": "b\n"})
    assert shell(user, "--new", "--", "sh", "-c", "echo agent >a.txt").returncode == 0
    (user.repo / "b.txt").write_text("mine\n")
    user.git("commit", "-qam", "mine")
    before = user.fingerprint()
    ran = user.glovebox("pull", "1")
    assert (ran.code, "is merged inside" in ran.out) == (0, True)
    assert inside(user, "cat a.txt b.txt") == "agent\nmine\n"
    assert user.git("merge-base", "--is-ancestor", "main", "glovebox/1") == ""
    assert user.fingerprint() == before
    (user.repo / "a.txt").write_text("mine too\n")
    ran = user.glovebox("pull", "1")
    assert (ran.code, "has all of it already" in ran.out) == (0, True)
    user.git("commit", "-qam", "mine too")
    ran = user.glovebox("pull", "1")
    assert ran.code == 6
    assert "conflicts with the work inside in a.txt; it is there as branch yours/main" in ran.out
    # What the agent would do.
    settle = "git merge yours/main; echo both >a.txt; git commit -qam settled"
    assert inside(user, settle).count("CONFLICT") == 1
    merged = user.glovebox("merge", "1", "--yes")
    assert merged.code == 0, merged.err
    assert (user.repo / "a.txt").read_text() == "both\n"


def test_uncommitted_work_comes_when_asked_for(user: User) -> None:
    user.start()
    assert shell(user, "--new", "--", "true").returncode == 0
    (user.repo / "wip.txt").write_text("wip\n")
    assert user.glovebox("pull", "1", "--dirty").code == 0
    assert inside(user, "cat wip.txt") == "wip\n"
    ran = user.glovebox("pull", "1", "nowhere")
    assert (ran.code, "`nowhere` is no commit" in ran.err) == (2, True)


def test_commits_are_worded_by_the_weak_model_and_signed_as_configured(
    user: User, server: OpenAIServer, script: list[Reply]
) -> None:
    user.start()
    settings = {
        "GLOVEBOX_WEAK_MODEL": "openai/weak",
        "GLOVEBOX_COMMIT_TRAILER": "Co-authored-by: A Model <model@example.org>",
        "GLOVEBOX_COMMIT_AUTHOR": "Bot <bot@example.org>",
    }
    script += [bash("echo 1 >a"), say("done"), say("feat: Count to one")]
    ran = user.glovebox("-m", "count", "--model", MODEL, server=server, environment=settings)
    assert ran.code == 0, ran.err
    said = user.git("log", "-1", "--format=%an <%ae>%n%B", "glovebox/1")
    assert said.startswith("Bot <bot@example.org>\nfeat: Count to one\n\n")
    assert "Co-authored-by: A Model <model@example.org>" in said
    asked = server.requests[-1]
    assert asked["model"] == "weak"
    assert "- start" in asked["messages"][-1]["content"]
    assert "+1" in asked["messages"][-1]["content"]
    ran = user.glovebox("-m", "x", environment={"GLOVEBOX_COMMIT_AUTHOR": "nobody"})
    assert (ran.code, "`Name <address>`" in ran.err) == (2, True)
