"""Jobs and previews over the real toolbox: real programs, real ports, a link that opens."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.tools.conftest import Inside, boxed
from tests.tools.test_inside import User, user

SERVER = 'python3 -c \'import http.server as h; s = h.HTTPServer(("127.0.0.1", 0), '
SERVER += 'h.SimpleHTTPRequestHandler); print("serving at", s.server_port); s.serve_forever()\''


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # for the toolbox that has no sandbox around it


async def serve(u: User) -> int:
    await u("bash", command=SERVER, background="web")
    seen = await u("jobs", action="wait", name="web", text="serving at", seconds=60)
    return int(re.findall(r"serving at (\d+)", seen.text)[0])


async def test_a_job_is_started_talked_to_and_ended(inside: Inside) -> None:
    async with user(inside) as u:
        begun = await u(
            "bash", command="echo up; read -r x; echo got $x; sleep 600", background="a"
        )
        assert (begun.ok, begun.text.split("\n")[0]) == (True, "up")
        assert (await u("bash", command="true", background="a")).ok is False
        sent = await u("jobs", action="send", name="a", text="it")
        assert "after=1" in sent.text
        seen = await u("jobs", action="wait", name="a", text="got", after=1, seconds=60)
        assert seen.text == "got it\n[job a: running; lines 2-2 of 2]\n`got` has come."
        listed = await u("jobs", action="list")
        assert listed.text.startswith("a: running, ")
        assert (await u("jobs", action="kill", name="a")).text == ("Job a: ended by signal 15.")


async def test_what_fails_at_once_says_so_at_once(inside: Inside) -> None:
    async with user(inside) as u:
        failed = await u("bash", command="echo no such thing; exit 4", background="a")
        assert failed.text == "no such thing\n[job a: ended with exit code 4; lines 1-1 of 1]"
        assert failed.ok is False


async def test_a_job_outlives_other_calls_and_ends_when_told(inside: Inside) -> None:
    async with user(inside) as u:
        port = await serve(u)
        got = await u.bash(
            f"python3 -c 'import urllib.request as r; "
            f'print(r.urlopen("http://127.0.0.1:{port}/").status)\''
        )
        assert got == "200\nExit code 0."
        await u("jobs", action="kill", name="web")


@pytest.mark.sandbox
async def test_the_link_opens_and_the_model_does_not_see_it(
    tmp_path: Path, suite_home: Path
) -> None:
    folder = suite_home / tmp_path.name
    folder.mkdir(mode=0o711)
    async with user(lambda: boxed(folder)) as u:
        await u.put("index.html", b"<h1>hello</h1>")
        port = await serve(u)
        shown = await u("preview", port=port, seconds=60)
        link = shown.details["url"]
        assert f"port {port}, which answers: HTTP/1.0 200 OK" in shown.text
        assert urlsplit(link).hostname not in shown.text
        assert (await asyncio.to_thread(opened, link)) == b"<h1>hello</h1>"
        await u("jobs", action="kill", name="web")
        gone = await u("preview", port=port, seconds=0.1)
        assert (gone.ok, "Ports listened on: none" in gone.text) == (False, True)


def opened(link: str) -> bytes:
    """What a browser gets: it takes every name below `localhost` to this machine."""
    place = urlsplit(link)
    request = urllib.request.Request(
        f"http://127.0.0.1:{place.port}/", headers={"Host": place.netloc}
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        return answer.read()
