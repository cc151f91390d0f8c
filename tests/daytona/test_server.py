"""The server is as awkward as the real one: the client library, used as is, meets its traps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from daytona import (
    AsyncDaytona,
    CreateSandboxFromSnapshotParams,
    DaytonaConfig,
    DaytonaError,
    FileDownloadRequest,
    FileUpload,
    ListSandboxesQuery,
    SessionExecuteRequest,
)

from tests.servers.daytona.server import KEY, DaytonaServer

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@asynccontextmanager
async def client(server: DaytonaServer) -> AsyncGenerator[AsyncDaytona]:
    config = DaytonaConfig(
        api_key=KEY, api_url=server.url, target="us", use_deprecated_polling=True
    )
    async with AsyncDaytona(config) as made:
        yield made


@asynccontextmanager
async def box(server: DaytonaServer) -> AsyncGenerator[Any]:
    async with client(server) as made:
        yield await made.create(CreateSandboxFromSnapshotParams(labels={"a": "b"}))


def status(caught: pytest.ExceptionInfo[DaytonaError]) -> int | None:
    return caught.value.status_code


async def test_a_command_is_text_on_a_shells_stdin_and_its_output_is_one(
    server: DaytonaServer,
) -> None:
    async with box(server) as handle:
        run = handle.process.exec
        eaten = await run("cat\necho never seen as a command")
        assert eaten.result == "echo never seen as a command"
        merged = await run("echo out; echo err >&2; exit 7")
        assert (merged.exit_code, merged.result) == (7, "out\nerr\n")
        assert (await run("true", cwd="/no/such")).exit_code == -1
        assert (await run("printf '\\377'")).result == "\ufffd"
        held = await run("sleep 1 & echo first; date +%s >from", timeout=20)
        assert held.result == "first\n"
        with pytest.raises(DaytonaError) as caught:
            await run("  ")
        assert status(caught) == 400


async def test_a_deadline_loses_the_output_and_a_cancel_changes_nothing(
    server: DaytonaServer,
) -> None:
    async with box(server) as handle:
        with pytest.raises(DaytonaError) as caught:
            await handle.process.exec("echo lost; sleep 60", timeout=1)
        assert status(caught) == 408 and "lost" not in str(caught.value)
        running = asyncio.create_task(handle.process.exec("sleep 1; echo went on >file"))
        await asyncio.sleep(0.4)
        running.cancel()
        await asyncio.wait([running])
        waiting = "until [ -s file ]; do sleep 0.05; done; cat file"
        assert (await handle.process.exec(waiting)).result == "went on\n"


async def test_a_session_keeps_its_state_and_takes_all_with_it(server: DaytonaServer) -> None:
    async with box(server) as handle:
        process = handle.process

        async def run(text: str, **more: Any) -> Any:
            return await process.execute_session_command(
                "s", SessionExecuteRequest(command=text, **more)
            )

        await process.create_session("s")
        with pytest.raises(DaytonaError) as caught:
            await process.create_session("s")
        assert status(caught) == 409
        await run("cd /tmp; export A=1")
        done = await run("pwd; echo $A >&2; printf open")
        assert (done.stdout, done.stderr, done.exit_code) == ("/tmp\nopen\n", "1\n", 0)
        later = await run("read word; echo got $word; sleep 99 & wait", run_async=True)
        assert (later.exit_code, (await process.get_session("s")).commands[-1].exit_code) == (
            None,
            None,
        )
        await process.send_session_command_input("s", later.cmd_id, "word")
        seen: list[str] = []
        following = asyncio.create_task(
            process.get_session_command_logs_async("s", later.cmd_id, seen.append, seen.append)
        )
        while "got word" not in "".join(seen):
            await asyncio.sleep(0.01)
        await process.delete_session("s")
        await following
        assert (await process.exec("pgrep -x sleep")).exit_code == 1
        with pytest.raises(DaytonaError) as caught:
            await process.get_session("s")
        assert status(caught) == 404


async def test_a_session_whose_shell_ended_takes_nothing_more(server: DaytonaServer) -> None:
    async with box(server) as handle:
        await handle.process.create_session("s")
        request = SessionExecuteRequest(command="exit 3", run_async=True)
        sent = await handle.process.execute_session_command("s", request)
        while (await handle.process.get_session_command("s", sent.cmd_id)).exit_code is None:
            await asyncio.sleep(0.01)
        with pytest.raises(DaytonaError) as caught:
            await handle.process.execute_session_command("s", request)
        assert status(caught) == 410


async def test_files_come_and_go_in_bulk_and_errors_are_parts(server: DaytonaServer) -> None:
    async with box(server) as handle:
        big = bytes(range(256)) * 5_000
        await handle.fs.upload_files([FileUpload(source=big, destination="deep/er/ü 1")])
        await handle.fs.upload_files([FileUpload(source=b"", destination="empty")])
        asked = [FileDownloadRequest(source=name) for name in ("deep/er/ü 1", "none", "empty")]
        whole, missing, _ = await handle.fs.download_files(asked)
        assert whole.result == big and missing.error
        with pytest.raises(DaytonaError, match="400"):
            await handle.fs.upload_files([FileUpload(source=b"x", destination="/proc/x/y")])


async def test_each_state_answers_in_its_own_way(server: DaytonaServer) -> None:
    async with box(server) as handle:
        server.only_box().slow = 0.5
        server.stop_box()
        seen: set[int | None] = set()
        while handle.state != "stopped":
            with pytest.raises(DaytonaError) as caught:
                await handle.process.exec("true")
            seen.add(status(caught))
            await handle.refresh_data()
        with pytest.raises(DaytonaError, match="Is the Sandbox started") as caught:
            await handle.process.exec("true")
        assert (502 in seen, status(caught)) == (True, 400)
        await handle.start()
        assert (await handle.process.exec("echo up")).result == "up\n"
        await handle.delete(wait=True)
        with pytest.raises(DaytonaError) as caught:
            await handle.process.exec("true")
        assert status(caught) == 404


async def test_names_are_unique_and_lists_are_paged_by_label(server: DaytonaServer) -> None:
    async with client(server) as made:
        for name in ("one", "two", "three"):
            label = {"n": "x" if name != "two" else "y"}
            await made.create(CreateSandboxFromSnapshotParams(name=name, labels=label))
        with pytest.raises(DaytonaError) as caught:
            await made.create(CreateSandboxFromSnapshotParams(name="one"))
        assert status(caught) == 409
        query = ListSandboxesQuery(labels={"n": "x"}, limit=1)
        assert [found.name async for found in made.list(query)] == ["one", "three"]
        assert len(server.sent("GET", r"/api/sandbox$")) == 2
