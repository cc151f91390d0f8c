"""Twenty calls in one turn, most of them trouble: each gets one result and the turn goes on."""

from __future__ import annotations

import json
import time

import pytest

from tests.e2e.rig import MODEL, User
from tests.nesting import assert_nested
from tests.servers.openai import OpenAIServer, call, reply, say

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]


def bash(command: str, **more: object):
    return call("bash", {"command": command, **more})


def test_twenty_calls_of_every_kind(user: User):
    user.start({"hello.txt": "hello\nworld\n"})
    script = [
        reply(
            "One.",
            bash("exit 3"),
            bash("head -c 50000000 /dev/zero | tr '\\0' x; echo; echo the end"),
            bash("trap '' TERM; echo before; sleep 1000", seconds=1),
            bash("(while :; do date +%s%N > tick; sleep 0.1; done) & echo forked"),
            call("sudo", {"command": "id"}),
            call("bash", '{"command": "ech'),
            call("read", {"path": "hello.txt"}),
            call("read", {"path": "absent.txt"}),
        ),
        reply(
            "Two.",
            bash('a=$(cat tick); sleep 0.5; b=$(cat tick); [ "$a" != "$b" ] && echo alive'),
            call("edit", {"path": "hello.txt", "old": "absent", "new": "x"}),
            call("edit", {"path": "hello.txt", "old": "o", "new": "x"}),
            call("edit", {"path": "hello.txt", "old": "world", "new": "$& \\1 {0}"}),
            call("write", {"path": "deep/down/new.txt", "content": "line\n"}),
            call("write", {"path": "/etc/passwd", "content": "me\n"}),
            bash("printf '\\377\\376\\000\\001 binary'"),
            bash("kill -9 $$"),
        ),
        reply(
            "Three.",
            call("read", {"path": "hello.txt", "offset": "1", "limit": "5"}),
            call("read", {"path": "hello.txt", "colour": "red"}),
            call("bash", '["ls"]'),
            bash("printf '\\033]0;owned\\007'; echo ok"),
        ),
        say("Done."),
    ]
    with OpenAIServer(script) as server:
        ran = user.glovebox("-m", "go", "--model", MODEL, "--json", server=server)
    assert ran.code == 0, ran.out[-2000:] + ran.err
    assert_nested(ran.records)
    results = ran.of("CallFinished")
    asked = [c["id"] for m in ran.of("MessageFinished") for c in m["message"]["calls"]]
    assert len(asked) == 20
    assert sorted(asked) == sorted(r["result"]["call_id"] for r in results)
    got = {r["result"]["call_id"]: r["result"] for r in results}
    texts = [got[identity]["text"] for identity in asked]
    oks = [got[identity]["ok"] for identity in asked]
    assert oks == [
        *(False, True, False, True, False, False, True, False),
        *(True, False, False, True, True, False, True, False),
        *(True, False, False, True),
    ]
    assert "Exit code 3" in texts[0]
    assert "the end" in texts[1] and len(texts[1]) < 40_000 and ".log" in texts[1]
    assert "before" in texts[2]
    assert "forked" in texts[3]
    assert "no tool `sudo`" in texts[4]
    assert "not a JSON object" in texts[5]
    assert "1\thello" in texts[6]
    assert "alive" in texts[8]
    assert "world" in user.git("show", "HEAD:hello.txt")
    assert user.git("show", "glovebox/1:hello.txt") == "hello\n$& \\1 {0}"
    assert user.git("show", "glovebox/1:deep/down/new.txt") == "line"
    assert "\x1b" not in texts[19] and "\x07" not in ran.err
    assert max(len(json.dumps(r)) for r in server.requests) < 300_000


def test_an_interrupt_keeps_what_was_done_and_brings_it_home(user: User):
    import signal
    import subprocess

    user.start()
    script = [
        reply("", bash("echo done > done.txt; touch started; sleep 1000")),
        say("never asked"),
    ]
    with OpenAIServer(script) as server:
        process = subprocess.Popen(
            user.argv("-m", "go", "--model", MODEL, "--json"),
            cwd=user.repo,
            env=user.with_server(server),
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            kind = json.loads(line)["event"]["type"]
            if kind == "SandboxState" and "ready" in line:
                break
        # The command has begun when its first file is there; ask the sandbox's own folder.
        work = user.state / "glovebox/sandboxes"
        while not list(work.glob("*/work/started")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        lines += process.stdout.readlines()
        process.stdout.close()
        assert process.wait() == 130
    assert user.git("show", "glovebox/1:done.txt") == "done"
    last = json.loads(lines[-1])["event"]
    assert (last["type"], last["exit_code"]) == ("Result", 130)
    finished = [json.loads(x)["event"] for x in lines if '"CallFinished"' in x]
    assert "Interrupted" in finished[0]["result"]["text"]
