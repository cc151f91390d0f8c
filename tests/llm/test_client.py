from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from agent.core.events import ReasoningDelta, TextDelta
from agent.core.messages import AssistantMessage, ToolCall, Usage, UserMessage
from agent.llm.client import LitellmClient, close
from tests.llm.asking import BASH, MODEL, Heard, answered, ask, ask_provider, question
from tests.llm.conftest import KEY, Provider
from tests.servers.openai import Raw, call, reply, say


async def test_a_streamed_reply_arrives_in_pieces_and_whole(provider: Provider) -> None:
    made = call("bash", {"command": "ls -la"}, id="c1")
    server = provider([reply("hello world", made, reasoning="let me see")])

    message, heard = await ask_provider()

    assert message == AssistantMessage(
        text="hello world",
        reasoning="let me see",
        calls=(ToolCall("c1", "bash", {"command": "ls -la"}, made.arguments),),
        stop="calls",
        usage=Usage(prompt=100, cached=40, completion=20, cost=None),
        model=MODEL,
    )
    assert heard.deltas == [
        ReasoningDelta("let me "),
        ReasoningDelta("see"),
        TextDelta("hello w"),
        TextDelta("orld"),
    ]
    assert server.requests[0]["stream_options"] == {"include_usage": True}
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


async def test_a_whole_conversation_with_broken_calls_is_legal_to_a_strict_provider(
    provider: Provider,
) -> None:
    first = reply("", call("bash", '{"comm', id="same"), call("no such/tool", "[1]", id="same"))
    server = provider([first, say("done")])

    one, _ = await ask_provider()
    two, _ = await ask_provider(question(UserMessage("hi"), one, answered(one)))

    assert [(c.name, c.arguments, c.raw) for c in one.calls] == [
        ("bash", None, '{"comm'),
        ("no such/tool", None, "[1]"),
    ]
    assert two.text == "done"
    assert len({c["id"] for c in server.requests[1]["messages"][2]["tool_calls"]}) == 2


async def test_a_model_not_known_to_see_is_sent_no_image(provider: Provider) -> None:
    server = provider([say("x"), say("x")])
    image = UserMessage("hi", images=("data:image/png;base64,AAAA",))

    await ask_provider(question(image))
    await ask_provider(question(image, model="openai/gpt-5"))

    unseen, seen = (request["messages"][-1]["content"] for request in server.requests)
    assert "images left out" in unseen
    assert [part["type"] for part in seen] == ["text", "image_url"]


async def test_tools_and_options_reach_the_provider(provider: Provider) -> None:
    server = provider([say("x")])

    await ask_provider(options={"temperature": 0.5})

    assert server.requests[0]["temperature"] == 0.5
    assert server.requests[0]["tools"] == [
        {
            "type": "function",
            "function": {
                "name": BASH.name,
                "description": BASH.description,
                "parameters": BASH.parameters,
            },
        }
    ]


async def test_a_whole_reply_is_the_same_message(provider: Provider) -> None:
    answer = reply("hello world", call("bash", {"command": "ls"}, id="c1"), reasoning="hm")
    server = provider([answer, answer])

    streamed, _ = await ask_provider()
    whole, heard = await ask_provider(stream=False)

    assert whole == streamed
    assert heard.text == "hello world"
    assert not server.requests[1].get("stream")


async def test_a_server_that_ignores_the_wish_to_stream_is_asked_again_and_remembered(
    provider: Provider,
) -> None:
    server = provider([say("one", stream=False), say("one"), say("two")])
    client = LitellmClient()

    first, heard = await ask(client)
    second, _ = await ask(client)
    await close()

    assert (first.text, second.text) == ("one", "two")
    assert heard.notices == []
    assert [bool(r.get("stream")) for r in server.requests] == [True, False, False]


async def test_a_known_model_has_a_price_and_an_unknown_one_none(provider: Provider) -> None:
    provider([say("x"), say("x")])

    known, _ = await ask_provider(question(model="openai/gpt-4o"))
    unknown, _ = await ask_provider()

    # 60 fresh and 40 cached tokens in, 20 out, by the table that comes with litellm.
    assert known.usage.cost == pytest.approx((60 * 2.5 + 40 * 1.25 + 20 * 10) / 1e6)
    assert unknown.usage.cost is None


async def test_a_model_that_is_listed_without_a_price_is_not_free(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENROUTER_API_BASE", provider([say("x")]).url)
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)

    # litellm knows the family and says 0.
    reply, _ = await ask_provider(question(model="openrouter/anthropic/claude-sonnet-4"))

    assert reply.usage == Usage(prompt=100, cached=40, completion=20, cost=None)


async def test_cancelling_closes_the_connection(provider: Provider) -> None:
    server = provider([say("hello world", stall_after=2)])
    heard, begun = Heard(), asyncio.Event()
    client = LitellmClient()

    def note(delta: object) -> None:
        heard(delta)  # type: ignore[arg-type]
        begun.set()

    task = asyncio.create_task(client.ask(question(), note))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await asyncio.to_thread(server.hung_up.wait, 30)
    assert heard.text == "hello w"
    await close()


async def test_cancelling_before_the_first_byte_closes_the_connection(provider: Provider) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def script(_: object) -> object:
        loop.call_soon_threadsafe(asked.set)
        return say("x", stall_after=0)

    server = provider(script)  # type: ignore[arg-type]
    client = LitellmClient()
    task = asyncio.create_task(client.ask(question(), Heard()))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await asyncio.to_thread(server.hung_up.wait, 30)
    await close()


async def test_cancelling_at_any_moment_leaves_no_task_behind(provider: Provider) -> None:
    provider(lambda _: say("hello world"))
    client = LitellmClient()
    await ask(client)

    for ticks in range(40):
        task = asyncio.create_task(client.ask(question(), Heard()))
        for _ in range(ticks):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await close()

    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_nothing_is_printed_or_logged(
    provider: Provider, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    provider([say("fine"), Raw(b"<html>no</html>"), Raw(b"<html>no</html>")])

    await ask_provider()
    with contextlib.suppress(Exception):
        await ask_provider()
    logging.getLogger("LiteLLM").error("what litellm logs when asked with LITELLM_LOG")

    assert capfd.readouterr() == ("", "")
    assert [r for r in caplog.records if "litellm" in r.name.lower()] == []


def _run(code: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(cwd)},
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.slow
def test_litellm_is_imported_when_it_is_warmed_and_no_garbage_is_looked_for_meanwhile(
    tmp_path: Path,
) -> None:
    code = (
        "import gc, sys, agent.llm.client as client\n"
        "before = 'litellm' in sys.modules; looked = []\n"
        "gc.callbacks.append(lambda *a: looked.append(a)); client.warm(); del gc.callbacks[:]\n"
        "print(before, 'litellm' in sys.modules, len(looked) < 100, gc.isenabled())"
    )

    assert _run(code, tmp_path) == "False True True True"


@pytest.mark.slow
def test_litellm_reads_no_env_file_and_no_network_when_imported(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_BASE_URL=http://attacker.invalid/v1\n")
    code = (
        "import dotenv, os, socket\n"
        "def refuse(*a, **k): raise SystemExit('touched')\n"
        "dotenv.load_dotenv = refuse; socket.create_connection = refuse\n"
        "socket.getaddrinfo = refuse\n"
        "import agent.llm.client as client; client.warm()\n"
        "print(os.environ.get('OPENAI_BASE_URL'))"
    )

    assert _run(code, tmp_path) == "None"
