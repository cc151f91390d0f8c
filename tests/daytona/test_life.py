"""Making and freeing: one box per session, none left over, whatever happens on the way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from agent.core.errors import SandboxError, SandboxLost, SandboxUnavailable
from agent.sandbox.protocol import Limits
from tests.daytona.test_commands import LOST_ON_THE_WAY
from tests.daytona_fixtures import DaytonaBackend, new_spec
from tests.servers.daytona.server import DaytonaServer

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]

CREATE = r"/api/sandbox$"


@pytest.mark.parametrize("fault", LOST_ON_THE_WAY.values(), ids=LOST_ON_THE_WAY)
async def test_a_creation_whose_answer_is_lost_makes_one_box(
    fault: dict[str, Any], server: DaytonaServer, backend: DaytonaBackend
) -> None:
    server.fault("POST", CREATE, **fault)
    sandbox = await backend.create(new_spec())
    assert (await sandbox.exec(["echo", "up"])).output == b"up\n"
    assert len(server.boxes) == 1
    await backend.destroy(sandbox.ref)
    assert server.living() == []


async def test_a_service_that_takes_no_requests_says_so_and_leaves_nothing(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    server.fault("POST", CREATE, "status", status=429, times=100)
    with pytest.raises(SandboxUnavailable, match="does not make sandboxes now"):
        await backend.create(new_spec())
    assert server.boxes == {}


async def test_a_refusal_is_told_in_the_services_words(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    quota = '{"statusCode": 400, "message": "Total CPU limit exceeded. Maximum allowed: 10."}'
    server.fault("POST", CREATE, "status", status=400, body=quota)
    with pytest.raises(SandboxUnavailable, match="Total CPU limit exceeded"):
        await backend.create(new_spec())
    assert len(server.sent("POST", CREATE)) == 1


async def test_a_slow_box_is_waited_for(server: DaytonaServer, backend: DaytonaBackend) -> None:
    server.slow = 1.5
    sandbox = await backend.create(new_spec())
    assert (await sandbox.exec(["true"])).exit_code == 0
    await backend.destroy(sandbox.ref)


async def test_a_box_that_comes_too_late_is_deleted(
    server: DaytonaServer, backend: DaytonaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.sandbox.daytona.control.CREATE_SECONDS", 1.0)
    server.slow = 2.5
    with pytest.raises(SandboxUnavailable, match="within 1 seconds"):
        await backend.create(new_spec())
    assert (len(server.boxes), server.living()) == (1, [])


async def test_a_box_that_breaks_while_it_is_made_is_deleted(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    with pytest.raises(SandboxUnavailable, match="no space left on runner"):
        await backend.create(replace(new_spec(), image="snapshot:broken"))
    assert (len(server.boxes), server.living()) == (1, [])


@pytest.mark.parametrize("slow", [0.0, 1.5])
async def test_a_creation_that_is_cancelled_leaves_no_box(
    slow: float, server: DaytonaServer, backend: DaytonaBackend
) -> None:
    server.slow = slow
    making = asyncio.create_task(backend.create(new_spec()))
    while not server.boxes:
        await asyncio.sleep(0.01)
    making.cancel()
    await asyncio.wait([making])
    assert making.cancelled()
    assert (len(server.boxes), server.living()) == (1, [])


async def test_a_box_whose_inside_cannot_be_set_up_is_deleted(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    server.fault("POST", r"/bulk-upload$", "status", status=400, times=100)
    with pytest.raises(SandboxError):
        await backend.create(new_spec())
    assert (len(server.boxes), server.living()) == (1, [])


async def test_what_a_killed_process_left_is_found_by_its_label(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    spec = replace(new_spec(), labels={"glovebox.owner": "me", "glovebox.project": "p"})
    sandbox = await backend.create(spec)
    other = await backend.create(replace(new_spec(), labels={"glovebox.owner": "someone"}))
    assert await backend.find({"glovebox.owner": "me"}) == (sandbox.ref,)
    assert await backend.find({"glovebox.session": spec.session}) == (sandbox.ref,)
    assert set(await backend.find({})) == {sandbox.ref, other.ref}
    assert await backend.find({"glovebox.owner": "nobody"}) == ()
    for ref in (sandbox.ref, other.ref):
        await backend.destroy(ref)


async def test_the_service_is_told_to_clean_up_by_itself(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    sandbox = await backend.create(new_spec())
    asked = server.only_box().asked
    assert 0 < asked["autoStopInterval"] <= 60
    assert 0 < asked["autoDeleteInterval"] <= 30 * 24 * 60
    assert asked["labels"]["created-by"] == "glovebox"
    assert not asked.get("public")
    await backend.destroy(sandbox.ref)


@pytest.mark.parametrize(
    "fault",
    [
        {"how": "status", "status": 409, "times": 2},
        {"how": "status", "status": 500},
        {"how": "status", "status": 429},
        {"how": "drop after"},
        {"how": "drop before"},
    ],
    ids=str,
)
async def test_a_deletion_that_fails_is_made_again(
    fault: dict[str, Any], server: DaytonaServer, backend: DaytonaBackend
) -> None:
    sandbox = await backend.create(new_spec())
    server.fault("DELETE", r"/api/sandbox/", **fault)
    await backend.destroy(sandbox.ref)
    assert server.living() == []


async def test_a_deletion_that_is_refused_is_told(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    sandbox = await backend.create(new_spec())
    refusal = server.fault("DELETE", r"/api/sandbox/", "status", status=403, times=100)
    with pytest.raises(SandboxError, match="could not be deleted"):
        await backend.destroy(sandbox.ref)
    refusal.times = 0
    await backend.destroy(sandbox.ref)


async def test_a_box_of_another_process_can_be_attached_and_started(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    spec = new_spec()
    sandbox = await backend.create(spec)
    await sandbox.exec(["sh", "-c", "echo kept >file"])
    await backend._leave(sandbox.ref, "as if that process had died")
    server.stop_box()
    again = await DaytonaBackend(backend_root()).attach(sandbox.ref, spec)
    assert (await again.exec(["cat", "file"])).output == b"kept\n"
    await again.close()
    with pytest.raises(SandboxError, match="not the sandbox of session"):
        await backend.attach(sandbox.ref, new_spec())
    await backend.destroy(sandbox.ref)
    with pytest.raises(SandboxLost):
        await backend.attach(sandbox.ref, spec)


def backend_root() -> Any:
    return None


async def test_closing_stops_the_box_whatever_the_service_says(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    sandbox = await backend.create(new_spec())
    server.fault("POST", r"/stop$", "status", status=500)
    await sandbox.close()
    assert len(server.sent("POST", r"/stop$")) == 1
    await backend.destroy(sandbox.ref)


async def test_size_and_image_arrive(server: DaytonaServer, backend: DaytonaBackend) -> None:
    limits = Limits(memory_bytes=1_500_000_000, cpus=1.5)
    sandbox = await backend.create(replace(new_spec(), image="debian:12.9", limits=limits))
    asked = server.only_box().asked
    assert asked["buildInfo"]["dockerfileContent"].startswith("FROM debian:12.9")
    assert (asked["cpu"], asked["memory"]) == (2, 2)
    await backend.destroy(sandbox.ref)


async def test_a_snapshot_is_made_and_started_from(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    sandbox = await backend.create(new_spec())
    image = await backend.snapshot(sandbox.ref, "kept")
    second = await backend.create(replace(new_spec(), image=image))
    assert [box.asked.get("snapshot") for box in server.living()] == [None, "kept"]
    with pytest.raises(SandboxError, match="cannot be forked"):
        await backend.fork(sandbox.ref, new_spec())
    for ref in (sandbox.ref, second.ref):
        await backend.destroy(ref)


async def test_a_port_is_shown_under_a_signed_address_that_ends(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    sandbox = await backend.create(new_spec())
    shown = await sandbox.expose(8000)
    assert shown.url.startswith("http://8000-") and shown.expires_at is not None
    assert list(server.only_box().signed.values()) == [3600]
    for port in (0, 65536, 2280, 22222):
        with pytest.raises(SandboxError, match="cannot be shown"):
            await sandbox.expose(port)
    await backend.destroy(sandbox.ref)
