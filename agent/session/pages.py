"""A transcript for people: Markdown, or one HTML page that loads nothing and runs nothing."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from agent.core.errors import UserError
from agent.core.messages import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolMessage,
    ToolResult,
    UserMessage,
)
from agent.core.text import one_line, terminal_safe
from agent.session.transcript import Child, Transcript, is_image

_STYLE = """\
body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;
color:#1c1e21;background:#fff}pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.4rem 0;
font:13px/1.45 ui-monospace,monospace}.said{white-space:pre-wrap;overflow-wrap:anywhere}
section{margin:1.2rem 0;padding-left:.9rem;border-left:3px solid #d0d7de}
section.user{border-color:#0969da}details{margin:.5rem 0;background:#f6f8fa;padding:.4rem .7rem;
border-radius:6px}summary{cursor:pointer;font:13px/1.5 ui-monospace,monospace}.failed summary{
color:#b35900}.dim{color:#656d76;font-size:.85rem}img{max-width:100%}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}details{background:#161b22}
section{border-color:#30363d}.dim{color:#8d96a0}}"""
_HEAD = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer">
<title>{title}</title><style>{style}</style></head><body>
"""


def document(found: Transcript, suffix: str) -> bytes:
    """The conversation in the format of a file's ending. Raises `UserError` for another."""
    if suffix == ".json":
        return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"
    writers = {".md": markdown, ".html": page}
    if suffix not in writers:
        raise UserError(
            f"a transcript cannot be written as `{suffix or 'a file without an ending'}`",
            "name a file that ends in .md, .html or .json",
        )
    return writers[suffix](found).encode("utf-8", "replace")


def markdown(found: Transcript) -> str:
    """The conversation as Markdown; what tools printed is code in it."""
    parts = [f"# {_plain(title(found))}", _plain(_about(found))]
    parts += _told(found.messages, {child.call_id: child for child in found.children}, "##")
    return "\n\n".join(parts) + "\n"


def _told(messages: Sequence[Message], children: Mapping[str, Child], head: str) -> Iterator[str]:
    for message in messages:
        match message:
            case UserMessage(text=text):
                quoted = "\n".join(f"> {line}" for line in terminal_safe(text).splitlines())
                yield f"{head} User"
                yield quoted or ">"
            case AssistantMessage(text=text, calls=calls):
                if text.strip():
                    yield f"{head} Assistant"
                    yield terminal_safe(text)
                for call in calls:
                    yield f"**→ {_plain(call.name)}**\n\n{_fenced(arguments(call))}"
            case ToolMessage(results=results):
                for result in results:
                    if (child := children.get(result.call_id)) is not None:
                        yield from _child(child, head)
                    yield _result(result)


def _child(child: Child, head: str) -> Iterator[str]:
    """What a child said and did, before what came of it."""
    yield f"{head}# {_plain(_worked(child))}"
    yield from _told(child.messages, {}, f"{head}##")
    yield f"{head}# What came of it"


def _worked(child: Child) -> str:
    where = f" (session {child.number})" if child.number else ""
    return f"Sub-agent{where}: {one_line(child.task, 72)}"


def _result(result: ToolResult) -> str:
    mark = "✓" if result.ok else "✗"
    images = f" (and {len(result.images)} images)" if result.images else ""
    return f"{mark}{images}\n\n{_fenced(result.text)}"


def _fenced(text: str) -> str:
    """A block of code that its own text cannot end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{terminal_safe(text)}\n{fence}"


def _plain(text: str) -> str:
    """One line of Markdown that is only text."""
    return re.sub(r"([\\`*_\[\]<>#!|~&])", r"\\\1", one_line(text, 300))


def page(found: Transcript) -> str:
    """The conversation as one HTML page."""
    parts = [_HEAD.format(title=_escaped(title(found)), style=_STYLE)]
    parts.append(f"<h1>{_escaped(title(found))}</h1><p class=dim>{_escaped(_about(found))}</p>")
    parts += _sections(found.messages, {child.call_id: child for child in found.children})
    return "".join(parts) + "</body></html>\n"


def _sections(messages: Sequence[Message], children: Mapping[str, Child]) -> Iterator[str]:
    for place, message in enumerate(messages):
        match message:
            case UserMessage(text=text, images=images):
                yield f"<section class=user><div class=said>{_escaped(text)}</div>"
                yield f"{_shown(images)}</section>"
            case AssistantMessage(text=text, calls=calls):
                yield f"<section><div class=said>{_escaped(text)}</div>"
                answers = _answers(messages, place)
                for call in calls:
                    yield from _call(call, answers.get(call.id), children.get(call.id))
                yield "</section>"
            case ToolMessage():
                pass  # each result stands with its call


def _answers(messages: Sequence[Message], place: int) -> dict[str, ToolResult]:
    after = messages[place + 1 : place + 2]
    return {r.call_id: r for m in after if isinstance(m, ToolMessage) for r in m.results}


def _call(call: ToolCall, result: ToolResult | None, child: Child | None) -> Iterator[str]:
    failed = " class=failed" if result is not None and not result.ok else ""
    said = arguments(call)
    yield f"<details{failed}><summary>{_escaped(one_line(f'{call.name} {said}', 120))}</summary>"
    yield f"<pre>{_escaped(said)}</pre>"
    if child is not None:
        yield f"<details class=child><summary>{_escaped(_worked(child))}</summary>"
        yield from _sections(child.messages, {})
        yield "</details>"
    if result is not None:
        yield f"<pre>{_escaped(result.text)}</pre>{_shown(result.images)}"
    yield "</details>"


def _shown(images: tuple[str, ...]) -> str:
    good = filter(is_image, images)
    return "".join(f'<img alt="" src="{image}">' for image in good)


def _escaped(text: str) -> str:
    return html.escape(terminal_safe(text))


def title(found: Transcript) -> str:
    """What the conversation is called: its name, or what was asked first."""
    asked = (m.text for m in found.messages if isinstance(m, UserMessage))
    return found.name or one_line(next(asked, ""), 72) or f"Session {found.number}"


def _about(found: Transcript) -> str:
    cost = "" if found.usage.cost is None else f", ${found.usage.cost:.4f}"
    tokens = found.usage.prompt + found.usage.completion
    at = f", at commit {found.tip[:10]}" if found.tip else ""
    return (
        f"glovebox session {found.number}, {found.model or 'no model'}, {tokens:,} tokens{cost}{at}"
    )


def arguments(call: ToolCall) -> str:
    """What a call was given, as text."""
    if call.arguments is None:
        return call.raw
    if set(call.arguments) <= {"command", "seconds", "description"} and "command" in call.arguments:
        return str(call.arguments["command"])
    return json.dumps(call.arguments, ensure_ascii=False, indent=1)
