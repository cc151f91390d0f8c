"""What a person chooses for one session in the conversation, and that it is there again later."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.talking import begin, quit_, say_to
from tests.cli.test_home import bash
from tests.e2e.rig import User
from tests.servers.answers import Answer
from tests.servers.openai import OpenAIServer, say
from tests.terminal import Terminal

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

HOST = "glovebox-test.invalid"


def model(request: dict[str, Any]) -> Answer:
    if request["model"] == "small":
        return say("Worded by the small one")
    if request["messages"][-1]["role"] == "tool":
        return say("it-is-done")
    return bash("echo 1 >>a")


def test_models_effort_and_hosts_of_one_session(tty: Terminal, user: User) -> None:
    user.start()
    with OpenAIServer(model) as server:
        begin(tty, user, server)
        say_to(tty, "/effort loud")
        tty.wait_for("choose one of none, minimal")
        say_to(tty, "/effort high")
        tty.wait_for("· the effort is high")
        say_to(tty, "/weak-model openai/small")
        tty.wait_for("· the weak model is openai/small")
        say_to(tty, "/editor-model opnai/x")
        tty.wait_for("openai/x")
        say_to(tty, "/editor-model openai/small")
        tty.wait_for("· the editor model is openai/small")
        say_to(tty, "one")
        tty.wait_for("✓ glovebox/1 is at")
        assert {r["reasoning_effort"] for r in server.requests if r["model"] != "small"} == {"high"}
        assert user.git("log", "-1", "--format=%s", "glovebox/1") == "Worded by the small one"

        say_to(tty, f"/net allow http://{HOST}/")
        tty.wait_for("does not name a host to allow")
        say_to(tty, f"/net allow {HOST}")
        tty.wait_for(f"✓ {HOST} may be reached in this session")
        say_to(tty, f"!curl -sS http://{HOST}/; curl -sS http://10.1.2.3/")
        tty.wait_for(f"cannot reach {HOST}:80")
        say_to(tty, "/net")
        tty.wait_for(f"✗ {HOST}:80 failed 1 (")
        tty.wait_for("✗ 10.1.2.3:80 refused 1 (")
        say_to(tty, "/settings effort")
        tty.wait_for("  effort  high")
        say_to(tty, "/settings efort")
        tty.wait_for("there is no key `efort`")
        say_to(tty, "/paths")
        tty.wait_for("  sandboxes")
        quit_(tty)

        begin(tty, user, server, "--continue")
        say_to(tty, "/effort")
        tty.wait_for("· the effort is high")
        say_to(tty, "/net")
        tty.wait_for("allowed in this session")
        say_to(tty, "/effort default")
        tty.wait_for("· the effort is the default")
        say_to(tty, "two")
        tty.wait_for(lambda text: text.count("✓ glovebox/1 is at") == 2)  # one was shown again
        assert "reasoning_effort" not in server.requests[-2]
        say_to(tty, "/new")
        tty.wait_for("session 2: work arrives")
        say_to(tty, "/weak-model")
        tty.wait_for("· the weak model is openai/small")
        say_to(tty, "/net")
        tty.wait_for(lambda text: "nothing was asked for yet" in text)
        assert tty.transcript().count("allowed in this session") == 1
        say_to(tty, "/doctor")
        tty.wait_for("Sandboxes can be made with")
        quit_(tty)
