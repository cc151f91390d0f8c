"""The main job with its hands in a container: a message in, a verified branch out, files kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host import files
from tests.docker.engine import docker_spec, remove
from tests.e2e.rig import MODEL, User, big_repository
from tests.nesting import assert_nested
from tests.servers.openai import OpenAIServer, call, reply, say

pytestmark = [pytest.mark.docker, pytest.mark.sandbox, pytest.mark.slow]

LOOK = """
git log --oneline | cat; git status --porcelain; ls src | wc -l; cat new.txt
cat .env; env; cat /proc/1/environ | tr '\\0' '\\n'; ls /root /home
"""


@pytest.fixture
def docker_user() -> Iterator[User]:
    """A person whose sandboxes are containers; all of them are gone afterwards."""
    with files.temporary_dir("gbd-", shared=True) as folder:
        user = User(Path(folder))
        user.environment |= {"GLOVEBOX_SANDBOX": "docker", "GLOVEBOX_IMAGE": docker_spec().image}
        yield user
        for journal in user.journals():
            remove(f"glovebox-{journal.parent.name}")


def test_the_main_job_in_a_container(docker_user: User) -> None:
    user = docker_user
    big_repository(user, files=300)
    before = user.fingerprint()
    script = [
        reply("Let me look.", call("bash", {"command": LOOK})),
        reply(
            "",
            call("write", {"path": "made.txt", "content": "made inside\n"}),
            call("edit", {"path": "src/p0/m50.py", "old": "'dirty'", "new": "'edited'"}),
        ),
        reply("", call("bash", {"command": "git mv run.sh go.sh; echo kept >/tmp/note"})),
        say("All done."),
    ]
    with OpenAIServer(script) as server:
        ran = user.glovebox("-m", "do the job", "--model", MODEL, "--json", server=server)
    assert ran.code == 0, ran.err
    assert_nested(ran.records)
    assert user.fingerprint() == before
    looked = ran.of("CallFinished")[0]["result"]["text"]
    assert "more" in looked and "start" in looked and "untracked" in looked
    for canary in ("canary", str(user.home), "sk-", "hook-ran"):
        assert canary not in looked
    synced = ran.of("SyncFinished")[0]
    assert synced["problem"] is None
    assert user.git("rev-parse", "glovebox/1") == synced["commit"]
    assert user.git("show", "glovebox/1:made.txt") == "made inside"
    assert user.git("show", "glovebox/1:src/p0/m50.py") == "VALUE = 'edited'"
    user.git("fsck", "--strict", "--full")

    script = [reply("", call("bash", {"command": "cat /tmp/note made.txt"})), say("Second.")]
    with OpenAIServer(script) as server:
        ran = user.glovebox("-m", "again", "--continue", "--json", server=server)
    assert ran.code == 0, ran.err
    assert ran.of("CallFinished")[0]["result"]["text"].startswith("kept\nmade inside\n")


def test_an_absent_image_is_said_with_what_to_type(docker_user: User) -> None:
    docker_user.start()
    with OpenAIServer([reply("", call("bash", {"command": "true"})), say("x")]) as server:
        ran = docker_user.glovebox(
            *("-m", "go", "--model", MODEL, "--image", "glovebox-none:1"), server=server
        )
    assert ran.code == 5
    assert "docker pull glovebox-none:1" in ran.err
