"""A model that misbehaves in every way that is known, by a seed.

`Chaos(seed)` is a script for `OpenAIServer`. Which way is taken depends on the seed and on how many
requests came before in the same conversation, so sessions side by side do not mix.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.servers.answers import Answer, Call, Drop, Fault, Raw, Reply

Way = Callable[[random.Random], Answer]

PLAUSIBLE = (
    ("bash", {"command": "cat a.txt"}),
    ("write", {"path": "a.txt", "content": "one\ntwo\n"}),
    ("read", {"path": "a.txt"}),
    ("edit", {"path": "a.txt", "old": "one", "new": "three"}),
    ("todo", {"items": [{"text": "look"}]}),
)
ODD_RAW = (
    "", " ", "{", '{"command": "ls', '{"command": "ls",}', '{"command": "ls"}}', "[]", "null",
    '"ls"', "NaN", "ls -la", '{"command": NaN}', '{"command": "a\nb"}', "{'command': 'ls'}",
    '{"command": "ls"}{"command": "ls"}', '{"command": "ls"}{"command": "rm"}', "[" * 2_000,
    '{"a":' * 300, '{"command": "\\ud800"}', '{"command": 1e999}', '```json\n{"a": "ls"}\n```',
    '{"command": "\u0000"}', "\ufeff{}", '{"command": 99999999999999999999999999}',
)  # fmt: skip
ODD_NAMES = ("", "Bash", "functions.bash", "sudo", "bash ", "a" * 300, "läs", "rm -rf /", "\u202e")
ODD_TYPES = (
    {"command": 7}, {"command": ["ls"]}, {"command": None}, {}, {"command": "ls", "colour": "red"},
    {"command": "true", "seconds": "soon"}, {"command": "true", "seconds": "5"}, {"path": {}},
)  # fmt: skip
IN_TEXT = (
    '<tool_call>{name}</tool_call>', "<tool_call>\n{name}\n{name}", "```json\n{name}\n```",
    "[TOOL_CALLS] [{name}, {name}]", "{name}", "<|python_tag|>{name}",
    "<function=bash>\n<parameter=command>\ntrue\n</parameter>\n</function>",
    "<tool_call>{name}", "<tool_call>{{}}</tool_call>", "<function=sudo></function>",
)  # fmt: skip
IN_BLOCKS = (
    "```bash\ncat a.txt\n```", "```sh\ntrue", "```bash\n```",
    "```bash\ntrue\n```\n```bash\ncat\n```",
    "a.txt\n```\n<<<<<<< SEARCH\n=======\none\n>>>>>>> REPLACE\n```",
    "a.txt\n```\n<<<<<<< SEARCH\none\n=======\nthree\n>>>>>>> REPLACE\n```",
    "```\n<<<<<<< SEARCH\none\n=======\nthree\n>>>>>>> REPLACE\n```",
    "a.txt\n<<<<<<< SEARCH\none\n>>>>>>> REPLACE", "a.txt\n<<<<<<< SEARCH\none\n=======\nthree",
    "[result of block 1, bash: ok]\nmade up", "```python\nprint(1)\n```",
    "~~~bash\ntrue\n~~~\n<<<<<<< SEARCH",
)  # fmt: skip
ODD_CHUNKS = (
    ": keep-alive", "event: ping", "data: {}", 'data: {"choices": []}', "id: 7", "retry: 10",
    'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": null}]}',
)  # fmt: skip
GARBAGE = ("data: {garbage", "data: null", "data: []", "garbage", "data: <html>", "\x00\x01")
BODIES = (b"", b"null", b"[]", b"{}", b"<html>Bad Gateway</html>", b"\xff\xfe", b'{"choices": []}')


class Chaos:
    """`taken` counts which ways were gone."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._asked: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()

    def __call__(self, request: dict[str, Any]) -> Answer:
        first = next(m for m in request["messages"] if m["role"] == "user")
        talk = str(first["content"])[:40]
        self._asked[talk] += 1
        chance = random.Random(f"{self._seed} {talk} {self._asked[talk]}")
        way = chance.choices(list(WAYS), [weight for weight, _ in WAYS.values()])[0]
        self.taken[way] += 1
        return WAYS[way][1](chance)


def _name(chance: random.Random) -> str:
    return f"c{chance.randrange(10**9)}"


def _call(chance: random.Random) -> Call:
    name, arguments = chance.choice(PLAUSIBLE)
    return Call(name, json.dumps(arguments), _name(chance))


def _odd_call(chance: random.Random) -> Call:
    good = _call(chance)
    match chance.randrange(4):
        case 0:
            return Call(good.name, chance.choice(ODD_RAW), good.id)
        case 1:
            return Call(chance.choice(ODD_NAMES), good.arguments, good.id)
        case 2:
            return Call(
                chance.choice(["bash", "read"]), json.dumps(chance.choice(ODD_TYPES)), good.id
            )
        case _:
            return Call(good.name, good.arguments, chance.choice(["", "same", "same", "call_1"]))


def _calls(chance: random.Random) -> tuple[Call, ...]:
    make = chance.choice([_call, _odd_call])
    return tuple(make(chance) for _ in range(chance.choice([1, 1, 2, 4])))


def _done(chance: random.Random) -> Answer:
    return Reply("All done, " + "and well " * chance.randrange(20), piece=40)


def _working(chance: random.Random) -> Answer:
    return Reply(chance.choice(["", "Let me see."]), _calls(chance), piece=chance.choice([3, 50]))


def _limited(chance: random.Random) -> Answer:
    after = chance.choice([{}, {"retry-after": "0"}, {"retry-after": "1"}, {"retry-after": "900"},
                           {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, {"retry-after": "x"},
                           {"retry-after-ms": "30"}])  # fmt: skip
    return Fault(429, "slow down", headers=after)


def _failing(chance: random.Random) -> Answer:
    status = chance.choice([500, 500, 502, 503, 504, 529, 408, 409, 400, 401, 403, 413, 422])
    if chance.random() < 0.3:
        return Raw(b"<html>no</html>", status, "text/html")
    return Fault(status, chance.choice(["failure", "maximum context length is 10 tokens", ""]))


def _cut(chance: random.Random) -> Answer:
    calls = _calls(chance) if chance.random() < 0.5 else ()
    return Reply("I was about to", calls, "hm", cut_after=chance.randrange(1, 12))


def _silent(chance: random.Random) -> Answer:
    return Reply("I was about to", _calls(chance), stall_after=chance.choice([0, 0, 1, 3, 9]))


def _cut_at_limit(chance: random.Random) -> Answer:
    calls = ()
    if chance.random() < 0.6:
        whole = _call(chance)
        end = chance.randrange(len(whole.arguments))
        calls = (*_calls(chance), Call(whole.name, whole.arguments[:end], whole.id))
    text = chance.choice(["", "It goes on and", '<tool_call>{"name": "bash", "argu'])
    return Reply(text, calls, chance.choice(["", "hm"]), finish="length")


def _in_text(chance: random.Random) -> Answer:
    name, arguments = chance.choice([*PLAUSIBLE, ("sudo", {})])
    call = json.dumps({"name": name, "arguments": arguments})
    return Reply(chance.choice(["", "Look:\n"]) + chance.choice(IN_TEXT).format(name=call))


def _in_blocks(chance: random.Random) -> Answer:
    text = chance.choice(["", "Look:\n"]) + "\n".join(
        chance.sample(IN_BLOCKS, chance.choice([1, 2]))
    )
    return Reply(text, piece=20, finish=chance.choice([None, None, None, "length"]))


def _empty(chance: random.Random) -> Answer:
    usage = {"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9}
    return Reply(
        chance.choice(["", "", " ", "\n\n"]),
        reasoning=chance.choice(["", "", "hm"]),
        usage=chance.choice([None, usage]),
        finish=chance.choice([None, "", "content_filter", "eos", "tool_calls"]),
    )


def _whole(chance: random.Random) -> Answer:
    return Reply("Whole.", _calls(chance) if chance.random() < 0.5 else (), stream=False)


def _noisy(chance: random.Random) -> Answer:
    lines = ODD_CHUNKS if chance.random() < 0.6 else (*ODD_CHUNKS, *GARBAGE)
    between = tuple(chance.sample(lines, 3))
    return Reply("Noisy.", _calls(chance) if chance.random() < 0.4 else (), between=between)


def _huge(chance: random.Random) -> Answer:
    if chance.random() < 0.5:
        return Reply("x" * 300_000, piece=300_000)
    arguments = json.dumps({"path": "big.txt", "content": "y" * 300_000})
    return Reply("", (Call("write", arguments, _name(chance)),), piece=100_000)


def _odd_text(chance: random.Random) -> Answer:
    text = chance.choice(["\x1b[2J\x07", "\u202e\u200b", "\ud83d", "\x00", "```", "data: [DONE]"])
    return Reply(text, finish=chance.choice(["stop", "", "eos"]), done=chance.random() < 0.5)


def _body(chance: random.Random) -> Answer:
    kind = chance.choice(["application/json", "text/event-stream", "text/html"])
    return Raw(chance.choice(BODIES), content_type=kind)


def _error_inside(chance: random.Random) -> Answer:
    error = {"error": {"message": "overloaded", "code": chance.choice([500, 429, "x", None])}}
    start = {"choices": [{"index": 0, "delta": {"content": "I was"}, "finish_reason": None}]}
    events = [start, error] if chance.random() < 0.5 else [error]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return Raw(body.encode(), content_type="text/event-stream")


def _odd_calls_inside(chance: random.Random) -> Answer:
    """Fragments of calls without function, index or id, in any order, as objects, twice."""
    function = {"name": "bash", "arguments": '{"command": "true"}'}
    fragments = [
        {"index": chance.choice([0, 1, None, 7]), "id": chance.choice([None, "", "same", "x"]),
         "type": "function",
         "function": chance.choice([function, {"name": "bash", "arguments": ""},
                                    {"arguments": '{"command": "true"}'}, {"name": None}])}
        for _ in range(chance.randrange(1, 5))
    ]  # fmt: skip
    events = [
        {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m",
         "choices": [{"index": 0, "delta": {"tool_calls": [f]}, "finish_reason": None}]}
        for f in fragments
    ]  # fmt: skip
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    events += [events[0] | end] if chance.random() < 0.8 else []
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    return Raw(body.encode(), content_type="text/event-stream")


WAYS: dict[str, tuple[int, Way]] = {
    "done": (75, _done),
    "working": (18, _working),
    "limited": (4, _limited),
    "failing": (5, _failing),
    "dropped": (2, lambda _: Drop()),
    "cut": (4, _cut),
    "silent": (2, _silent),
    "cut at the limit": (5, _cut_at_limit),
    "in the text": (5, _in_text),
    "in blocks": (4, _in_blocks),
    "empty": (4, _empty),
    "whole": (3, _whole),
    "noisy": (4, _noisy),
    "huge": (1, _huge),
    "odd text": (3, _odd_text),
    "body": (3, _body),
    "error inside": (2, _error_inside),
    "odd calls inside": (3, _odd_calls_inside),
}
