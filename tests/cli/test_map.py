"""`/map` shows what a person asks for, and nothing of it can move the cursor."""

from __future__ import annotations

from pathlib import Path

from agent.session.place import Chart
from agent.testing.model import Scripted
from tests.cli.test_commands import Talk, run
from tests.session.rig import open_session


async def test_a_map_of_some_words_is_shown(tmp_path: Path) -> None:
    session, bench = open_session(tmp_path / "j", Scripted([]))
    bench.charted.set()
    bench.chart = Chart("a\x1b[2J.py\n3: def f()", ["a.py"], 40, 90)
    talk = Talk(session)
    await run("/map where is f", talk)
    assert talk.shown == ["a␛[2J.py", "3: def f()", "· files: 1, 40 of 90 looked at"]
    assert bench.calls == ["map where is f 1000 [] []"]
    session.state.seen.hashes["/w/b.py"] = "h"
    await run("/map", talk)
    assert bench.calls[-1] == "map  1000 ['/w/b.py'] []"
    bench.chart = Chart()
    await run("/map", talk)
    assert talk.shown[-1] == "· there is no code to map"
    await session.close()
