"""Containers without a Python for the toolbox: what they promise, and what they say they cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.errors import SandboxError, SandboxLacks
from agent.host import files
from agent.sandbox.docker.plain import PlainContainer
from agent.testing import contracts
from tests.backends import Shared
from tests.docker.engine import docker_backend, remove, run
from tests.docker.plain import KINDS, plain_image, plain_sandbox, plain_spec
from tests.e2e.rig import MODEL, User
from tests.plain_sandboxes import (
    NEEDS_COREUTILS,
    PROMISES,
    the_others_refuse,
    the_tools_work,
)
from tests.servers.openai import OpenAIServer, call, reply, say

pytestmark = [pytest.mark.docker, pytest.mark.sandbox, pytest.mark.slow]


@pytest.fixture(scope="module", params=KINDS)
def plain(request: pytest.FixtureRequest) -> Iterator[Shared]:
    shared = Shared(plain_sandbox(request.param, "list"), request.param)
    yield shared
    shared.close()


@pytest.mark.parametrize("promise", PROMISES, ids=contracts.name)
def test_promise(promise: contracts.Promise, plain: Shared) -> None:
    if plain.kind == "busybox" and contracts.name(promise) in NEEDS_COREUTILS:
        pytest.skip("the promise's own program needs a larger `seq` than that of busybox")
    plain.run(promise)


def test_it_says_what_it_has_not(plain: Shared) -> None:
    first, second = plain.sandbox.notes
    assert "bash, read, write, edit, ls, glob and grep work" in first
    assert "the network policy becomes none" in second
    assert plain.sandbox.network == "none"


def test_it_is_held_as_any_other(plain: Shared) -> None:
    async def look(box: PlainContainer) -> None:
        script = (
            "grep -E '^(Cap(Prm|Eff|Bnd)|NoNewPrivs|Seccomp):' /proc/self/status; ls /sys/class"
        )
        seen = (await box.exec(["sh", "-c", script])).output.decode().split()
        words = dict(zip(seen[::2], seen[1::2], strict=False))
        assert {words[f"Cap{name}:"] for name in ("Prm", "Eff", "Bnd")} == {"0" * 16}
        assert (words["NoNewPrivs:"], words["Seccomp:"]) == ("1", "2")
        for tried in (
            "touch /etc/x",
            "touch /usr/x",
            "echo >/run/agent/x",
            "mount -t tmpfs x /mnt",
        ):
            assert (await box.exec(["sh", "-c", tried])).exit_code != 0, tried
        # No interface but the loopback, and nothing of the host's to talk to.
        assert (await box.exec(["sh", "-c", "grep -c : /proc/net/dev"])).output == b"1\n"
        assert (await box.exec(["ls", "/run/agent"])).output == b""

    plain.run(look)


def test_the_tools_that_work_work(plain: Shared) -> None:
    plain.run(the_tools_work)


def test_the_others_say_clearly_that_they_do_not(plain: Shared) -> None:
    plain.run(the_others_refuse)

    async def no_port(box: PlainContainer) -> None:
        with pytest.raises(SandboxLacks):
            await box.expose(80)

    plain.run(no_port)


async def test_files_stay_and_nothing_runs_on_after_the_end() -> None:
    with docker_backend() as backend:
        spec = plain_spec("debian")
        sandbox = await backend.create(spec)
        await sandbox.put("kept", b"x")
        await sandbox.exec(["sh", "-c", "trap '' TERM HUP; sleep 86387 & exit 0"])
        await sandbox.close()
        name = f"glovebox-{sandbox.ref.partition(':')[2]}"
        assert run("inspect", "--format", "{{.State.Running}}", name).strip() == "false"
        with pytest.raises(SandboxError):
            await sandbox.exec(["true"])
        again = await backend.attach(sandbox.ref, spec)
        assert isinstance(again, PlainContainer)
        assert await again.get("kept", limit=1) == b"x"
        left = await again.exec(["sh", "-c", "ps 2>/dev/null | grep -c 8638[7]"])
        assert left.output.strip() == b"0"
        await backend.destroy(again.ref)


async def test_what_ends_inside_is_reaped() -> None:
    async with plain_sandbox("debian") as box:
        for _ in range(5):
            await box.exec(["sh", "-c", "for i in 1 2 3; do (sleep 0 & exec true) & done; wait"])
        script = "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | grep -c ."
        while (await box.exec(["sh", "-c", script])).output.strip() != b"0":
            pass


@pytest.fixture
def plain_user(request: pytest.FixtureRequest) -> Iterator[User]:
    """A person whose sandboxes are containers without Python; all are gone afterwards."""
    with files.temporary_dir("gbd-", shared=True) as folder:
        user = User(Path(folder))
        image = {"GLOVEBOX_SANDBOX": "docker", "GLOVEBOX_IMAGE": plain_image(request.param)}
        user.environment |= image
        yield user
        for journal in user.journals():
            remove(f"glovebox-{journal.parent.name}")


@pytest.mark.parametrize("plain_user", ["debian", "busybox"], indirect=True)
def test_the_main_job_without_python(plain_user: User) -> None:
    user = plain_user
    user.start({"src/a.py": "x = 1\n", "README": "read me\n"})
    (user.repo / "new.txt").write_text("untracked\n")
    before = user.fingerprint()
    script = [
        reply("", call("bash", {"command": "cat new.txt; git log --oneline | wc -l"})),
        reply("", call("read", {"path": "src/a.py"})),
        reply("", call("write", {"path": "src/a.py", "content": "x = 2\n"})),
        reply("", call("edit", {"path": "README", "old": "read", "new": "see"})),
        reply("", call("grep", {"pattern": "x = [0-9]"})),
        say("done"),
    ]
    with OpenAIServer(script) as server:
        ran = user.glovebox("-m", "go", "--model", MODEL, "--json", server=server)
    assert ran.code == 0, ran.err
    assert user.fingerprint() == before
    results = [event["result"] for event in ran.of("CallFinished")]
    assert [result["ok"] for result in results] == [True] * 5, results
    assert "untracked" in results[0]["text"]
    assert "src/a.py\n1:x = 2" in results[4]["text"]
    told = [event["text"] for event in ran.of("Notice")]
    assert any("the sandbox has no Python" in text for text in told)
    assert any("the network policy becomes none" in text for text in told)
    ready = [event for event in ran.of("SandboxState") if event["state"] == "ready"]
    assert ready[0]["network"] == "none"
    branch = ran.of("SyncFinished")[0]["branch"]
    assert user.git("show", f"{branch}:src/a.py") == "x = 2"
