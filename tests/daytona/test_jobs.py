"""Jobs where every question is a process of its own: they live on between the questions."""

from __future__ import annotations

import pytest

from tests.daytona_fixtures import daytona_sandbox, use
from tests.servers.daytona.server import DaytonaServer
from tests.tools.fake import context
from tests.tools.fake import use as call

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]


async def test_a_job_is_started_talked_to_and_ended(
    server: DaytonaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with daytona_sandbox(use(server, monkeypatch)) as box:
        begun = await call(
            "bash",
            context(box),
            command="echo up; read -r x; echo got $x; sleep 600",
            background="a",
        )
        assert (begun.ok, begun.text.split("\n")[0]) == (True, "up"), begun
        assert (await call("jobs", context(box), action="send", name="a", text="it")).ok
        seen = await call("jobs", context(box), action="wait", name="a", text="got", seconds=60)
        assert seen.text.startswith("up\ngot it\n"), seen
        # An ordinary command between, whose session is deleted with all that is in it.
        await box.exec(["true"])
        listed = await call("jobs", context(box), action="list")
        assert listed.text.startswith("a: running"), listed
        killed = await call("jobs", context(box), action="kill", name="a")
        assert killed.text == "Job a: ended by signal 15."
