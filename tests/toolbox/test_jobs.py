"""Background programs: real ones, looked at through one toolbox and through the next."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from agent.core import limits
from agent.sandbox.toolbox import ToolboxClient
from agent.toolbox.programs import joblog
from tests.sandbox_fixtures import bare_toolbox, once_argv

LONG = 60.0


class Jobs:
    """The operations on jobs of one toolbox."""

    def __init__(self, toolbox: ToolboxClient) -> None:
        self._toolbox = toolbox

    async def start(self, name: str, command: str, **more: Any) -> dict[str, Any]:
        return await self._toolbox.call("job_start", name=name, command=command, **more)

    async def look(self, name: str, **more: Any) -> dict[str, Any]:
        return await self._toolbox.call("job_look", name=name, **{"lines": 100, **more})

    async def send(self, name: str, text: str) -> dict[str, Any]:
        return await self._toolbox.call("job_send", name=name, text=text)

    async def kill(self, name: str) -> dict[str, Any]:
        return await self._toolbox.call("job_kill", name=name)

    async def list(self) -> list[dict[str, Any]]:
        return (await self._toolbox.call("job_list"))["jobs"]

    async def end_all(self) -> None:
        for job in await self.list():
            await self.kill(job["name"])


@contextlib.asynccontextmanager
async def jobs_in(folder: Path) -> AsyncGenerator[Jobs]:
    async with bare_toolbox(folder) as toolbox:
        jobs = Jobs(toolbox)
        try:
            yield jobs
        finally:
            await jobs.end_all()


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


async def test_one_is_started_looked_at_and_ends_by_itself(tmp_path: Path) -> None:
    async with jobs_in(tmp_path) as jobs:
        assert (await jobs.start("a", "pwd; echo two; exit 3"))["ok"]
        seen = await jobs.look("a", seconds=LONG)
        assert (seen["met"], seen["state"], seen["exit_code"]) == ("end", "ended", 3)
        assert (seen["text"], seen["first"], seen["total"]) == (f"{tmp_path}\ntwo", 1, 2)
        (listed,) = await jobs.list()
        assert (listed["name"], listed["state"], listed["last_line"]) == ("a", "ended", "two")


async def test_output_comes_at_once_although_it_is_no_terminal_for_a_person(tmp_path: Path) -> None:
    script = "import sys; print(sys.stdout.isatty()); input(); print('never')"
    async with jobs_in(tmp_path) as jobs:
        await jobs.start("a", f'python3 -c "{script}"')
        seen = await jobs.look("a", text="True", seconds=LONG)
        assert (seen["met"], seen["state"], seen["text"]) == ("text", "running", "True")


async def test_what_is_typed_arrives_and_is_not_repeated(tmp_path: Path) -> None:
    async with jobs_in(tmp_path) as jobs:
        await jobs.start("a", 'while read -r x; do echo "got $x"; done; echo over')
        sent = await jobs.send("a", "one\ntwo\n")
        assert sent["ok"]
        await jobs.look("a", text="got two", seconds=LONG)
        await jobs.send("a", "\x04")
        seen = await jobs.look("a", seconds=LONG)
        assert seen["text"] == "got one\ngot two\nover"
        refused = await jobs.send("a", "more\n")
        assert (refused["ok"], refused["reason"], refused["exit_code"]) == (False, "over", 0)


async def test_control_c_reaches_the_program(tmp_path: Path) -> None:
    async with jobs_in(tmp_path) as jobs:
        await jobs.start(
            "a", "trap 'echo caught; exit 9' INT; echo up; while :; do sleep 0.1; done"
        )
        await jobs.look("a", text="up", seconds=LONG)
        await jobs.send("a", "\x03")
        seen = await jobs.look("a", seconds=LONG)
        assert (seen["exit_code"], seen["text"]) == (9, "up\ncaught")


async def test_waiting_looks_only_at_lines_after_the_given_one(tmp_path: Path) -> None:
    async with jobs_in(tmp_path) as jobs:
        await jobs.start("a", "echo ready; read x; echo ready again; read x")
        first = await jobs.look("a", text="ready", seconds=LONG)
        assert first["met"] == "text"
        nothing = await jobs.look("a", text="ready", after=first["total"], seconds=0.2)
        assert (nothing["met"], nothing["text"]) == ("", "")
        await jobs.send("a", "\n")
        second = await jobs.look("a", text="ready", after=first["total"], seconds=LONG)
        assert (second["met"], second["text"], second["first"]) == ("text", "ready again", 2)


async def test_a_line_without_an_end_is_seen_too(tmp_path: Path) -> None:
    async with jobs_in(tmp_path) as jobs:
        await jobs.start("a", "printf 'Password: '; read x")
        assert (await jobs.look("a", text="Password:", seconds=LONG))["met"] == "text"


async def test_waiting_for_a_port(tmp_path: Path) -> None:
    serve = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); "
        "print('port', s.getsockname()[1]); input(); s.accept()"
    )
    async with bare_toolbox(tmp_path) as toolbox:
        jobs = Jobs(toolbox)
        await jobs.start("a", f'python3 -c "{serve}"')
        port = int((await jobs.look("a", text="port", seconds=LONG))["text"].split()[1])
        assert (await jobs.look("a", port=port, seconds=LONG))["met"] == "port"
        listed = (await toolbox.call("ports"))["ports"]
        assert any(p["port"] == port and "create_server" in p["program"] for p in listed)
        assert (await toolbox.call("port", port=port, seconds=LONG))["answers"] is True
        await jobs.kill("a")
        closed = await toolbox.call("port", port=port, seconds=0.1)
        assert (closed["answers"], closed["says"]) == (False, "")


async def test_a_port_says_what_it_says_to_a_browser(tmp_path: Path) -> None:
    serve = 'python3 -c \'import http.server as h; s = h.HTTPServer(("127.0.0.1", 0), '
    serve += 'h.SimpleHTTPRequestHandler); print("port", s.server_port); s.serve_forever()\''
    async with jobs_in(tmp_path) as jobs:
        await jobs.start("a", serve)
        port = int((await jobs.look("a", text="port", seconds=LONG))["text"].split()[1])
        async with bare_toolbox(tmp_path) as toolbox:
            assert (await toolbox.call("port", port=port, seconds=LONG))["says"].startswith(
                "HTTP/1.0 200"
            )


@pytest.mark.parametrize(("leader", "code"), [("trap '' TERM HUP;", -9), ("", -15)])
async def test_kill_ends_a_whole_stubborn_family(leader: str, code: int, tmp_path: Path) -> None:
    async with jobs_in(tmp_path) as jobs:
        script = leader + "sh -c 'trap \"\" TERM HUP; echo pid $$; sleep 600' & wait"
        await jobs.start("a", script)
        child = (await jobs.look("a", text="pid ", seconds=LONG))["text"].split()[1]
        assert (await jobs.kill("a"))["exit_code"] == code
        assert runs(child) is False
        again = await jobs.kill("a")
        assert (again["ok"], again["reason"], again["exit_code"]) == (False, "over", code)


def runs(pid: str) -> bool:
    """Whether a process is there that is not only waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_it_outlives_the_toolbox_that_started_it(tmp_path: Path) -> None:
    async with bare_toolbox(tmp_path) as toolbox:
        await Jobs(toolbox).start("a", "echo up; read x; echo bye")
    async with jobs_in(tmp_path) as jobs:
        assert (await jobs.look("a", text="up", seconds=LONG))["state"] == "running"
        await jobs.send("a", "\n")
        assert (await jobs.look("a", seconds=LONG))["text"] == "up\nbye"


async def test_a_name_is_one_jobs_until_it_has_ended(tmp_path: Path) -> None:
    async with jobs_in(tmp_path) as jobs:
        await jobs.start("a", "read x")
        assert (await jobs.start("a", "true"))["reason"] == "taken"
        await jobs.kill("a")
        assert (await jobs.start("a", "echo second"))["ok"]
        assert (await jobs.look("a", seconds=LONG))["text"] == "second"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", "a b", "é", "a" * 41, "a\n", "a\0"])
async def test_a_name_that_could_be_something_else_is_refused(name: str, tmp_path: Path) -> None:
    async with jobs_in(tmp_path) as jobs:
        assert (await jobs.start(name, "true"))["reason"] == "bad_name"
        assert (await jobs.look(name))["reason"] == "absent"


async def test_one_that_nobody_knows_is_absent_and_the_others_are_named(tmp_path: Path) -> None:
    async with jobs_in(tmp_path) as jobs:
        await jobs.start("web", "read x")
        for refused in (await jobs.look("wep"), await jobs.send("wep", ""), await jobs.kill("wep")):
            assert (refused["reason"], refused["names"]) == ("absent", ["web"])


async def test_a_keeper_that_was_killed_leaves_a_job_that_is_lost(tmp_path: Path) -> None:
    async with jobs_in(tmp_path) as jobs:
        await jobs.start("a", "echo up; exec sleep 600")
        await jobs.look("a", text="up", seconds=LONG)
        folder = tmp_path / "glovebox/jobs/a"
        found = subprocess.run(
            ["pgrep", "-f", f"job {folder}$"], capture_output=True, text=True, check=True
        )
        subprocess.run(["kill", "-9", *found.stdout.split()], check=True)
        seen = await jobs.look("a", seconds=LONG)
        assert (seen["state"], seen["met"], seen["text"]) == ("lost", "end", "up")
        assert (await jobs.start("a", "true"))["ok"]


async def test_a_directory_that_is_not_there_is_the_jobs_own_failure(tmp_path: Path) -> None:
    async with jobs_in(tmp_path) as jobs:
        await jobs.start("a", "true", cwd="no/such")
        seen = await jobs.look("a", seconds=LONG)
        assert (seen["state"], seen["exit_code"]) == ("ended", 127)
        assert "No such file or directory" in seen["text"]


async def test_a_flood_is_bounded_and_its_lines_keep_their_numbers(tmp_path: Path) -> None:
    async with jobs_in(tmp_path) as jobs:
        await jobs.start("a", "seq 1 3000000")
        seen = await jobs.look("a", seconds=LONG, lines=2)
        assert (seen["text"], seen["first"], seen["total"]) == (
            "2999999\n3000000",
            2999999,
            3000000,
        )
        kept = sum(f.stat().st_size for f in (tmp_path / "glovebox/jobs/a").glob("out.*"))
        assert kept <= (joblog.SEGMENTS_MAX + 1) * joblog.SEGMENT_BYTES
        late = await jobs.look("a", text="3000000", after=2999000, seconds=LONG)
        assert late["met"] == "text"


async def test_lines_are_shown_as_a_terminal_would_leave_them(tmp_path: Path) -> None:
    async with jobs_in(tmp_path) as jobs:
        await jobs.start("a", r"printf '\033[31mred\033[0m\n10%%\r50%%\r100%%\n\377x\n'")
        assert (await jobs.look("a", seconds=LONG))["text"] == "red\n100%\n\ufffdx"


async def test_what_does_not_fit_into_an_answer_is_the_older_part(tmp_path: Path) -> None:
    async with jobs_in(tmp_path) as jobs:
        await jobs.start("a", "for i in $(seq 1 100); do printf '%01000d\\n' $i; done")
        seen = await jobs.look("a", seconds=LONG)
        assert seen["cut"] and seen["last"] == 100
        assert 10_000 < len(seen["text"]) <= 20_000


async def test_the_host_is_not_kept_waiting_by_what_it_no_longer_wants(tmp_path: Path) -> None:
    async with jobs_in(tmp_path) as jobs:
        await jobs.start("a", "read x")
        waiting = asyncio.create_task(jobs.look("a", seconds=86400.0))
        while (await jobs.list())[0]["state"] != "running":
            pass
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await jobs.look("a"))["state"] == "running"


async def test_there_is_a_most_of_them(tmp_path: Path) -> None:
    from agent.toolbox.programs.background import JOBS_MAX

    async with jobs_in(tmp_path) as jobs:
        for number in range(JOBS_MAX + 4):
            await jobs.start(f"old{number}", "true")
            await jobs.look(f"old{number}", seconds=LONG)
        assert len(await jobs.list()) <= JOBS_MAX + 1
        assert any(job["name"] == f"old{JOBS_MAX + 3}" for job in await jobs.list())


async def test_what_lies_in_their_folders_is_not_believed(tmp_path: Path) -> None:
    place = tmp_path / "glovebox/jobs"
    for name, text in {"a": "[1]", "b": "{", "c": "[" * 100_000, "d": '{"at": "x"}'}.items():
        (place / name).mkdir(parents=True)
        (place / name / "job.json").write_text(text)
        (place / name / "ended.json").write_text(text)
    (place / "e").mkdir()
    subprocess.run(
        ["mkfifo", str(place / "e/job.json"), str(place / "e/out.000000000001")], check=True
    )
    async with jobs_in(tmp_path) as jobs:
        assert await jobs.list() == []
        assert (await jobs.look("e"))["state"] == "lost"
    shutil.rmtree(place)


async def test_one_process_for_each_question_knows_them_too(tmp_path: Path) -> None:
    def once(op: str, **arguments: Any) -> dict[str, Any]:
        done = subprocess.run(
            once_argv(tmp_path, op, **arguments),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=limits.TOOLBOX_ANSWER_SECONDS,
            check=True,
        )
        payload = done.stdout.split(b"\n")[0].split(b" ")[3]
        return json.loads(base64.b64decode(payload))

    assert once("job_start", name="a", command="echo up; read x; echo bye")["ok"]
    assert once("job_look", name="a", text="up", seconds=10, lines=5)["met"] == "text"
    assert once("job_send", name="a", text="\n")["ok"]
    assert once("job_look", name="a", seconds=10, lines=5)["text"] == "up\nbye"
    assert [job["state"] for job in once("job_list")["jobs"]] == ["ended"]
