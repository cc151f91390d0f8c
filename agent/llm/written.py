"""Calls that a model wrote into its text, because its server did not know how to read them.

Each family of open models has its own way to write a call; a server that is set up for it turns
that into calls of the wire, another one hands the text through. Read here are the ways of Hermes
and Qwen, Qwen-Coder, GLM, Llama, Mistral, DeepSeek, Kimi, MiniMax, Granite, Gemma, calls as Python
writes them, and JSON in a fence at the end. A text counts only as a whole: every piece names a tool
that there is and is no example within an explanation, or none is a call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from agent.llm.protocol import ToolSchema
from agent.llm.pythonic import python_calls
from agent.llm.repair import repaired

TEXT_MAX_CHARS = 200_000


@dataclass(frozen=True, slots=True)
class Written:
    """A call as it stood in the text: `raw` is JSON, or what was there instead."""

    name: str
    raw: str


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    end: int
    calls: tuple[Written, ...]


_TAGS = tuple(
    # An end may be missing at the end of the text; a backtick before it makes it an example.
    re.compile(f"{begin}(?P<body>{body})(?:{end}|\\Z)", re.DOTALL)
    for begin, body, end in (
        # Hermes, Qwen, GLM, Granite, MiniMax
        (
            r"<(?:tool_call|minimax:tool_call|function_calls|\|tool_call\|)>",
            r".*?",
            r"</(?:tool_call|minimax:tool_call|function_calls)>|(?=<tool_call>)",
        ),
        # Qwen-Coder, Llama and OpenHands with nothing around
        (r"", r"<function=.*?", r"(?<=</function>)"),
        # Llama
        (r"<\|python_tag\|>", r".*?", r"<\|eo[mt]_id\|>"),
        (r"<\|python_start\|>", r".*?", r"<\|python_end\|>"),
        # Mistral
        (r"\[TOOL_CALLS\]", r".*?", r"(?=\[TOOL_CALLS\])"),
        # DeepSeek
        (r"<｜tool▁call▁begin｜>", r".*?", r"<｜tool▁call▁end｜>"),
        # Kimi
        (r"<\|tool_call_begin\|>", r".*?", r"<\|tool_call_end\|>"),
    )
)
_AROUND = re.compile(
    r"<\|tool_calls_section_(?:begin|end)\|>|<｜tool▁calls▁(?:begin|end)｜>|<｜end▁of▁sentence｜>"
    r"|(?:`{3,}|~{3,})[\w-]*\s*(?:`{3,}|~{3,})\s*\Z"  # a fence of which nothing is left
)
_FENCES = re.compile(
    r"```(?:(?:json|tool_call)?[ \t]*\n(?=\s*[{\[])|tool_code[ \t]*\n)(?P<body>.*?)\n?```\s*\Z",
    re.DOTALL,
)
_FENCE = re.compile(r"^ {0,3}(?:`{3,}|~{3,})[ \t]*([\w-]*)", re.MULTILINE)
_TO_BE_READ = ("text", "txt", "plaintext", "markdown", "md", "example", "console")
_FUNCTION = re.compile(
    r"<(?:function=|invoke name=)\"?([\w.:/-]+)\"?>(.*?)(?:</(?:function|invoke)>|\Z)", re.DOTALL
)
_PARAMETER = re.compile(
    r"<parameter(?:=|\s+name=)\"?([\w.-]+)\"?>\n?(.*?)\n?</parameter>", re.DOTALL
)
_GLM_PAIR = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)
# name, then JSON: DeepSeek 3 with a word before and a fence around, 3.1, Kimi, Mistral.
_NAMED = re.compile(
    r"\s*(?:function<｜tool▁sep｜>)?(?:functions\.)?([\w-]+)(?::\d+)?\s*"
    r"(?:<｜tool▁sep｜>|<\|tool_call_argument_begin\|>|\[ARGS\]|\n)?\s*(?:```(?:json)?\n)?(\{.*\})\s*(?:```)?\s*\Z",
    re.DOTALL,
)


def take_calls(text: str, tools: Sequence[ToolSchema]) -> tuple[str, tuple[Written, ...]]:
    """The text without its calls, and these; the text as it is when they are not all of ours."""
    schemas = {tool.name: tool.parameters for tool in tools}
    if not schemas or len(text) > TEXT_MAX_CHARS:
        return text, ()
    pieces = _pieces(text, schemas)
    calls = tuple(call for piece in pieces for call in piece.calls)
    if not calls or not all(piece.calls for piece in pieces):
        return text, ()
    kept, at = "", 0
    for piece in pieces:
        kept, at = kept + text[at : piece.start], piece.end
    return _AROUND.sub("", kept + text[at:]).strip(), calls


def _pieces(text: str, schemas: Mapping[str, Any]) -> list[_Piece]:
    for form in _TAGS:
        if found := [_piece(match, schemas) for match in form.finditer(text)]:
            return found
    bare = text.strip()
    found = tuple(_of_json(bare, schemas)) if bare[:1] in ("{", "[") else ()
    if calls := found or _of_python(bare, schemas):
        return [_Piece(0, len(text), calls)]
    return list(_fenced(text, schemas))


def _piece(match: re.Match[str], schemas: Mapping[str, Any]) -> _Piece:
    calls = () if _is_example(match) else tuple(_of_body(match["body"], schemas))
    return _Piece(match.start(), match.end(), calls)


def _is_example(match: re.Match[str]) -> bool:
    """Whether it stands in backticks, or in a fence that is to be read or that words follow."""
    text, start = match.string, match.start()
    if text[start - 1 : start] == "`":
        return True
    before = list(_FENCE.finditer(text, 0, start))
    if len(before) % 2 == 0:
        return False
    closing = _FENCE.search(text, match.end())
    follows = text[closing.end() :].strip() if closing else ""
    return bool(follows) or before[-1][1].lower() in _TO_BE_READ


def _fenced(text: str, schemas: Mapping[str, Any]) -> Iterator[_Piece]:
    """Fences at the end of a text: one that stands in an explanation is an example."""
    found: list[_Piece] = []
    while match := _last_fence(text):
        piece = _piece(match, schemas)
        if not piece.calls:
            break
        found.insert(0, piece)
        text = text[: match.start()]
    return iter(found)


def _last_fence(text: str) -> re.Match[str] | None:
    end = text.rstrip().removesuffix("```")
    start = end.rfind("```")
    return _FENCES.match(text, start) if start >= 0 and end != text.rstrip() else None


def _of_body(body: str, schemas: Mapping[str, Any]) -> Iterator[Written]:
    if functions := _FUNCTION.findall(body):
        for name, inner in functions:
            yield from _of_function(name, inner, schemas)
    elif pairs := _GLM_PAIR.findall(body):
        name = body.partition("<arg_key>")[0].strip()
        if name in schemas:
            yield Written(name, _typed(pairs, schemas[name]))
    elif (named := _NAMED.match(body)) and named[1] in schemas:
        yield Written(named[1], named[2])
    elif calls := tuple(_of_json(body.strip(), schemas)):
        yield from calls
    else:
        yield from _of_python(body.strip(), schemas)


def _of_python(body: str, schemas: Mapping[str, Any]) -> tuple[Written, ...]:
    return tuple(Written(name, raw) for name, raw in python_calls(body, schemas))


def _of_function(name: str, inner: str, schemas: Mapping[str, Any]) -> Iterator[Written]:
    if name not in schemas:
        return
    whole = inner.count("<parameter") <= inner.count("</parameter>")
    pairs = _PARAMETER.findall(inner) if whole else ()
    if pairs or not inner.strip():
        yield Written(name, _typed(pairs, schemas[name]))
    else:
        yield Written(name, inner.strip())


def _of_json(body: str, schemas: Mapping[str, Any]) -> Iterator[Written]:
    """One object with a name and arguments, a list of them, or one after the other."""
    for value in _values(body):
        name, arguments = value.get("name"), value.get("arguments", value.get("parameters"))
        if isinstance(value.get("function"), dict):
            inner = cast("dict[str, Any]", value["function"])
            name, arguments = inner.get("name"), inner.get("arguments")
        if not isinstance(name, str) or name not in schemas or arguments is None:
            return
        raw = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        yield Written(name, raw)


def _values(body: str) -> list[dict[str, Any]]:
    try:
        whole = json.loads(body, strict=False)
    except (ValueError, RecursionError):
        whole = repaired(body) or [
            repaired(line) for line in re.split(r";|\n", body) if line.strip()
        ]
    values = cast("list[Any]", whole) if isinstance(whole, list) else [whole]
    good = [cast("dict[str, Any]", value) for value in values if isinstance(value, dict)]
    return good if len(good) == len(values) else []


def _typed(pairs: Sequence[tuple[str, str]], schema: Mapping[str, Any]) -> str:
    """Parameters written as text, with the types that the tool's schema gives them."""
    properties = cast("Mapping[str, Any]", schema.get("properties") or {})
    return json.dumps(
        {key.strip(): _value(text, properties.get(key.strip())) for key, text in pairs},
        ensure_ascii=False,
    )


def _value(text: str, schema: Any) -> Any:
    if isinstance(schema, dict) and cast("dict[str, Any]", schema).get("type") == "string":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
