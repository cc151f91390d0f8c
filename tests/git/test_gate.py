"""What of an agent's new files stays inside, and how it is let out or put away."""

from __future__ import annotations

import asyncio
import re

import pytest

from agent.core.limits import SEED_FILE_MAX_BYTES
from agent.git.secrets import looks_secret, name_pattern
from tests.git.conftest import Run, Start
from tests.git.users import User

KEY = "-----BEGIN " + "OPENSSH PRIVATE KEY-----\nabc\n"


@pytest.fixture
def run(user: User, start: Start) -> Run:
    return asyncio.run(start(user))


async def brought(user: User, run: Run) -> tuple[set[str], tuple[str, ...]]:
    """The paths that came home and the notes about those that did not."""
    done = await run.go()
    assert done.problem is None
    return set(user.tree(done.commit)) - {"a.txt", "dir/b.txt", "run.sh"}, done.notes


STAYS = {
    ".env": "K=v\n",
    "deploy/id_rsa": "x\n",
    "odd \n\udcff.pem": "x\n",
    "key.txt": KEY,
    "conf.yml": "aws: AKIA" + "ABCDEFGHIJKLMNOP\n",
    "-x.yml": "t: ghp_" + "a1B2" * 9 + "\n",
}
COMES = {
    "src/new.py": "x = 1\n",
    ".env.example": "K=\n",
    "secrets.py": "def f(): ...\n",
    "node_modules.txt": "x\n",
    "notes/AKIA.md": "AKIA is what they begin with\n",
    "-y.txt": "y\n",
}


async def test_secrets_stay_and_all_else_comes(user: User, run: Run) -> None:
    for name, text in {**STAYS, **COMES}.items():
        run.agent.write(name, text)
    paths, notes = await brought(user, run)
    assert paths == set(COMES)
    assert len(notes) == len(STAYS)
    assert any("`key.txt` holds a key or a token" in note for note in notes)
    assert any("`.env` has the name of a secret" in note for note in notes)
    assert all("git add" in note for note in notes)
    assert str(await run.sync.standing(run.inside)) == "synced"


@pytest.mark.parametrize("name", sorted(STAYS))
async def test_each_would_come_without_the_rule(user: User, run: Run, name: str) -> None:
    run.agent.write(name, "harmless\n" if "." in name and name.endswith(("txt", "yml")) else "x\n")
    if looks_secret(name.encode("utf-8", "surrogateescape")):
        run.agent.git("add", "--", name)  # what is tracked is decided
    paths, notes = await brought(user, run)
    assert (paths, notes) == ({name}, ())


async def test_what_tools_made_stays_as_one(user: User, run: Run) -> None:
    for n in range(300):
        run.agent.write(f"web/node_modules/p{n}/node_modules/q/i.js", "x\n")
    run.agent.write("__pycache__/a.pyc", "x\n")
    run.agent.write("web/index.js", "x\n")
    paths, notes = await brought(user, run)
    assert paths == {"web/index.js"}
    assert [note.split("`")[1] for note in notes] == ["__pycache__", "web/node_modules"]


async def test_a_tracked_file_among_what_tools_made_comes(user: User, start: Start) -> None:
    user.commit("vendored", **{"node_modules/p/i.js": "1\n"})
    run = await start(user)
    run.agent.write("node_modules/p/i.js", "2\n")
    run.agent.write("node_modules/q/i.js", "new\n")
    done = await run.go()
    assert user.tree(done.commit)["node_modules/p/i.js"][1] == b"2\n"
    assert "node_modules/q/i.js" not in user.tree(done.commit)


async def test_a_giant_stays(user: User, run: Run) -> None:
    run.agent.write("big.bin", b"\1" * (SEED_FILE_MAX_BYTES + 2048))
    run.agent.write("small.bin", b"\1" * 2048)
    paths, notes = await brought(user, run)
    assert paths == {"small.bin"}
    assert "larger than 20 MB" in notes[0]


async def test_what_was_added_on_purpose_comes(user: User, run: Run) -> None:
    run.agent.write("tests/key.pem", KEY)
    assert await brought(user, run) == (set(), (await run.go()).notes)
    run.agent.git("add", "tests/key.pem")
    paths, notes = await brought(user, run)
    assert (paths, notes) == ({"tests/key.pem"}, ())


async def test_what_is_ignored_is_not_named_again(user: User, run: Run) -> None:
    odd = "od d*[1]!.pem"
    for name in (".env", odd, "od dx[1]!.pem.txt"):
        run.agent.write(name, "x\n")
    assert await brought(user, run) != (set(), ())
    assert await run.sync.settle(run.inside, take=False) == 2
    paths, notes = await brought(user, run)
    assert (paths, notes) == ({"od dx[1]!.pem.txt"}, ())
    assert (await run.go()).held == ()


async def test_what_is_let_out_comes_with_the_next_sync(user: User, run: Run) -> None:
    assert await run.sync.settle(run.inside, take=True) == 0
    run.agent.write(".env", "x\n")
    run.agent.write("node_modules/p/i.js", "x\n")
    assert (await run.go()).held == (".env", "node_modules")
    assert await run.sync.settle(run.inside, take=True) == 2
    paths, notes = await brought(user, run)
    assert (paths, notes) == ({".env", "node_modules/p/i.js"}, ())


async def test_too_many_are_an_error_and_nothing_is_lost(user: User, run: Run) -> None:
    for n in range(1_000):
        run.agent.write(f"keys/number-{n}.pem", "x\n")
    run.agent.write("work.txt", "w\n")
    done = await run.go()
    assert done.problem is not None
    assert "too many new files" in done.problem.message
    run.agent.write(".gitignore", "*.pem\n")
    paths, _ = await brought(user, run)
    assert paths == {"work.txt", ".gitignore"}


def test_the_pattern_finds_all_that_the_names_say() -> None:
    fits = re.compile(name_pattern(), re.IGNORECASE)
    names = [
        ".env",
        "a/.env.local",
        "x.pem",
        "id_rsa",
        "d/id_ed25519_work",
        "credentials.json",
        "my-credentials.json",
        ".aws/config",
        "a/.ssh/known",
        "service-account-x.json",
    ]
    assert all(looks_secret(name.encode()) for name in names)
    assert all(fits.search(name) for name in names)
