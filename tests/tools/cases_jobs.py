"""Every sentence of `jobs`, `preview`, `fetch`, `todo`, `ask` and `task`, for `test_wording`."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agent.core.errors import SandboxError, SandboxLacks
from agent.core.events import UserAnswered
from agent.core.messages import ToolResult
from agent.sandbox.protocol import Endpoint
from agent.tools.base import Done, Task
from tests.tools.fake import FakeSandbox, FakeToolbox, context, said, use

LOOK = {
    "ok": True,
    "name": "web",
    "state": "running",
    "exit_code": None,
    "met": "",
    "text": "one\ntwo",
    "first": 7,
    "last": 8,
    "total": 8,
    "cut": False,
}
ENDED = {**LOOK, "state": "ended", "exit_code": 1, "met": "end"}
JOB = {
    "name": "web",
    "state": "running",
    "exit_code": None,
    "seconds": 65.2,
    "command": "npm start",
    "lines": 8,
    "last_line": "listening",
}
LINK = "http://0123456789abcdef.localhost:40001/"


def no(reason: str, **more: Any) -> dict[str, Any]:
    return {"ok": False, "reason": reason, **more}


def jobs(action: str, answer: Mapping[str, Any], **more: Any) -> Awaitable[ToolResult]:
    return said("jobs", answer, action=action, name="web", **more)


def wait(met: str, **more: Any) -> Awaitable[ToolResult]:
    return jobs("wait", {**LOOK, "met": met}, **more)


class Turns(FakeToolbox):
    """Another answer for each operation."""

    def __init__(self, **answers: Mapping[str, Any]) -> None:
        super().__init__()
        self.answers = answers

    async def call(self, op: str, **arguments: Any) -> dict[str, Any]:
        return dict(self.answers[op])


def started(look: Mapping[str, Any]) -> Awaitable[ToolResult]:
    toolbox = Turns(job_start={"ok": True, "name": "web"}, job_look=look)
    ctx = context(FakeSandbox(toolbox=toolbox))
    return use("bash", ctx, command="npm start", background="web")


class Exposing(FakeSandbox):
    """A sandbox with ports."""

    async def expose(self, port: int) -> Endpoint:
        if port == 22222:
            raise SandboxError("secret of the host", "use another")
        return Endpoint(port, LINK)


def preview(port: int, answer: Mapping[str, Any]) -> Awaitable[ToolResult]:
    sandbox = Exposing(toolbox=FakeToolbox({"ok": True, **answer}))
    return use("preview", context(sandbox), port=port)


def todo(*items: tuple[str, str]) -> Awaitable[ToolResult]:
    from agent.tools.base import Item

    listed = [Item(text, state) for text, state in items]  # type: ignore[arg-type]
    return use("todo", context(FakeSandbox()), items=listed)


def task(done: Done, **more: Any) -> Awaitable[ToolResult]:
    async def ran(_: Task) -> Done:
        return done

    ctx = replace(context(FakeSandbox()), run_task=ran)
    return use("task", ctx, task="look", **more)


def ask(how: Any, chosen: Sequence[str] = (), text: str = "") -> Awaitable[ToolResult]:
    async def answered(*_: Any, multiple: bool) -> UserAnswered:
        return UserAnswered("1", how, tuple(chosen), text)

    ctx = replace(context(FakeSandbox()), ask_user=answered)
    return use("ask", ctx, question="Which?", options=["red", "blue"])


PAGE = {
    "ok": True,
    "url": "https://e.example/a",
    "title": "A page",
    "text": "# Hello",
    "start": 0,
    "end": 7,
    "total": 7,
    "cut": False,
}


def fetch(answer: Mapping[str, Any]) -> Awaitable[ToolResult]:
    return said("fetch", answer, url="e.example/a")


def lacking() -> Awaitable[ToolResult]:
    sandbox = FakeSandbox(toolbox=FakeToolbox(error=SandboxLacks("no Python in there")))
    return use("fetch", context(sandbox), url="https://e.example/")


def cases() -> dict[str, Awaitable[ToolResult]]:
    return {
        "bash: a job": started({**LOOK, "text": "", "first": 0, "last": 0, "total": 0}),
        "bash: a job that prints": started(LOOK),
        "bash: a job that fails at once": started(ENDED),
        "bash: a job whose name is taken": said(
            "bash", no("taken"), command="npm start", background="web"
        ),
        "bash: a job with a bad name": said("bash", no("bad_name"), command="x", background="a/b"),
        "bash: one job too many": said(
            "bash", no("too_many", count=32), command="x", background="web"
        ),
        "bash: no job": said("bash", no("denied", why="Disk full"), command="x", background="web"),
        "jobs: list": jobs(
            "list",
            {
                "ok": True,
                "jobs": [
                    JOB,
                    {**JOB, "name": "db", "state": "ended", "exit_code": 0, "last_line": ""},
                    {**JOB, "name": "old", "state": "lost", "command": "sleep\n1"},
                ],
            },
        ),
        "jobs: none": jobs("list", {"ok": True, "jobs": []}),
        "jobs: tail": jobs("tail", LOOK),
        "jobs: tail of much": jobs("tail", {**LOOK, "cut": True}),
        "jobs: tail of one that ended": jobs("tail", {**ENDED, "met": ""}),
        "jobs: nothing new": jobs("tail", {**LOOK, "text": "", "first": 0, "last": 0}, after=8),
        "jobs: text came": wait("text", text="two"),
        "jobs: port came": wait("port", port=3000),
        "jobs: not in time": wait("", text="three", seconds=5),
        "jobs: never": jobs("wait", ENDED, text="three"),
        "jobs: the end": jobs("wait", ENDED),
        "jobs: sent": jobs("send", {"ok": True, "lines": 8}, text="yes"),
        "jobs: not read": jobs("send", no("deaf"), text="yes"),
        "jobs: nothing after it": jobs("tail", {**LOOK, "text": "", "first": 0, "last": 0}),
        "jobs: killed": jobs("kill", {"ok": True, "state": "ended", "exit_code": -15}),
        "jobs: over": jobs("kill", no("over", state="ended", exit_code=0)),
        "jobs: no name": said("jobs", {}, action="tail"),
        "jobs: absent": jobs("tail", no("absent", names=["db", "api"])),
        "jobs: absent, none at all": jobs("tail", no("absent")),
        "jobs: a reason unknown to us": jobs("tail", no("phase_of_the_moon")),
        "preview: a page": preview(3000, {"answers": True, "says": "HTTP/1.1 200 OK"}),
        "preview: no page": preview(5432, {"answers": True}),
        "preview: nothing there": preview(
            3000, {"answers": False, "ports": [{"port": 8000}, {"port": 8080}]}
        ),
        "preview: nothing at all": preview(3000, {"answers": False}),
        "preview: refused": preview(22222, {"answers": True}),
        "any tool: a sandbox without Python": lacking(),
        "fetch: a page": fetch(PAGE),
        "fetch: a part": fetch({**PAGE, "start": 7, "end": 14, "total": 99, "cut": True}),
        "fetch: past the end": fetch({**PAGE, "text": "", "start": 99, "end": 99, "total": 99}),
        "fetch: an empty page": fetch({**PAGE, "title": "", "text": "", "end": 0, "total": 0}),
        "fetch: no address": fetch(no("no_url")),
        "fetch: blocked": fetch(no("blocked", why="blocked by policy: e.example:443")),
        "fetch: an error": fetch(no("status", status=404, why="Not Found")),
        "fetch: late": fetch(no("late")),
        "fetch: a picture": fetch(no("binary", kind="image/png", size=10)),
        "fetch: nobody there": fetch(no("unreachable", why="[Errno 111] Connection refused")),
        "fetch: nonsense": fetch(no("broken", why="BadStatusLine")),
        "fetch: a riddle": fetch(no("unreadable")),
        "fetch: a reason unknown to us": fetch(no("phase_of_the_moon")),
        "todo: a list": todo(("look", "done"), ("mend\nit", "doing"), ("test", "open")),
        "todo: an empty list": todo(),
        "task: done": task(Done("done", "it is in a.py:3", 4)),
        "task: silent": task(Done("done", "")),
        "task: a limit": task(Done("limit", "so far", why="the limit was reached")),
        "task: interrupted": task(Done("interrupted", "")),
        "task: nobody to do it": use("task", context(FakeSandbox()), task="look"),
        "task: a fork": task(Done("done", "did it", branch="glovebox/7"), fork=True),
        "task: a fork that changed nothing": task(Done("done", "looked"), fork=True),
        "ask: chosen": ask("answered", ["red"]),
        "ask: several and words": ask("answered", ["red", "blue"], "both"),
        "ask: declined": ask("declined"),
        "ask: late": ask("late"),
        "ask: nobody there": ask("policy"),
        "ask: nobody there, first taken": ask("policy", ["red"]),
    }
