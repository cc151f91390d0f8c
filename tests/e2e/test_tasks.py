"""Children in real sandboxes: beside their parent, and in a fork with a branch of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.rig import MODEL, User
from tests.servers.answers import Answer
from tests.servers.openai import OpenAIServer, call, reply, say

KEY = "sk-canary-key"

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]


def model(request: dict[str, Any]) -> Answer:
    """A parent that writes, has one child write here and one in a fork, and looks."""
    first = json.dumps(next(m for m in request["messages"] if m["role"] == "user")["content"])
    results = [m["content"] for m in request["messages"] if m["role"] == "tool"]
    word = next((word for word in ("near", "far") if f"write {word}" in first), "")
    if word:
        assert not {"task", "ask"} & {t["function"]["name"] for t in request["tools"]}
        if results:
            return say(f"{word} is written; {results[-1]}")
        command = f"cat *.txt && echo {word} > {word}.txt # as-{word} {KEY}"
        return reply("", call("bash", {"command": command}))
    match len(results):
        case 0:
            return reply("", call("bash", {"command": "echo mine > mine.txt"}))
        case 1:
            near, far = {"task": "write near"}, {"task": "write far", "fork": True}
            return reply("", call("task", far), call("task", near))
        case 3:
            return reply("", call("bash", {"command": "ls *.txt"}))
        case _:
            return say(json.dumps(results))


def test_a_child_works_here_and_another_in_a_fork(user: User) -> None:
    user.start()
    with OpenAIServer(model) as server:
        done = user.glovebox("-m", "do both", "--json", "--model", MODEL, server=server)
    assert done.code == 0, done.out + done.err
    result = done.of("Result")[0]
    _, far, near, listed = json.loads(result["text"])
    # Both saw what the parent had done until then; only one of them worked beside it.
    assert "hello" in far and "mine" in far and "hello" in near
    assert "branch `glovebox/2`" in far
    assert listed.startswith("hello.txt\nmine.txt\nnear.txt\n")
    assert user.git("show", "glovebox/1:near.txt") == "near"
    assert user.git("show", "glovebox/2:far.txt") == "far"
    # The fork is of the moment at which it was made; the other child may have written by then.
    names = set(user.git("diff", "--name-only", "main", "glovebox/2").split())
    assert names - {"near.txt"} == {"far.txt", "mine.txt"}
    assert "far.txt" not in user.git("ls-tree", "--name-only", "glovebox/1")
    children = done.of("ChildFinished")
    assert [child["outcome"] for child in children] == ["done", "done"]
    # All that was asked of the provider is on the parent's account.
    assert result["usage"]["prompt"] == 100 * len(server.requests)
    assert_children_stand_in_transcripts(user)


def assert_children_stand_in_transcripts(user: User) -> None:
    """Where they were called, found by their words, and with keys masked."""
    texts: dict[str, str] = {}
    for suffix in ("md", "html", "json"):
        target = user.home / f"transcript.{suffix}"
        done = user.glovebox("export", "1", "--transcript", str(target))
        assert done.code == 0, done.err
        texts[suffix] = target.read_text()
        assert KEY not in texts[suffix]
        assert "echo near" in texts[suffix]
    assert "### Sub-agent (session 2): write far" in texts["md"]
    children = json.loads(texts["json"])["children"]
    assert [(child["task"], child["number"]) for child in children] == [
        ("write far", 2),
        ("write near", 0),
    ]
    listed = user.glovebox("sessions", "--search", "as-near", "--json")
    found = [json.loads(line) for line in listed.out.splitlines()]
    assert [(one["number"], one["found"][0]["turn"]) for one in found] == [(1, 1)]
