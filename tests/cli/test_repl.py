"""The conversation in a real terminal, over a real provider's wire and in a real sandbox."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import threading
from typing import Any

import pytest

from tests.cli.talking import (
    SIZE,
    begin,
    bubblewraps,
    history,
    history_entries,
    kill,
    quit_,
    say_to,
    user_messages,
)
from tests.e2e.rig import MODEL, User
from tests.servers.answers import Answer
from tests.servers.openai import Fault, OpenAIServer, call, reply, say
from tests.terminal import Terminal

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

SLEEP = call("bash", {"command": "echo begun; sleep 500"})


def test_ask_interrupt_ask_again_look_and_leave(tty: Terminal, user: User) -> None:
    user.start()
    before = user.fingerprint()
    change = call("bash", {"command": "echo more >> hello.txt; echo changed it"})
    script = [reply("I wait.", SLEEP), reply("", change), say("It is done.")]

    with OpenAIServer(script) as server:
        begin(tty, user, server)
        say_to(tty, "please wait")
        tty.wait_for("  begun")
        tty.key("C-c")
        tty.wait_for("! interrupted")
        say_to(tty, "now change it")
        tty.wait_for("✓ glovebox/1 is at")
        say_to(tty, "/diff")
        tty.wait_for("+more")
        colours = tty.colours()
        assert not tty.in_alternate_screen
        transcript = quit_(tty)

    assert "\x1b[32m+more" in colours
    expected = ["› please wait", "I wait.", "→ ", "  begun", "  ✗ interrupted", "! interrupted"]
    expected += ["› now change it", "  changed it", "  ✓", "It is done.", "✓ glovebox/1", "› /diff"]
    expected += ["@@ -1 +1,2 @@", "✓ the work is on glovebox/1", "`glovebox --resume 1`"]
    at = 0
    for part in expected:
        at = transcript.find(part, at)
        assert at >= 0, f"{part!r} is missing or out of order in:\n{transcript}"
    assert user.git("show", "glovebox/1:hello.txt") == "hello\nmore"
    assert user.fingerprint() == before
    assert bubblewraps(user) == []


def test_the_badge_says_where_the_work_is(tty: Terminal, user: User) -> None:
    user.start()
    change = call("write", {"path": "new.txt", "content": "new\n"})

    with OpenAIServer([reply("", change), say("ok")]) as server:
        begin(tty, user, server)
        tty.wait_for(lambda text: "nothing to sync" in text)
        say_to(tty, "go")
        tty.wait_for(lambda text: "  synced  " in text.splitlines()[-1] if text else False)
        badge = tty.screen().rstrip("\n").splitlines()[-1]
        quit_(tty)

    assert badge.split("  ")[:5] == [" local", "network registries", "glovebox/1", "synced", MODEL]


def test_a_message_may_have_lines_and_pasting_never_sends(tty: Terminal, user: User) -> None:
    user.start()

    with OpenAIServer([say("fine")]) as server:
        begin(tty, user, server)
        tty.type("one")
        tty.key("M-Enter")
        tty.type("two")
        tty.key("C-j")
        tty.paste("three\nfour\n")
        tty.wait_for("  four")
        assert server.requests == []
        say_to(tty, "five")
        tty.wait_for("fine")
        quit_(tty)

        assert user_messages(server) == ["one\ntwo\nthree\nfour\nfive"]


def test_a_message_typed_meanwhile_is_heard_and_what_changes_things_waits(
    tty: Terminal, user: User
) -> None:
    user.start()
    asked, go = threading.Event(), threading.Event()
    answers = iter([reply("", call("bash", {"command": "echo one"})), say("both done"), say("end")])

    def answer(_: dict[str, Any]) -> Answer:
        asked.set()
        assert go.wait(60)
        return next(answers)

    with OpenAIServer(answer) as server:
        begin(tty, user, server)
        say_to(tty, "first")
        assert asked.wait(60)
        say_to(tty, "and the second")
        tty.wait_for("the model reads it next")
        say_to(tty, "/todo")
        tty.wait_for("nothing on the list")
        say_to(tty, "/help preview extra")
        tty.wait_for("✗ there is no command")
        say_to(tty, "/redo")
        tty.wait_for("1 waiting")
        say_to(tty, "third")
        tty.wait_for("2 waiting")
        go.set()
        tty.wait_for("end")
        shown = quit_(tty)

        assert shown.index("› and the second") < shown.index("both done")
        assert shown.index("nothing on the list") < shown.index("both done")
        assert shown.index("both done") < shown.index("› /redo") < shown.index("› third")
        assert len(server.requests) == 3
        last = server.requests[1]["messages"]
        assert [m["role"] for m in last[-2:]] == ["tool", "user"]
        assert user_messages(server) == ["first", "and the second", "third"]


def test_an_interrupt_sends_what_was_typed_meanwhile(tty: Terminal, user: User) -> None:
    user.start()

    with OpenAIServer([reply("", SLEEP), say("second answer")]) as server:
        begin(tty, user, server)
        say_to(tty, "first")
        tty.wait_for("  begun")
        say_to(tty, "stop, do this")
        tty.wait_for("the model reads it next")
        tty.key("C-c")
        tty.wait_for("second answer")
        quit_(tty)

        assert user_messages(server) == ["first", "stop, do this"]


def test_control_c_keeps_a_draft_while_working_and_clears_it_at_the_prompt(
    tty: Terminal, user: User
) -> None:
    user.start()

    with OpenAIServer([reply("", SLEEP)]) as server:
        begin(tty, user, server)
        say_to(tty, "first")
        tty.wait_for("  begun")
        tty.type("a draft")
        tty.wait_for("› a draft")
        tty.key("C-c")
        tty.wait_for("! interrupted")
        assert "› a draft" in tty.screen()
        tty.key("C-c")
        tty.wait_for(lambda text: "a draft" not in text)
        tty.key("C-c")
        tty.wait_for("Ctrl-C again")
        tty.key("C-c")
        tty.wait_for("exit code 0")


def test_a_key_between_two_control_c_means_stay(tty: Terminal, user: User) -> None:
    user.start()

    with OpenAIServer([]) as server:
        begin(tty, user, server)
        tty.key("C-c")
        tty.wait_for("Ctrl-C again")
        tty.type("x")
        tty.wait_for(lambda text: "Ctrl-C again" not in text)
        tty.key("BSpace")
        tty.key("C-c")
        tty.wait_for("Ctrl-C again")
        tty.key("C-d")
        tty.wait_for("exit code 0")


def test_a_provider_that_refuses_does_not_end_the_conversation(tty: Terminal, user: User) -> None:
    user.start()

    with OpenAIServer([Fault(401, "bad key"), say("now it works")]) as server:
        begin(tty, user, server)
        say_to(tty, "first")
        tty.wait_for("✗ ")
        say_to(tty, "second")
        tty.wait_for("now it works")
        quit_(tty)


def test_an_unknown_command_is_not_sent_to_the_model(tty: Terminal, user: User) -> None:
    user.start()

    with OpenAIServer([]) as server:
        begin(tty, user, server)
        say_to(tty, "/dif")
        tty.wait_for("did you mean `/diff`?")
        tty.type("/he")
        tty.wait_for("this list")
        tty.key("Tab")
        tty.key("Enter")
        tty.wait_for("take the last turns back")
        quit_(tty)

        assert server.requests == []


def test_undo_takes_the_branch_back(tty: Terminal, user: User) -> None:
    user.start()
    change = call("bash", {"command": "echo more >> hello.txt"})

    with OpenAIServer([reply("", change), say("done")]) as server:
        begin(tty, user, server)
        say_to(tty, "go")
        tty.wait_for("✓ glovebox/1 is at")
        say_to(tty, "/undo")
        tty.wait_for("✓ undone")
        say_to(tty, "/diff")
        tty.wait_for("· nothing changed")
        quit_(tty)

    assert user.git("show", "glovebox/1:hello.txt") == "hello"


def test_fifty_megabytes_of_output_leave_the_terminal_usable(tty: Terminal, user: User) -> None:
    user.start()
    flood = call("bash", {"command": "yes a line of text | head -c 50000000; echo; echo the end"})

    with OpenAIServer([reply("", flood), say("that was much")]) as server:
        begin(tty, user, server)
        say_to(tty, "flood")
        tty.wait_for("that was much")
        transcript = quit_(tty)

    assert len(transcript.splitlines()) < 100


def test_what_a_model_writes_cannot_steer_the_terminal(tty: Terminal, user: User) -> None:
    user.start()
    text = "before \x1b[2J\x1b]0;owned\x07 \u202egnp.exe after"

    with OpenAIServer([say(text, piece=1)]) as server:
        begin(tty, user, server)
        say_to(tty, "go")
        transcript = tty.wait_for("after")
        quit_(tty)

    assert "before ␛[2J␛]0;owned␇ \ufffdgnp.exe after" in transcript


def test_work_of_a_killed_conversation_comes_home_when_it_goes_on(
    tty: Terminal, user: User
) -> None:
    user.start()
    change = call("bash", {"command": "echo more >> hello.txt"})

    with OpenAIServer([reply("", change), reply("", SLEEP), say("resumed")]) as server:
        begin(tty, user, server)
        say_to(tty, "go")
        tty.wait_for("  begun")
        kill(tty, user, signal.SIGKILL)
        tty.wait_for("exit code 137")
        tty.stop()
        begin(tty, user, server, "--continue")
        tty.wait_for("✓ glovebox/1 is at")
        assert user.git("show", "glovebox/1:hello.txt") == "hello\nmore"
        say_to(tty, "go on")
        tty.wait_for("resumed")
        quit_(tty)

        assert user_messages(server) == ["go", "go on"]


def test_a_polite_end_closes_the_sandbox_and_says_where_the_work_is(
    tty: Terminal, user: User
) -> None:
    user.start()
    change = call("bash", {"command": "echo more >> hello.txt"})

    with OpenAIServer([reply("", change), reply("", SLEEP)]) as server:
        begin(tty, user, server)
        say_to(tty, "go")
        tty.wait_for("  begun")
        kill(tty, user, signal.SIGTERM)
        tty.wait_for("✓ the work is on glovebox/1")
        tty.wait_for("exit code 0")

    assert user.git("show", "glovebox/1:hello.txt") == "hello\nmore"
    assert bubblewraps(user) == []


def test_to_quit_during_a_turn_ends_it_and_brings_its_work_home(tty: Terminal, user: User) -> None:
    user.start()
    work = call("bash", {"command": "echo kept > kept; echo begun; sleep 500"})
    with OpenAIServer([reply("", work)]) as server:
        begin(tty, user, server)
        say_to(tty, "please wait")
        tty.wait_for("  begun")
        say_to(tty, "/exit")
        transcript = tty.wait_for("exit code 0")
    assert "! interrupted" in transcript and "✓ the work is on glovebox/1" in transcript
    assert user.git("show", "glovebox/1:kept") == "kept"
    assert bubblewraps(user) == []


def test_it_can_be_stopped_and_gone_on_with_also_in_the_middle_of_a_turn(
    tty: Terminal, user: User
) -> None:
    user.start()
    with OpenAIServer([reply("", SLEEP)]) as server:
        environment = user.with_server(server) | {"PS1": "shell> "}
        tty.start(["bash", "--norc", "-i"], env=environment, cwd=user.repo, size=SIZE)
        say_to(tty, shlex.join(user.argv("--model", MODEL)))
        tty.wait_for("is ready")
        say_to(tty, "please wait")
        tty.wait_for("  begun")
        tty.type("a draft")
        tty.key("C-z")
        tty.wait_for("Stopped")
        say_to(tty, "echo $((40+2)) of the shell")
        tty.wait_for("42 of the shell")
        say_to(tty, "fg")
        tty.wait_for("› a draft")
        tty.key("C-u")
        say_to(tty, "/todo")  # the keys are ours again
        tty.wait_for("nothing on the list")
        tty.key("C-c")
        tty.wait_for("! interrupted")
        say_to(tty, "/quit")
        tty.wait_for("goes on with this session")


def test_what_was_typed_is_remembered_privately(tty: Terminal, user: User) -> None:
    user.start()

    with OpenAIServer([say("one"), say("two")]) as server:
        begin(tty, user, server)
        say_to(tty, "remember this")
        tty.wait_for("one")
        quit_(tty)
        tty.stop()
        assert history_entries(user) == ["remember this", "/quit"]
        assert history(user).stat().st_mode & 0o777 == 0o600
        begin(tty, user, server)
        tty.key("Up", "Up", "Enter")
        tty.wait_for("› remember this")
        tty.wait_for("two")
        quit_(tty)


@pytest.mark.parametrize("term", ["dumb"])
def test_a_terminal_that_cannot_draw_gets_lines(tty: Terminal, user: User, term: str) -> None:
    user.start()
    change = call("bash", {"command": "echo more >> hello.txt; echo out"})

    with OpenAIServer([reply("", change), say("plain answer"), reply("", SLEEP)]) as server:
        begin(tty, user, server, environment={"TERM": term})
        say_to(tty, "go")
        tty.wait_for("✓ glovebox/1 is at")
        say_to(tty, "again")
        tty.wait_for("$ echo begun")
        tty.key("C-c")
        tty.wait_for("! interrupted")
        transcript = quit_(tty)

    assert "plain answer" in transcript
    assert "\x1b" not in tty.colours()


def test_without_bubblewrap_it_says_so_before_anything_is_asked(tty: Terminal, user: User) -> None:
    user.start()
    bwrap = shutil.which("bwrap") or ""
    lacking = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", "/dev/null", bwrap, "--"]

    with OpenAIServer([]) as server:
        argv = [*lacking, *user.argv("--model", MODEL)]
        tty.start(
            [*argv, "--sandbox", "local"],
            env=user.with_server(server),
            cwd=user.repo,
            size=(100, 30),
        )
        assert "bubblewrap" in tty.wait_for("✗ ")
        quit_(tty)
        # When the choice is ours and there is nothing to choose, no conversation begins.
        settings = user.with_server(server) | {"GLOVEBOX_ENGINE": "podman"}
        tty.start(argv, env=settings, cwd=user.repo, size=(100, 30))
        shown = tty.wait_for("exit code 5")
        assert "not `local`: the local sandbox needs bubblewrap" in shown
        assert "glovebox doctor" in shown

        assert server.requests == []


def test_without_a_model_it_says_how_to_choose_one(tty: Terminal, user: User) -> None:
    user.start()
    tty.start(user.argv(), env=user.environment, cwd=user.repo, size=(100, 30))

    assert "--model PROVIDER/NAME" in tty.wait_for("exit code 2")


def test_outside_a_repository_it_says_what_to_do(tty: Terminal, user: User) -> None:
    tty.start(user.argv("--model", "x/y"), env=user.environment, cwd=user.home, size=(100, 30))

    assert "git init" in tty.wait_for("exit code 2")


def test_without_a_terminal_it_asks_for_a_message(user: User) -> None:
    user.start()
    done = subprocess.run(
        user.argv("--model", "x/y"),
        cwd=user.repo,
        env=user.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "there is no terminal to talk at\n    give a message with `-m TEXT`" in done.stderr
