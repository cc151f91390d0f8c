"""The whole of glovebox with its sandbox at Daytona: a message in, a verified branch out."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.daytona_fixtures import serving
from tests.e2e.conftest import user
from tests.e2e.rig import MODEL, ODD_NAME, User, big_repository
from tests.nesting import assert_nested
from tests.servers.daytona.server import KEY, DaytonaServer
from tests.servers.openai import OpenAIServer, call, reply, say
from tests.servers.scripts import by_conversation

__all__ = ["user"]

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

DAYTONA = ("--sandbox", "daytona", "--network", "none", "--model", MODEL)


@pytest.fixture
def service(user: User) -> Iterator[DaytonaServer]:
    with serving() as server:
        user.environment |= {
            "DAYTONA_API_KEY": KEY,
            "DAYTONA_API_URL": server.url,
            "NO_PROXY": "127.0.0.1",
        }
        yield server


def test_the_main_job(user: User, service: DaytonaServer) -> None:
    big_repository(user, files=300)
    before = user.fingerprint()
    script = [
        reply("Look.", call("bash", {"command": "git log --oneline | cat; env; cat new.txt; ls"})),
        reply(
            "",
            call("write", {"path": "made.txt", "content": "made inside\n"}),
            call("read", {"path": "src/p0/m50.py"}),
        ),
        reply(
            "",
            call("edit", {"path": "src/p0/m50.py", "old": "'dirty'", "new": "'edited'"}),
            call("bash", {"command": "rm 'a file.txt'; git mv run.sh go.sh; git status --short"}),
        ),
        say("All done."),
    ]
    with OpenAIServer(by_conversation([("do the job", script)])) as server:
        ran = user.glovebox("-m", "do the job", *DAYTONA, "--json", server=server)
    assert ran.code == 0, ran.err
    assert user.fingerprint() == before
    assert_nested(ran.records)

    looked = ran.of("CallFinished")[0]["result"]["text"]
    assert "more" in looked and "start" in looked and "untracked" in looked
    for canary in ("canary", str(user.home), "sk-", "dtn_", "DAYTONA"):
        assert canary not in looked
    assert all(call["result"]["ok"] for call in ran.of("CallFinished"))

    box = service.only_box()
    states = [(s["state"], s["ref"]) for s in ran.of("SandboxState")]
    assert states == [
        ("creating", ""),
        ("creating", f"daytona:{box.id}"),
        ("ready", f"daytona:{box.id}"),
    ]
    assert box.state == "stopped" and box.labels["glovebox.owner"]

    synced = ran.of("SyncFinished")[0]
    assert synced["problem"] is None and synced["branch"] == "glovebox/1"
    assert user.git("rev-parse", "glovebox/1") == synced["commit"]
    assert user.git("show", "glovebox/1:made.txt") == "made inside"
    assert user.git("show", "glovebox/1:src/p0/m50.py") == "VALUE = 'edited'"
    names = user.git("ls-tree", "-r", "-z", "--name-only", "glovebox/1")
    inside = names.encode("utf-8", "surrogateescape").split(b"\0")
    assert ODD_NAME in inside and b".env" not in inside and b"a file.txt" not in inside


def test_a_session_goes_on_in_the_box_that_was_stopped(user: User, service: DaytonaServer) -> None:
    user.start()
    first = [reply("", call("bash", {"command": "echo 1 > a; echo kept > ~/home"})), say("One.")]
    with OpenAIServer(first) as server:
        assert user.glovebox("-m", "go", *DAYTONA, server=server).code == 0
    second = [reply("", call("bash", {"command": "cat ~/home >> a"})), say("Two.")]
    with OpenAIServer(second) as server:
        ran = user.glovebox("-m", "on", "--continue", "--json", server=server)
    assert ran.code == 0, ran.err
    assert user.git("show", "glovebox/1:a") == "1\nkept"
    assert len(service.boxes) == 1
    shown = user.glovebox("shell", "1", "--", "sh", "-c", "cat a; exit 4")
    assert (shown.code, shown.out) == (4, "1\nkept\n"), shown.err
    removed = user.glovebox("rm", "1")
    assert removed.code == 0, removed.err
    assert service.living() == []


def test_trouble_on_every_way_changes_nothing(user: User, service: DaytonaServer) -> None:
    user.start()
    service.fault("POST", r"/api/sandbox$", "drop after")
    service.fault("POST", r"/process/session/[^/]+/exec$", "status after", status=502, times=3)
    service.fault("POST", r"/process/execute$", "drop after", times=2)
    service.fault("POST", r"/bulk-upload$", "status", status=429, headers={"Retry-After": "0.1"})
    service.fault("GET", r"/logs$", "hang up", times=3)
    steps = [reply("", call("bash", {"command": f"echo {n} >> count"})) for n in range(5)]
    with OpenAIServer([*steps, say("Done.")]) as server:
        ran = user.glovebox("-m", "go", *DAYTONA, "--json", server=server)
    assert ran.code == 0, ran.err
    assert user.git("show", "glovebox/1:count") == "0\n1\n2\n3\n4"
    assert len(service.boxes) == 1


def test_a_box_that_vanishes_ends_the_turn_and_not_the_work(
    user: User, service: DaytonaServer
) -> None:
    user.start()
    with OpenAIServer([reply("", call("bash", {"command": "echo 1 > a"})), say("One.")]) as server:
        assert user.glovebox("-m", "go", *DAYTONA, server=server).code == 0
    service.vanish()
    with OpenAIServer([reply("", call("bash", {"command": "cat a"})), say("Two.")]) as server:
        ran = user.glovebox("-m", "on", "--continue", server=server)
    assert ran.code != 0 and "does not exist any more" in ran.err, ran.err
    assert user.git("show", "glovebox/1:a") == "1"


def test_what_a_killed_start_left_is_replaced_by_the_next(
    user: User, service: DaytonaServer
) -> None:
    user.start()
    service.fault("POST", r"/bulk-upload$", "slow", seconds=30)
    with OpenAIServer([say("Hi.")]) as server:
        process = subprocess.Popen(
            user.argv("-m", "go", *DAYTONA),
            cwd=user.repo,
            env=user.with_server(server),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while service.faults[0].times != 0:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(service.living()) == 1
    work = [reply("", call("bash", {"command": "echo 1 > a"})), say("One.")]
    with OpenAIServer(work) as server:
        ran = user.glovebox("-m", "go", "--continue", server=server)
    assert ran.code == 0, ran.err
    assert user.git("show", "glovebox/1:a") == "1"
    assert (len(service.boxes), len(service.living())) == (2, 1)


def test_without_a_key_it_says_what_to_do(user: User) -> None:
    user.start()
    with OpenAIServer([reply("", call("bash", {"command": "true"})), say("x")]) as server:
        ran = user.glovebox("-m", "go", *DAYTONA, server=server)
    assert ran.code != 0
    assert "DAYTONA_API_KEY" in ran.err and "Traceback" not in ran.err
