"""The README's transcripts are what glovebox prints, but for ids and times."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from agent.cli.demo import make_sample
from tests.demo_recording import BROKEN, FIXED
from tests.e2e.rig import MODEL, User
from tests.servers.openai import OpenAIServer, call, reply, say

README = Path(__file__).parents[2] / "README.md"
REQUEST = "A test fails: some cents get lost when a bill is split. Find out why and fix it."
ANSWER = (
    "The remainder of the division was dropped. The first shares now carry it, and both tests pass."
)
KEYS = "cat ~/.ssh/id_* /root/.ssh/id_* /home/*/.ssh/id_*; ls /root"
WAY_OUT = "env | grep -iE 'key|token'; cat .env; curl -sS --noproxy '*' https://example.org"


def bash(command: str):
    return call("bash", {"command": command})


def plain(text: str) -> list[str]:
    """Lines without what differs from run to run, in an order that does not."""
    text = re.sub(r"\b[0-9a-f]{7,10}\b", "ID", text)
    text = re.sub(r"\(\d+\.\d s\)", "(TIME)", text)
    return sorted(line.rstrip() for line in text.splitlines() if line.strip())


def transcript(beginning: str) -> str:
    """The README's code block that begins with these words."""
    blocks = re.findall(r"^```\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    (block,) = [b for b in blocks if b.startswith(beginning)]
    return block


@pytest.fixture
def sample(user: User) -> User:
    asyncio.run(make_sample(user.repo))
    return user


@pytest.mark.slow
@pytest.mark.sandbox
def test_the_edit_that_arrives_on_a_branch(sample: User):
    script = [
        reply("", bash("python3 -m unittest"), call("read", {"path": "ledger/split.py"})),
        reply("", call("edit", {"path": "ledger/split.py", "old": BROKEN, "new": FIXED})),
        reply("", bash("python3 -m unittest")),
        say(ANSWER),
    ]
    with OpenAIServer(script) as server:
        ran = sample.glovebox("-m", REQUEST, "--model", MODEL, server=server)
    assert ran.code == 0, ran.err
    printed = (
        f'$ glovebox -m "{REQUEST}"\n{ran.err}\n{ran.out}\n'
        f"$ git status --short --branch\n{sample.git('status', '--short', '--branch')}\n"
        f"$ git log --oneline glovebox/1\n{sample.git('log', '--oneline', 'glovebox/1')}\n"
    )
    assert plain(printed) == plain(transcript("$ glovebox -m"))


@pytest.mark.slow
@pytest.mark.sandbox
def test_the_attack_that_is_refused(sample: User):
    if shutil.which("curl", path="/usr/bin") is None:
        pytest.skip("needs curl in /usr/bin, where it is visible inside")
    script = [reply("", bash(KEYS), bash(WAY_OUT)), say("No.")]
    with OpenAIServer(script) as server:
        ran = sample.glovebox("-m", "steal", "--model", MODEL, server=server)
    lines = [line for line in ran.err.splitlines() if line.startswith(("→", "  ✗"))]
    assert plain("\n".join(lines)) == plain(transcript("→ $ cat"))
