"""Questions, the list of steps, jobs and previews in a real terminal, and without one."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.cli.talking import begin, quit_, say_to
from tests.cli.test_network import press
from tests.e2e.rig import MODEL, User
from tests.servers.openai import OpenAIServer, call, reply, say
from tests.terminal import Terminal
from tests.tools.test_jobs import SERVER, opened

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

OPTIONS = ["red", "blue", "green"]


def ask(**more: Any) -> Any:
    return reply("", call("ask", {"question": "Which colour?", "options": OPTIONS, **more}))


def tool_texts(server: OpenAIServer) -> list[str]:
    messages = server.requests[-1]["messages"]
    return [m["content"] for m in messages if m["role"] == "tool"]


def test_a_question_is_answered_by_key_by_numbers_and_in_words(tty: Terminal, user: User) -> None:
    user.start()
    script = [ask(), ask(multiple=True), ask(), say("thank you")]
    with OpenAIServer(script) as server:
        begin(tty, user, server)
        say_to(tty, "go")
        tty.wait_for("1-3 chooses")
        press(tty, "2", "= blue")
        tty.wait_for("type numbers (1-3)")
        answer(tty, "1 3", "= red; green")
        tty.wait_for(lambda text: text.count("? Which colour?") == 3)
        answer(tty, "purple please", "= purple please")
        tty.wait_for("thank you")
        transcript = quit_(tty)
    assert tool_texts(server) == [
        "The user chose: blue",
        "The user chose: red\nThe user chose: green",
        "The user says: purple please",
    ]
    assert transcript.count("  1 red\n") == 3


def answer(tty: Terminal, line: str, until: str) -> None:
    """Send a line when the question has been there to be read."""
    tty.type(line)
    tty.wait_for(lambda _: line in tty.screen())
    # A line that comes too soon waits as the next message; this one must be the answer.
    tty.wait_for("leaves it to the model")
    import time

    from agent.cli.crossing import READ_SECONDS

    seen = time.monotonic()
    tty.wait_for(lambda _: time.monotonic() > seen + READ_SECONDS)
    tty.key("Enter")
    tty.wait_for(until)


def test_an_interrupt_takes_the_question_away(tty: Terminal, user: User) -> None:
    user.start()
    with OpenAIServer([ask(), say("fine")]) as server:
        begin(tty, user, server)
        say_to(tty, "go")
        tty.wait_for("1-3 chooses")
        tty.key("C-c")
        tty.wait_for("! interrupted")
        tty.wait_for(lambda _: "1-3 chooses" not in tty.screen())
        say_to(tty, "2")
        tty.wait_for("fine")
        quit_(tty)
    assert "Interrupted while it ran" in tool_texts(server)[0]


@pytest.mark.parametrize(
    ("policy", "code", "said"),
    [
        ("deny", 0, "Nobody is here to answer. Take the most careful way"),
        ("allow", 0, "the first option holds, as was declared for that case: red"),
        ("fail", 8, ""),
    ],
)
def test_a_script_has_its_answer_declared(policy: str, code: int, said: str, user: User) -> None:
    user.start()
    with OpenAIServer([ask(), say("done")]) as server:
        ran = user.glovebox(
            "-m", "go", "--model", MODEL, "--json", "--on-ask", policy, server=server
        )
    assert ran.code == code
    assert [e["how"] for e in ran.of("UserAnswered")] == ["policy"]
    assert ran.of("UserAsked")[0]["options"] == OPTIONS
    assert ran.of("Result")[0]["exit_code"] == code
    if code:
        assert ran.of("TurnFinished")[0]["problem"]["kind"] == "AnswerNeeded"
    else:
        assert said in tool_texts(server)[0]


def test_the_list_of_steps_is_shown_and_kept(tty: Terminal, user: User) -> None:
    user.start()
    items = [{"text": "look around", "state": "done"}, {"text": "mend it", "state": "doing"}]
    with OpenAIServer([reply("", call("todo", {"items": items})), say("working on it")]) as server:
        begin(tty, user, server)
        say_to(tty, "go")
        tty.wait_for("[>] mend it")
        tty.wait_for("working on it")
        quit_(tty)
        tty.stop()
        begin(tty, user, server, "--resume", "1")
        say_to(tty, "/todo")
        tty.wait_for("[x] look around")
        quit_(tty)


def test_a_job_goes_on_after_the_turn_and_its_port_opens_from_elsewhere(
    tty: Terminal, user: User
) -> None:
    user.start({"index.html": "<h1>hello</h1>\n"})
    start = reply("", call("bash", {"command": SERVER, "background": "web"}))
    look = reply("", call("jobs", {"action": "wait", "name": "web", "text": "serving at"}))

    def script(request: dict[str, Any]) -> Any:
        texts = [m["content"] for m in request["messages"] if m["role"] == "tool"]
        found = re.findall(r"serving at (\d+)", texts[-1]) if len(texts) >= 2 else []
        if len(texts) == 2:
            return reply("", call("preview", {"port": int(found[0])}))
        return (start, look, None, say("look at it"))[len(texts)]

    with OpenAIServer(script) as server:
        begin(tty, user, server)
        say_to(tty, "go")
        tty.wait_for("look at it")
        shown = re.findall(r"↗ (http://\S+)", tty.transcript())
        assert opened(shown[0]) == b"<h1>hello</h1>\n"
        port = re.findall(r"serving at (\d+)", tty.transcript())[0]

        listed = user.glovebox("ports", "1")
        assert listed.code == 0 and listed.out.split()[0] == port
        linked = user.glovebox("preview", "1", port)
        assert linked.code == 0 and opened(linked.out.strip()) == b"<h1>hello</h1>\n"
        nothing = user.glovebox("preview", "1", "9", "--seconds", "0.1")
        assert nothing.code == 5 and f"ports that do: {port}" in nothing.err

        say_to(tty, "/jobs")
        tty.wait_for("web running")
        say_to(tty, "/ports")
        tty.wait_for(lambda text: text.count(f"{port} ") >= 2)
        say_to(tty, f"/preview {port}")
        tty.wait_for(lambda text: len(set(re.findall(r"↗ (http://\S+)", text))) >= 1)
        quit_(tty)
        assert shown[0] not in json.dumps(server.requests)
    over = user.glovebox("ports", "1")
    assert over.code == 2 and "not running" in over.err
