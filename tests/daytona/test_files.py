"""Files and edits come over whole, once each, whatever happens on the way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent.core.errors import SandboxError
from tests.daytona.test_commands import LOST_ON_THE_WAY
from tests.daytona_fixtures import DaytonaBackend, daytona_sandbox
from tests.servers.daytona.server import DaytonaServer

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]

BIG = bytes(range(256)) * 8_000
RUN = r"/process/execute$"


@pytest.mark.parametrize("fault", LOST_ON_THE_WAY.values(), ids=LOST_ON_THE_WAY)
async def test_an_edit_whose_answer_is_lost_is_made_once(
    fault: dict[str, Any], server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        await sandbox.put("a.txt", b"a\n")
        server.fault("POST", RUN, **fault)
        answer = await sandbox.toolbox.call("edit", path="a.txt", old="a\n", new="aa\n", all=True)
        assert answer["ok"], answer
        assert await sandbox.get("a.txt", limit=100) == b"aa\n"


async def test_a_rename_whose_answer_is_lost_is_made_once(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        await sandbox.put("a.py", b"def old():\n    pass\n\n\nold()\n")
        wanted = {"target": "old", "new_name": "new", "apply": True, "shown": True}
        server.fault("POST", RUN, **LOST_ON_THE_WAY["cut after"])
        answer = await sandbox.toolbox.call("rename", **wanted)
        assert answer["ok"], answer
        assert await sandbox.get("a.py", limit=100) == b"def new():\n    pass\n\n\nnew()\n"


async def test_two_edits_of_one_file_at_once_are_both_made(backend: DaytonaBackend) -> None:
    async with daytona_sandbox(backend) as sandbox:
        await sandbox.put("a.txt", b"".join(b"<%d>\n" % n for n in range(12)))
        edits = (
            sandbox.toolbox.call("edit", path="a.txt", old=f"<{n}>", new=f"[{n}]", all=False)
            for n in range(12)
        )
        assert all(answer["ok"] for answer in await asyncio.gather(*edits))
        done = b"".join(b"[%d]\n" % n for n in range(12))
        assert await sandbox.get("a.txt", limit=1000) == done


@pytest.mark.parametrize("fault", LOST_ON_THE_WAY.values(), ids=LOST_ON_THE_WAY)
async def test_an_upload_that_fails_is_made_again(
    fault: dict[str, Any], server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        server.fault("POST", r"/bulk-upload$", **fault)
        await sandbox.put("big", BIG)
        assert await sandbox.get("big", limit=len(BIG)) == BIG


@pytest.mark.parametrize(
    "fault", [{"how": "truncate", "times": 2}, {"how": "drop before"}], ids=["cut", "dropped"]
)
async def test_a_download_that_breaks_goes_on_where_it_was(
    fault: dict[str, Any], server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        await sandbox.put("big", BIG)
        server.fault("POST", r"/bulk-download$", **fault)
        pieces: list[bytes] = []
        assert await sandbox.get("big", limit=len(BIG), sink=pieces.append) == b""
        assert b"".join(pieces) == BIG


async def test_a_download_that_never_comes_whole_is_an_error(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        await sandbox.put("big", BIG)
        server.fault("POST", r"/bulk-download$", "truncate", times=100)
        with pytest.raises(SandboxError):
            await sandbox.get("big", limit=len(BIG))


async def test_a_stopped_box_is_started_for_a_file_and_for_an_edit(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        await sandbox.put("a.txt", b"a\n")
        await asyncio.to_thread(server.stop_box)
        answer = await sandbox.toolbox.call("edit", path="a.txt", old="a", new="b", all=False)
        assert answer["ok"], answer
        await asyncio.to_thread(server.stop_box)
        await sandbox.put("big", BIG)
        await asyncio.to_thread(server.stop_box)
        assert await sandbox.get("big", limit=len(BIG)) == BIG
        assert await sandbox.get("a.txt", limit=100) == b"b\n"


async def test_an_answer_without_end_is_cut_off(
    server: DaytonaServer, backend: DaytonaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.sandbox.daytona.sdk.ANSWER_MAX_BYTES", 1_000_000)
    async with daytona_sandbox(backend) as sandbox:
        server.fault("POST", RUN, "status", status=200, body="x" * 2_000_000, times=100)
        with pytest.raises(SandboxError, match="longer than any may be"):
            await sandbox.toolbox.call("read", path="a.txt")
