"""Other sessions from within one: copies, going there and back, names, rest."""

from __future__ import annotations

import pytest

from tests.cli.talking import begin, bubblewraps, quit_, say_to, user_messages
from tests.cli.test_home import bash
from tests.e2e.rig import User
from tests.e2e.test_fork import Place, inside, place, say
from tests.sandbox.test_local import processes_of
from tests.servers.openai import OpenAIServer
from tests.servers.openai import say as says
from tests.terminal import Terminal

__all__ = ["place"]

pytestmark = pytest.mark.sandbox


def test_a_person_goes_to_a_copy_and_back(tty: Terminal, user: User) -> None:
    user.start()
    script = [bash("echo 1 >a"), says("first-done"), bash("echo 2 >>a"), says("second-done")]
    with OpenAIServer([*script, says("third-done")]) as server:
        begin(tty, user, server)
        say_to(tty, "one")
        tty.wait_for("glovebox/1 is at")
        say_to(tty, "/rename trunk")
        tty.wait_for("session 1 is called `trunk` now")
        assert user.glovebox("rename", "trunk", "stem").code == 0
        named = user.glovebox("sessions").out
        assert ("stem: one" in named, "trunk" in named) == (True, False)
        assert user.glovebox("rename", "1", "trunk").code == 0
        say_to(tty, "/fork")
        tty.wait_for("session 2 starts where session 1 stood after turn 1")
        say_to(tty, "two")
        tty.wait_for("glovebox/2 is at")
        assert user_messages(server) == ["one", "two"]
        say_to(tty, "/status")
        tty.wait_for("by what it was forked from")
        tty.wait_for("a fork of 1")
        say_to(tty, "/sessions")
        tty.wait_for("trunk: one")
        say_to(tty, "/resume 2")
        tty.wait_for("this is session 2")
        say_to(tty, "/resume trunk")
        tty.wait_for("session 1: work arrives on glovebox/1")
        say_to(tty, "three")
        tty.wait_for("third-done")
        assert user_messages(server) == ["one", "three"]
        say_to(tty, "/export said.md")
        tty.wait_for("written to")
        quit_(tty)
    assert user.git("show", "glovebox/1:a") == "1"
    assert user.git("show", "glovebox/2:a") == "1\n2"
    assert "> three" in (user.repo / "said.md").read_text()
    assert bubblewraps(user) == []


def test_a_sandbox_that_nobody_uses_is_stopped_and_wakes(tty: Terminal, user: User) -> None:
    user.start()
    script = [bash("echo 1 >a"), says("first-done"), bash("cat a"), says("second-done")]
    with OpenAIServer(script) as server:
        begin(tty, user, server, environment={"GLOVEBOX_IDLE": "0.01"})
        tty.wait_for("the sandbox rests")
        say_to(tty, "one")
        tty.wait_for("glovebox/1 is at")
        say_to(tty, "two")
        tty.wait_for("second-done")
        quit_(tty)


async def test_rest_stops_all_and_loses_nothing(place: Place) -> None:
    async with place.session() as session:
        assert not await session.rest()  # it is not up yet
        await say(session, "echo 1 >a; echo kept >/tmp/note")
        assert processes_of(session.id)
        assert await session.rest()
        assert processes_of(session.id) == [] and not await session.rest()
        assert session.status().sandbox == "closed"
        await say(session, "cat /tmp/note >>a")
        assert place.user.git("show", "glovebox/1:a") == "1\nkept"
        assert session.status().sandbox == "ready"


async def test_what_still_runs_inside_is_not_disturbed(place: Place) -> None:
    async with place.session() as session:
        context = await session.enter()
        started = await context.sandbox.toolbox.call(
            "job_start", name="it", command="sleep 1000", seconds=0.1
        )
        assert started["ok"], started
        assert not await session.rest()
        assert (await context.sandbox.toolbox.call("job_kill", name="it"))["ok"]
        server = "python3 -m http.server 8123 >/dev/null 2>&1 & echo $! >/tmp/pid"
        await inside(session, f"{server}; until grep -q ':1FBB ' /proc/net/tcp; do sleep 0.1; done")
        assert not await session.rest()
        await inside(
            session, "kill $(cat /tmp/pid); while kill -0 $(cat /tmp/pid); do sleep 0.1; done"
        )
        assert await session.rest()
