"""Containers that an engine does not let go of at once: a real engine, with faults before it."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.core.errors import SandboxError, SandboxLost
from agent.sandbox.docker import removal
from agent.sandbox.docker.backend import DockerBackend
from agent.sandbox.docker.engine import Engine
from tests.docker.engine import docker_backend, docker_spec, left, program

pytestmark = [pytest.mark.docker, pytest.mark.sandbox]

ID = "a2b7207f159be35c1945020040dd28606f7808b16e01d6bf7b82ddf7a57c42a6"
FAILED = f'Error response from daemon: container {ID}: driver "overlay2" failed to remove root'
# What engines have been seen to say.
BUSY = (
    f"{FAILED} filesystem: unlinkat /var/lib/docker/overlay2/c488/merged: directory not empty",
    f"{FAILED} filesystem: unlinkat /var/lib/docker/overlay2/c488: directory not empty",
    f"{FAILED} filesystem for {ID}: remove /var/lib/x/merged: device or resource busy",
    f"Error response from daemon: removal of container {ID} is already in progress",
    f"Error response from daemon: unable to remove filesystem for {ID}: unlinkat /x: no such file",
    f"Error response from daemon: Could not kill running container {ID}, cannot remove - tried to"
    " kill container, but did not receive an exit event",
    f"Error response from daemon: cannot remove container: Container {ID} is not running",
    f"Error: cannot remove container {ID} as it is running - running or paused containers cannot"
    " be removed without force: container state improper",
)

# Passes everything through, writes down what it was asked, and fails or waits where it is told to.
FAULTY = """#!/bin/sh
cd {folder} || exit 99
echo "$*" >>asked
if [ -s "fails.$1" ]; then
  rest=$(sed 1d "fails.$1"); sed q "fails.$1" >&2; printf '%s' "$rest" >"fails.$1"; exit 1
fi
{program} "$@"
code=$?
case "$1 $3" in "cp "*grammars*)
  while [ -e hold ]; do sleep 0.05; done
  echo "over: $*" >>asked;;
esac
exit $code
"""


class Faults:
    """A program in the place of the engine's, in front of the real one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        script = FAULTY.format(folder=shlex.quote(str(folder)), program=shlex.quote(program()))
        path = folder / Path(program()).name
        path.write_text(script)
        path.chmod(0o755)
        self.engine = Engine(path.name, str(path))

    def fail(self, command: str, *said: str) -> None:
        """Have the next uses of a command fail with these words in turn, and do nothing."""
        (self._folder / f"fails.{command}").write_text("\n".join(said))

    def asked(self, *words: str) -> list[str]:
        """The commands so far that begin with one of these words."""
        path = self._folder / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.startswith(words)]

    @contextmanager
    def held(self) -> Generator[None]:
        """A time in which no copy of the grammars ends."""
        hold = self._folder / "hold"
        hold.touch()
        yield
        hold.unlink()


@pytest.fixture
def faults(tmp_path: Path) -> Faults:
    return Faults(tmp_path)


@contextmanager
def behind(faults: Faults) -> Generator[DockerBackend]:
    """A backend that takes the program with the faults for its engine."""
    with docker_backend() as backend:
        backend._engines |= {"": faults.engine, faults.engine.name: faults.engine}
        yield backend


def named(ref: str) -> str:
    return f"glovebox-{ref.partition(':')[2]}"


@pytest.mark.parametrize("said", BUSY)
async def test_what_the_engine_will_not_remove_yet_is_removed(
    said: str, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "PAUSES_SECONDS", (0.0, 0.0, 0.0))
    engine, name = faults.engine, f"glovebox-{docker_spec().session}"
    await engine.do("create", "--name", name, docker_spec().image, "true")
    faults.fail("rm", *[said] * 3)
    await removal.remove(engine, name)
    assert len(faults.asked("rm")) == 4
    assert await engine.inspect("container", name) is None


async def test_a_sandbox_goes_although_the_engine_is_busy(faults: Faults) -> None:
    with behind(faults) as backend:
        sandbox = await backend.create(docker_spec())
        faults.fail("rm", *BUSY[:4])
        faults.fail("kill", "Error response from daemon: Cannot kill container: x: tried to kill"
                    " container, but did not receive an exit event")  # fmt: skip
        await sandbox.close()
        assert len(faults.asked("kill")) == 2
        await backend.destroy(sandbox.ref)
        assert len(faults.asked("rm --force --volumes")) == 5


async def test_what_stays_busy_is_said_and_found_again(
    faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "PAUSES_SECONDS", (0.0, 0.0))
    with behind(faults) as backend:
        spec = docker_spec()
        sandbox = await backend.create(spec)
        faults.fail("rm", *[BUSY[0]] * 3)
        with pytest.raises(SandboxError, match="directory not empty") as error:
            await backend.destroy(sandbox.ref)
        assert named(sandbox.ref) in error.value.hint
        labels = {"glovebox.session": spec.session}
        assert await backend.find(labels) == (sandbox.ref,)
        await backend.destroy(sandbox.ref)
        assert await backend.find(labels) == ()


async def test_what_no_time_mends_is_said_at_once(faults: Faults) -> None:
    with behind(faults) as backend:
        sandbox = await backend.create(docker_spec())
        faults.fail("rm", "Error response from daemon: permission denied")
        with pytest.raises(SandboxError, match="permission denied"):
            await backend.destroy(sandbox.ref)
        assert len(faults.asked("rm")) == 1
        await backend.destroy(sandbox.ref)


async def test_removed_by_several_at_once_it_is_gone_for_each() -> None:
    with docker_backend() as backend:
        sandbox = await backend.create(docker_spec())
        name = named(sandbox.ref)
        others = [subprocess.Popen([program(), "rm", "-f", "-v", name], stderr=-3, stdout=-3)
                  for _ in range(3)]  # fmt: skip
        await backend.destroy(sandbox.ref)
        assert left([name.partition("-")[2]]) == []
        for other in others:
            other.wait()


@pytest.mark.parametrize("end", ["destroy", "close"])
async def test_a_copy_into_a_container_ends_before_the_container_does(
    end: str, faults: Faults
) -> None:
    with behind(faults) as backend:
        with faults.held():
            sandbox = await backend.create(docker_spec())
            while not (copies := [c for c in faults.asked("cp") if "grammars" in c]):
                await asyncio.sleep(0.02)
            work = backend.destroy(sandbox.ref) if end == "destroy" else sandbox.close()
            ending = asyncio.create_task(work)
            await asyncio.wait([ending], timeout=0.5)
        await ending
        order = faults.asked("over", "rm", "kill")
        assert order[0] == f"over: {copies[0]}"
        await backend.destroy(sandbox.ref)


async def test_one_that_is_half_removed_is_lost_and_can_still_be_removed(faults: Faults) -> None:
    with behind(faults) as backend:
        spec = docker_spec()
        sandbox = await backend.create(spec)
        await sandbox.close()
        known = await faults.engine.inspect("container", named(sandbox.ref))
        assert known is not None and not removal.going(known)
        for state in ({"Dead": True}, {"Status": "dead"}, {"Status": "removing"}):
            assert removal.going({"State": {**known["State"], **state}})
        script = Path(faults.engine.command()[0])
        dead = '"$@" | sed \'s/"Dead": false/"Dead": true/\'\n'
        script.write_text(script.read_text().replace('"$@"\n', dead, 1))
        with pytest.raises(SandboxLost) as lost:
            await backend.attach(sandbox.ref, spec)
        assert lost.value.hint
        await backend.destroy(sandbox.ref)
