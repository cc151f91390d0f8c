from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.servers.history import history_problem
from tests.servers.openai import Drop, Fault, OpenAIServer, Raw, call, reply, say
from tests.servers.scripts import parse_answer

SYSTEM = {"role": "system", "content": "be brief"}
USER = {"role": "user", "content": "hi"}
ROOT = Path(__file__).parents[2]


def _post(url: str, body: dict[str, Any]) -> tuple[int, str]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    try:
        connection.request("POST", f"{parts.path}/chat/completions", json.dumps(body))
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_a_stream_is_events_with_usage_and_an_end() -> None:
    with OpenAIServer([reply("abcdefgh", call("bash", {}, id="c"))]) as server:
        status, body = _post(
            server.url,
            {"messages": [USER], "stream": True, "stream_options": {"include_usage": True}},
        )

    events = [line.removeprefix("data: ") for line in body.split("\n\n") if line]
    chunks = [json.loads(event) for event in events[:-1]]
    assert status == 200
    assert events[-1] == "[DONE]"
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks[:-1]) == "abcdefgh"
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert chunks[-1]["usage"]["prompt_tokens"] == 100
    assert server.requests[0]["messages"] == [USER]


def test_without_the_wish_to_stream_the_answer_is_whole() -> None:
    with OpenAIServer([say("hello")]) as server:
        _, body = _post(server.url, {"messages": [USER]})

    assert json.loads(body)["choices"][0]["message"] == {"role": "assistant", "content": "hello"}


def test_faults_have_status_headers_and_body() -> None:
    with OpenAIServer([Fault(429, "slow", code="x"), Raw(b"<p>", 502)]) as server:
        limited = _post(server.url, {"messages": [USER]})
        raw = _post(server.url, {"messages": [USER]})
        over = _post(server.url, {"messages": [USER]})

    assert limited[0] == 429
    assert json.loads(limited[1])["error"]["message"] == "slow"
    assert raw == (502, "<p>")
    assert over[0] == 400
    assert "only 2 answers" in over[1]


@pytest.mark.parametrize("answer", [Drop(), say("hello", cut_after=1)])
def test_a_dropped_connection_is_seen_as_one(answer: Any) -> None:
    with OpenAIServer([answer]) as server, pytest.raises((OSError, http.client.HTTPException)):
        _post(server.url, {"messages": [USER], "stream": True})


def test_a_stalled_answer_ends_with_the_server() -> None:
    parts: list[http.client.HTTPConnection] = []
    with OpenAIServer([say("x", stall_after=0)]) as server:
        target = urlsplit(server.url)
        connection = http.client.HTTPConnection(target.hostname or "", target.port)
        parts.append(connection)
        connection.request("POST", "/v1/chat/completions", json.dumps({"messages": [USER]}))
    connection.close()

    assert not server.hung_up.is_set()


def _assistant(*calls: dict[str, Any], content: str | None = None) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": content}
    return message | ({"tool_calls": list(calls)} if calls else {})


def _call(id: str, arguments: str = "{}", name: str = "bash") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _result(id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": "out"}


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([USER, _assistant(_call("a"), _call("b")), _result("a"), _result("b")], ""),
        ([USER, _assistant(content="x"), USER], ""),
        ([SYSTEM, USER, _assistant(_call("a")), _result("a"), USER], ""),
        ([USER, USER], "comes after one of user"),
        ([USER, _assistant(content="x"), _assistant(content="y")], "comes after one of assistant"),
        ([_assistant(content="x"), USER], "comes after one of nobody"),
        ([USER, SYSTEM], "not the first"),
        ([{"role": "user", "content": [{"type": "text", "text": " "}]}], "empty"),
        ([USER, _assistant(_call("a")), _result("a") | {"content": " "}], "must be text"),
        ([], "no messages"),
        ([{"role": "developer", "content": "x"}], "role"),
        ([{"role": "user", "content": ""}], "empty"),
        ([USER, _assistant()], "neither text nor calls"),
        ([USER, _assistant() | {"tool_calls": []}], "empty list"),
        ([USER, _assistant(_call("a"))], "has no result"),
        ([USER, _assistant(_call("a")), USER], "has no result"),
        ([USER, _assistant(_call("a"), _call("b")), _result("b"), _result("a")], "out of order"),
        ([USER, _result("a")], "not made"),
        ([USER, _assistant(_call("")), _result("")], "empty or used twice"),
        ([USER, _assistant(_call("a"), _call("a"))], "used twice"),
        ([USER, _assistant(_call("a", name="")), _result("a")], "without a name"),
        ([USER, _assistant(_call("a", name="a.b")), _result("a")], "not allowed"),
        ([USER, _assistant(_call("a", '{"x')), _result("a")], "not JSON"),
        ([USER, _assistant(_call("a", "[]")), _result("a")], "not an object"),
    ],
)
def test_an_illegal_history_is_found(messages: list[dict[str, Any]], problem: str) -> None:
    found = history_problem({"messages": messages})

    assert problem in found
    assert bool(found) == bool(problem)


def test_an_illegal_history_is_refused() -> None:
    with OpenAIServer([say("never")]) as server:
        status, body = _post(server.url, {"messages": [USER, _result("a")]})

    assert status == 400
    assert "not made" in body


def test_as_a_program_it_prints_its_url_logs_and_ends(tmp_path: Path) -> None:
    script = {
        "conversations": [
            {"when": "one", "answers": [{"text": "1a"}, {"text": "1b"}]},
            {"when": "two", "answers": [{"status": 429, "headers": {"retry-after": "1"}}]},
        ]
    }
    (tmp_path / "script.json").write_text(json.dumps(script))
    argv = [sys.executable, "-m", "tests.servers.openai", "--script", "script.json"]
    with subprocess.Popen(
        [*argv, "--log", "log.jsonl"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        one = [{"role": "user", "content": "task one"}]
        two = [{"role": "user", "content": "task two"}]

        answers = [
            _post(url, {"messages": one}),
            _post(url, {"messages": two}),
            _post(url, {"messages": [*one, _assistant(content="1a"), USER]}),
        ]
        process.send_signal(signal.SIGTERM)
        code = process.wait()

    assert code == 0
    assert [status for status, _ in answers] == [200, 429, 200]
    assert "1a" in answers[0][1]
    assert "1b" in answers[2][1]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 3


def test_a_script_file_can_hold_every_kind_of_answer() -> None:
    made = [
        parse_answer(data)
        for data in (
            {
                "text": "x",
                "calls": [{"name": "bash", "arguments": {"a": 1}, "id": "c"}],
                "piece": 1,
            },
            {"status": 500, "message": "m"},
            {"raw": "<p>"},
            {"drop": True},
        )
    ]

    assert made == [
        reply("x", call("bash", {"a": 1}, id="c"), piece=1),
        Fault(500, "m"),
        Raw(b"<p>"),
        Drop(),
    ]
