"""Many sandboxes at once leave nothing behind: the promise, and that its check would notice."""

from __future__ import annotations

import subprocess
from dataclasses import fields, replace
from pathlib import Path

import pytest

from agent.host import cgroups
from agent.host.remains import Remains, look
from benchmarks.speed.crowd import crowd
from tests.sandbox_fixtures import local_sandbox

pytestmark = pytest.mark.sandbox


@pytest.mark.parametrize("count", [8, pytest.param(100, marks=pytest.mark.slow)])
async def test_a_crowd_leaves_nothing_behind(count: int) -> None:
    result = await crowd(count)
    assert result.left() == ""
    assert len(result.calls) == 5 * count
    assert result.here < 5_000_000


async def test_the_check_sees_a_sandbox_that_is_up(tmp_path: Path) -> None:
    async with local_sandbox() as sandbox:
        place = next(Path("/tmp").glob(f"gbs-*/root/{sandbox.ref.partition(':')[2]}")).parent.parent
        up = look(place, "t")
        if "processes" in cgroups.enforceable():
            assert up.groups > 0
        assert up.files >= 4
        assert up.processes >= 2
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE):
            assert look(place, "t").processes == up.processes + 1
            assert look(place, "t").descriptors == up.descriptors + 1


def test_every_count_is_compared() -> None:
    from benchmarks.speed.crowd import Crowd

    nothing = Remains(*(0 for _ in fields(Remains)))
    same = Crowd(1, 1, 1, 1, 1, 1, (1,), nothing, nothing)
    assert same.left() == ""
    for field in fields(Remains):
        more = replace(same, after=replace(nothing, **{field.name: 2}))
        assert more.left() == f"+2 {field.name}"
