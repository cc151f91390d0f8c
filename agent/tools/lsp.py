"""Questions about symbols, by name or by place, and renaming one everywhere."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from agent.core.messages import ToolResult
from agent.core.text import one_line
from agent.tools import lsp_wording as wording
from agent.tools.answers import Refusal, ask
from agent.tools.base import Tool, ToolContext

PATH_MAX_CHARS = 1_000
OTHERS_SHOWN = 4


class Lsp(msgspec.Struct, forbid_unknown_fields=True):
    operation: Literal[
        "definition", "references", "callers", "callees", "hover", "outline", "symbols",
        "diagnostics", "rename",
    ]  # fmt: skip
    target: Annotated[
        str,
        msgspec.Meta(
            description="Name, Class.name, path:line or path:line:name; a path for outline and"
            " diagnostics; part of a name for symbols."
        ),
    ]
    new_name: str = ""
    apply: Annotated[bool, msgspec.Meta(description="rename: do it, not only show it.")] = False


class Group(msgspec.Struct, frozen=True):
    """What there is in one file: rows of line, scope and text, scopes with lines, or a count."""

    path: str
    rows: list[list[Any]] = msgspec.field(default_factory=list[list[Any]])
    scopes: list[tuple[str, list[int]]] = msgspec.field(default_factory=list[tuple[str, list[int]]])
    count: int = 0
    hash: str = ""


class Callee(msgspec.Struct, frozen=True):
    """Something that is called in a line, and where it most likely is."""

    line: int
    name: str
    path: str
    at: int
    others: int = 0


Place = tuple[str, int, str, str]


class Answer(msgspec.Struct, frozen=True):
    """What the toolbox found; which fields are set depends on the operation."""

    name: str
    by: str = "index"
    sure: Literal["exact", "likely", "by_name"] = "exact"
    complete: bool = True
    parsed: int = 0
    code_files: int = 0
    left: int = 0
    definitions: int = 0
    total: int = 0
    files: int = 0
    cut: int = 0
    unsure: int = 0
    unsure_files: int = 0
    view: Literal["text", "lines", "counts"] = "text"
    text: str = ""
    new_name: str = ""
    applied: bool = False
    macros: bool = False
    groups: list[Group] = msgspec.field(default_factory=list[Group])
    body: list[tuple[int, str]] = msgspec.field(default_factory=list[tuple[int, str]])
    defined: list[Place] = msgspec.field(default_factory=list[Place])
    taken: list[Place] = msgspec.field(default_factory=list[Place])
    callees: list[Callee] = msgspec.field(default_factory=list[Callee])
    outline: list[tuple[int, int, int, str]] = msgspec.field(
        default_factory=list[tuple[int, int, int, str]]
    )
    problems: list[tuple[int, str, str]] = msgspec.field(default_factory=list[tuple[int, str, str]])


def tool(description: str) -> Tool:
    """The `lsp` tool."""
    return Tool("lsp", description, Lsp, _run, reads_only=False, title=_title, looks=_looks)


def _looks(arguments: Lsp) -> bool:
    return arguments.operation != "rename" or not arguments.apply


def _title(arguments: Lsp) -> str:
    to = f" to {arguments.new_name}" if arguments.operation == "rename" else ""
    return one_line(f"{arguments.operation} {arguments.target}{to}")


async def _run(arguments: Lsp, ctx: ToolContext) -> ToolResult:
    asked: dict[str, Any] = {"target": arguments.target}
    if arguments.operation == "rename":
        asked |= {"new_name": arguments.new_name, "apply": arguments.apply}
        asked |= {"shown": _key(arguments) in ctx.seen.previews}
        answer = await ask(ctx, Answer, "rename", **asked)
    else:
        asked |= {"operation": arguments.operation}
        answer = await ask(ctx, Answer, "lsp", **asked)
    if isinstance(answer, Refusal):
        text = _refused(arguments.target, answer)
        return ToolResult(ctx.call_id, ok=False, text=text, details={"reason": answer.reason})
    lines = _SAY[arguments.operation](answer) + _coverage(answer)
    details: dict[str, Any] = {"by": answer.by, "sure": answer.sure, "total": answer.total}
    if answer.applied:
        details["files"] = _known(answer, ctx)
    elif arguments.operation == "rename":
        details["preview"] = _key(arguments)
    return ToolResult(ctx.call_id, ok=True, text="\n".join(lines), details=details)


def _key(arguments: Lsp) -> str:
    """What is asked for by a rename."""
    return f"{arguments.target} -> {arguments.new_name}"


def _known(answer: Answer, ctx: ToolContext) -> list[dict[str, str]]:
    """What the model may go on editing: the files it had seen, as they are now."""
    root = ctx.sandbox.workdir.rstrip("/")
    files = [{"path": f"{root}/{group.path}", "hash": group.hash} for group in answer.groups]
    return [file for file in files if file["path"] in ctx.seen.hashes]


def flat(path: str) -> str:
    """A path on one line, whatever it is called."""
    return one_line(path, PATH_MAX_CHARS)


def _refused(target: str, refusal: Refusal) -> str:
    template = wording.REFUSALS.get(refusal.reason, wording.UNKNOWN)
    names = ", ".join(f"`{name}`" for name in refusal.names or refusal.near)
    near = wording.NEAR.format(names=names) if names else ""
    return template.format(
        target=target,
        name=refusal.name,
        line=refusal.line,
        count=refusal.count,
        why=refusal.why,
        reason=refusal.reason,
        names=names,
        near=near,
    )


def _coverage(answer: Answer) -> list[str]:
    if answer.complete:
        return []
    said = wording.PARTIAL.format(parsed=answer.parsed, files=answer.code_files)
    return [said, *([wording.LEFT.format(left=answer.left)] if answer.left else [])]


def _sureness(answer: Answer) -> str:
    """How sure it is which definition is meant."""
    values = {"name": answer.name, "count": answer.definitions, "by": answer.by}
    if not answer.definitions:
        return wording.NONE.format(**values)
    if answer.by != "index" and answer.sure == "exact":
        return wording.SERVER.format(**values)
    if answer.sure == "exact":
        return (wording.ONE if answer.definitions <= 1 else wording.HERE).format(**values)
    if answer.definitions == 1:
        return wording.ONE_UNSURE.format(unsure=answer.unsure, **values)
    return (wording.LIKELY if answer.sure == "likely" else wording.BY_NAME).format(**values)


def _definition(answer: Answer) -> list[str]:
    body = [wording.ROW.format(line=line, text=text) for line, text in answer.body]
    if answer.body:
        return [_sureness(answer), flat(answer.groups[0].path), *body, *_rest(answer)]
    return [_sureness(answer), *_rows(answer.groups)]


def _rest(answer: Answer) -> list[str]:
    """The other definitions of the name, after the one that is meant."""
    others = [f"{flat(group.path)}:{row[0]}" for group in answer.groups for row in group.rows][
        1:
    ]  # the first is shown in full
    more = ", …" if len(others) > OTHERS_SHOWN else ""
    shown = ", ".join(others[:OTHERS_SHOWN]) + more
    return [wording.OTHERS.format(places=shown)] if others else []


def _references(answer: Answer) -> list[str]:
    head = wording.USES.format(total=answer.total, name=answer.name, files=answer.files)
    lines = [f"{head} {_sureness(answer)}"]
    if answer.defined:
        lines.append(wording.DEFINED.format(places=_places(answer.defined)))
    if answer.view == "lines":
        for group in answer.groups:
            lines.append(flat(group.path))
            lines += [_scope_lines(scope, numbers) for scope, numbers in group.scopes]
    elif answer.view == "counts":
        lines += [wording.COUNT.format(path=flat(g.path), count=g.count) for g in answer.groups]
    else:
        lines += _rows(answer.groups)
    if answer.cut:
        lines.append(wording.CUT_FILES.format(count=answer.cut))
    if answer.unsure and answer.definitions > 1:
        lines.append(wording.UNSURE.format(count=answer.unsure, files=answer.unsure_files))
    return lines


def _scope_lines(scope: str, numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers))
    return f"{scope}: {shown}" if scope else shown


def _callers(answer: Answer) -> list[str]:
    head = wording.CALLERS.format(total=answer.total, name=answer.name, files=answer.files)
    lines = [f"{head} {_sureness(answer)}", wording.DEFINED.format(places=_places(answer.defined))]
    for group in answer.groups:
        lines.append(flat(group.path))
        for line, scope, text, count in group.rows:
            times = f" ×{count}" if count > 1 else ""
            lines.append(f"{line}:{scope or wording.TOP}{times}: {text}")
    return [*lines, wording.CUT.format(count=answer.cut)] if answer.cut else lines


def _callees(answer: Answer) -> list[str]:
    lines = [wording.CALLEES.format(name=answer.name, total=answer.total)]
    lines += [wording.DEFINED.format(places=_places(answer.defined))]
    for one in answer.callees:
        more = wording.MORE.format(count=one.others) if one.others else ""
        lines.append(f"{one.line}:{one.name} → {flat(one.path)}:{one.at}{more}")
    return lines


def _hover(answer: Answer) -> list[str]:
    uses = wording.USED.format(total=answer.total, files=answer.files)
    return [_sureness(answer), *_rows(answer.groups), *filter(None, [answer.text]), uses]


def _outline(answer: Answer) -> list[str]:
    if not answer.outline:
        return [wording.NO_OUTLINE.format(path=answer.name)]
    rows = [
        f"{' ' * depth}{line}{f'-{end}' if end > line else ''}:{text}"
        for depth, line, end, text in answer.outline
    ]
    return [*rows, wording.CUT.format(count=answer.cut)] if answer.cut else rows


def _symbols(answer: Answer) -> list[str]:
    if not answer.groups:
        return [wording.NO_SYMBOLS.format(name=answer.name)]
    rows = _rows(answer.groups)
    return [*rows, wording.CUT.format(count=answer.cut)] if answer.cut else rows


def _diagnostics(answer: Answer) -> list[str]:
    if not answer.problems:
        said = wording.SYNTAX_FINE if answer.by == "syntax" else wording.FINE
        return [said.format(path=answer.name, by=answer.by)]
    head = wording.PROBLEMS.format(path=answer.name, count=len(answer.problems), by=answer.by)
    macros = [wording.MACROS] if answer.macros else []
    return [head, *macros, *(f"{line}:{kind}: {text}" for line, kind, text in answer.problems)]


def _rename(answer: Answer) -> list[str]:
    values = {"total": answer.total, "files": answer.files}
    lines = [(wording.RENAMED if answer.applied else wording.WOULD).format(**values)]
    if not answer.applied and answer.sure != "by_name":
        lines[0] += wording.APPLY
    lines.append(_sureness(answer))
    if answer.taken:
        places = _places(answer.taken)
        lines.append(wording.TAKEN.format(name=answer.new_name, places=places))
    for group in answer.groups:
        path = flat(group.path)
        lines.append(path if group.rows else wording.COUNT.format(path=path, count=group.count))
        for line, text, unsure in group.rows:
            row = wording.UNSURE_ROW if unsure else wording.ROW
            lines.append(row.format(line=line, text=text))
    return lines


def _rows(groups: list[Group]) -> list[str]:
    """Paths, scopes where they change, lines."""
    lines: list[str] = []
    for group in groups:
        lines.append(flat(group.path))
        around = ""
        for line, scope, text in group.rows:
            if scope != around and scope:
                lines.append(wording.SCOPE.format(scope=scope))
            around = scope
            lines.append(wording.ROW.format(line=line, text=text))
    return lines


def _places(places: list[Place]) -> str:
    return ", ".join(f"{flat(path)}:{line} {name}" for path, line, _, name in places)


_SAY = {
    "definition": _definition,
    "references": _references,
    "callers": _callers,
    "callees": _callees,
    "hover": _hover,
    "outline": _outline,
    "symbols": _symbols,
    "diagnostics": _diagnostics,
    "rename": _rename,
}
