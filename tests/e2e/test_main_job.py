"""A message in, a verified branch out, everything risky inside: over the provider's real wire."""

from __future__ import annotations

import json

import pytest

from tests.e2e.rig import MODEL, ODD_NAME, User, big_repository
from tests.nesting import assert_nested
from tests.servers.openai import OpenAIServer, call, reply, say
from tests.servers.scripts import by_conversation

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

LOOK = """
git log --oneline | cat
git status --porcelain
ls -a . | head -50; cat new.txt src/p0/m50.py src/p2/m2.py; cat src/p1/m1.py; readlink link
./run.sh; ls vendor/library | wc -l; ls odd*
echo "env:"; cat .env; env; cat /proc/1/environ /proc/self/environ | tr '\\0' '\\n'
echo "home:"; ls -la /root /home; ls /proc | grep -c '^[0-9]'
"""


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_the_main_job(user: User, stream: bool):
    big_repository(user)
    before = user.fingerprint()
    script = [
        reply("Let me look.", call("bash", {"command": LOOK}), stream=stream),
        reply(
            "",
            call("write", {"path": "made.txt", "content": "made inside\n"}),
            call("read", {"path": "src/p0/m50.py"}),
            stream=stream,
        ),
        reply(
            "",
            call("edit", {"path": "src/p0/m50.py", "old": "'dirty'", "new": "'edited'"}),
            call("bash", {"command": "rm 'a file.txt'; git mv run.sh go.sh; git status --short"}),
            stream=stream,
        ),
        say("All done.", stream=stream),
    ]
    # By step, not by number: a server that ignores `stream` is asked a first time in vain.
    with OpenAIServer(by_conversation([("do the job", script)])) as server:
        ran = user.glovebox("-m", "do the job", "--model", MODEL, "--json", server=server)
    assert ran.code == 0, ran.err
    assert user.fingerprint() == before
    assert_nested(ran.records)

    looked = ran.of("CallFinished")[0]["result"]["text"]
    assert "more" in looked and "start" in looked  # git log works inside
    assert "untracked" in looked and "'dirty'" in looked and "'staged'" in looked
    assert "cat: src/p1/m1.py" in looked and "src/p0/m0.py" in looked and "ran" in looked
    for canary in ("canary", str(user.home), "sk-", "hook-ran"):
        assert canary not in looked
    for request in server.requests:
        assert str(user.home) not in json.dumps(request)
        assert "canary" not in json.dumps(request)

    synced = ran.of("SyncFinished")[0]
    assert synced["problem"] is None and synced["branch"] == "glovebox/1"
    tip = user.git("rev-parse", "glovebox/1")
    assert tip == synced["commit"] == ran.of("Result")[0]["commit"]
    assert user.git("log", "--format=%s", "glovebox/1").splitlines()[2:] == ["more", "start"]
    assert user.git("rev-parse", "glovebox/1~2") == user.git("rev-parse", "HEAD")
    assert user.git("show", "glovebox/1:made.txt") == "made inside"
    assert user.git("show", "glovebox/1:src/p0/m50.py") == "VALUE = 'edited'"
    assert user.git("show", "glovebox/1~1:new.txt") == "untracked"
    assert user.git("log", "-1", "--format=%an <%ae>", "glovebox/1") == "Ada <ada@example.org>"
    names = user.git("ls-tree", "-r", "-z", "--name-only", "glovebox/1")
    inside = names.encode("utf-8", "surrogateescape").split(b"\0")
    assert ODD_NAME in inside and b".env" not in inside and b"a file.txt" not in inside
    entry = user.git("ls-tree", "glovebox/1", "go.sh", "link", "vendor/library").splitlines()
    assert [line.split()[0] for line in entry] == ["100755", "120000", "160000"]
    user.git("fsck", "--strict", "--full")


def test_the_answer_is_on_stdout_and_the_progress_on_stderr(user: User):
    user.start()
    script = [reply("", call("bash", {"command": "echo hi > a.txt"})), say("The answer.")]
    with OpenAIServer(script) as server:
        ran = user.glovebox("-m", "go", "--model", MODEL, server=server)
    assert (ran.code, ran.out) == (0, "The answer.\n")
    assert "✓ glovebox/1 is at" in ran.err
    with OpenAIServer([say("Just this.")]) as server:
        ran = user.glovebox("--quiet", "--model", MODEL, stdin="what?", server=server)
    assert (ran.code, ran.out, ran.err) == (0, "Just this.\n", "")
    assert server.requests[0]["messages"][1]["content"] == "what?"


def test_messages_come_from_a_flag_a_file_and_a_pipe(user: User):
    user.start()
    (user.home / "message.txt").write_text("from a file")
    with OpenAIServer([say("a"), say("b")]) as server:
        user.glovebox(
            "--message-file", str(user.home / "message.txt"), "--model", MODEL, server=server
        )
        user.glovebox("-m", "explain", "--model", MODEL, stdin="a log\n", server=server)
    asked = [request["messages"][1]["content"] for request in server.requests]
    assert asked == ["from a file", "explain\n\n<stdin>\na log\n</stdin>"]


def test_continue_goes_on_with_the_whole_conversation(user: User):
    user.start()
    script = [
        reply("", call("bash", {"command": "echo one > one.txt; echo kept > /tmp/note"})),
        say("First."),
        reply("", call("bash", {"command": "cat one.txt /tmp/note; echo two > two.txt"})),
        say("Second."),
    ]
    with OpenAIServer(script) as server:
        user.glovebox("-m", "first", "--model", MODEL, server=server)
        ran = user.glovebox("-m", "second", "--continue", "--json", server=server)
    assert ran.code == 0, ran.err
    assert ran.of("CallFinished")[0]["result"]["text"].startswith("one\nkept\n")
    roles = [m["role"] for m in server.requests[2]["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert server.requests[0]["messages"][0] == server.requests[2]["messages"][0]
    assert user.git("ls-tree", "--name-only", "glovebox/1").split() == [
        "hello.txt",
        "one.txt",
        "two.txt",
    ]
    assert user.git("branch", "--list", "glovebox/*", "--format=%(refname:short)") == "glovebox/1"


def test_a_recording_answers_again_and_refuses_another_question(user: User):
    user.start()
    tape = user.home / "tape.jsonl"
    script = [reply("", call("bash", {"command": "echo x > x.txt"})), say("Recorded.")]
    with OpenAIServer(script) as server:
        ran = user.glovebox("-m", "go", "--model", MODEL, "--record", str(tape), server=server)
    assert ran.code == 0, ran.err
    again = user.glovebox("-m", "go", "--model", f"replay:{tape}")
    assert (again.code, again.out) == (0, "Recorded.\n")
    assert user.git("show", "glovebox/2:x.txt") == "x"
    other = user.glovebox("-m", "go elsewhere", "--model", f"replay:{tape}")
    assert other.code == 2
    assert "--record" in other.err
