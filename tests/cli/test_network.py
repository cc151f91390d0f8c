"""The network policy as a person meets it: refused in a script, asked at a terminal."""

from __future__ import annotations

import json
import time

import pytest

from tests.cli.talking import begin, quit_, say_to
from tests.e2e.rig import MODEL, User
from tests.servers.openai import OpenAIServer, call, reply, say
from tests.terminal import Terminal

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

# A name that no resolver knows: what was allowed fails in another way than what was refused.
HOST = "glovebox-test.invalid"
CURL = call("bash", {"command": f"curl -sS http://{HOST}/"})
OTHER = call("bash", {"command": f"curl -sS http://x.{HOST}/"})


def test_a_script_is_refused_and_told_how_to_allow(user: User) -> None:
    user.start()
    with OpenAIServer([reply("", CURL), say("no")]) as server:
        ran = user.glovebox("-m", "go", "--model", MODEL, "--sandbox", "local", server=server)
    assert ran.code == 0
    assert f"blocked by the network policy `registries`: {HOST}:80" in ran.err
    assert f"--allow-host {HOST}" in ran.err
    assert f"blocked by policy: {HOST}:80" in json.dumps(server.requests[-1])
    audit = list(user.state.rglob("network.jsonl"))
    assert [json.loads(row)["host"] for row in audit[0].read_text().splitlines()] == [HOST]
    assert audit[0].stat().st_mode & 0o077 == 0


def test_a_host_that_is_allowed_is_looked_for(user: User) -> None:
    user.start()
    flags = ("--sandbox", "local", "--network", "list", "--allow-host", HOST, "--json")
    with OpenAIServer([reply("", CURL), say("no")]) as server:
        ran = user.glovebox("-m", "go", "--model", MODEL, *flags, server=server)
    assert f"cannot reach {HOST}:80" in ran.out
    assert ran.of("SessionStarted") == [] and ran.of("Notice") == []


def test_with_none_the_tool_says_so(user: User) -> None:
    user.start()
    flags = ("--sandbox", "local", "--network", "none")
    with OpenAIServer([reply("", CURL), say("no")]) as server:
        user.glovebox("-m", "go", "--model", MODEL, *flags, server=server)
    assert "blocked by network policy none" in json.dumps(server.requests[-1])
    assert "Network: none" in json.dumps(server.requests[0])


def test_at_a_terminal_one_key_decides(tty: Terminal, user: User) -> None:
    user.start()
    script = [
        *(reply("", CURL), say("refused"), reply("", CURL), say("still")),
        *(reply("", OTHER), say("allowed"), reply("", OTHER), say("again")),
    ]
    with OpenAIServer(script) as server:
        begin(tty, user, server, "--sandbox", "local")
        say_to(tty, "try")
        tty.wait_for("2 allow for this session")
        press(tty, "3", f"{HOST}:80 stays out of reach")
        tty.wait_for("refused")
        say_to(tty, "try the same")
        tty.wait_for("still")
        say_to(tty, "another")
        tty.wait_for(f"the sandbox wants to reach x.{HOST}:80")
        press(tty, "2", f"x.{HOST}:80 may be reached in this session")
        tty.wait_for("allowed")
        say_to(tty, "once more")
        tty.wait_for("again")
        transcript = quit_(tty)

    assert transcript.count("may be reached in this session") == 1
    assert f"blocked by policy: {HOST}:80" in json.dumps(server.requests[1])
    assert f"cannot reach x.{HOST}:80" in json.dumps(server.requests[-1])

    # Another process goes on with what was allowed for the session.
    with OpenAIServer(
        [reply("", call("bash", {"command": f"curl -sS http://x.{HOST}/"})), say("ok")]
    ) as server:
        ran = user.glovebox("-m", "go", "--model", MODEL, "--resume", "1", server=server)
    assert f"cannot reach x.{HOST}:80" in json.dumps(server.requests[-1])
    assert "blocked" not in ran.err


def press(tty: Terminal, key: str, until: str) -> None:
    """Press a key until it is taken: one that comes too soon is typing, and is taken back."""
    end = time.monotonic() + 30
    while until not in tty.transcript():
        assert time.monotonic() < end, tty.transcript()
        tty.key("BSpace")
        tty.type(key)
    tty.key("C-u")


def test_explain_network_names_hosts_and_where_they_are_from(user: User) -> None:
    user.start()
    ran = user.glovebox("--allow-host", "a.example", "config", "explain", "network")
    assert ran.code == 0
    first, *rest = ran.out.splitlines()
    assert first == "registries (the default)"
    assert any("npm" in row and "default" in row for row in rest)
    assert rest[-1].split() == ["a.example", "allowed", "by", "you"]
    assert user.glovebox("config", "explain", "netwrk").code == 2
