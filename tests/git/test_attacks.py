"""Every attack of `attacks`: what it does to us, and that it does harm to somebody who trusts it.

The second half is the control: an attack that bites nobody would prove nothing by being refused.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.core.limits import IMPORT_MEMORY_BYTES, IMPORT_SECONDS
from agent.core.text import terminal_safe
from agent.git.repository import Repository
from agent.git.view import viewing
from agent.host.files import remove_tree
from tests.git.attacks import ATTACKS
from tests.git.attacks.base import Attack, Made, Naive, Target
from tests.git.conftest import Start
from tests.git.packs import Pack
from tests.git.users import User, look

_COSTLY = pytest.mark.slow
NAMES = [pytest.param(n, marks=_COSTLY) if a.costly else n for n, a in ATTACKS.items()]

# Stands for the git of a sandbox whose agent has replaced it.
_INSIDE = """\
#!/bin/sh
for word; do case "$word" in */glovebox-*) file=$word;; esac; done
case " $* " in
*" bundle "*) {place} ;;
*" rev-parse "*HEAD*) echo {tip} ;;
*" merge-base "*|*" update-ref "*|*" commit "*|*" diff-index "*) exit 0 ;;
*) exec /usr/bin/git "$@" ;;
esac
"""
_METER = """\
#!{python} -IS
import json, os, sys
pid = os.posix_spawn("{git}", ["git", *sys.argv[1:]], os.environ)
_, status, usage = os.wait4(pid, 0)
with open("{log}", "a") as log:
    print(json.dumps([usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime]), file=log)
code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)
"""


@dataclass
class Victim:
    target: Target
    marker: Path
    place: Path

    @property
    def user(self) -> User:
        return self.target.user

    def made(self, attack: Attack) -> Made:
        made = attack.build(Pack(), self.target)
        (self.place / "bundle").write_bytes(made.data)
        return made

    def naive(self, made: Made) -> Naive:
        """A copy of the victim, drivers and all, who has the bundle in a file."""
        root = self.place / "naive"
        shutil.copytree(self.user.root, root, symlinks=True)
        bundle = self.place / "arrived"
        if made.place:
            line = made.place.replace("$file", str(bundle))
            self.user.git("-c", f"alias.place=!{line}", "place")
        else:
            shutil.copy(self.place / "bundle", bundle)
        return Naive(User(root), bundle, made, self.target, self.marker)


@pytest.fixture
def victim(user: User, tmp_path: Path) -> Victim:
    """A user with drivers of their own, a branch that nobody sent, and something that is secret."""
    marker = tmp_path / "ran"
    user.git("branch", "other")
    user.git("checkout", "--quiet", "-b", "private")
    secrets = {"secret.txt": "canary\n", "secrets/one.txt": "canary\n"}
    hidden = user.commit("never sent", **secrets)
    user.git("checkout", "--quiet", "main")
    for driver in ("spy", "lfs"):
        for kind in ("smudge", "clean", "process"):
            user.git("config", f"filter.{driver}.{kind}", f"touch '{marker}'; cat")
    user.git("config", "diff.spy.textconv", f"touch '{marker}'; cat")
    user.git("config", "diff.spyc.command", f"touch '{marker}'; true")
    user.git("config", "merge.spy.driver", f"touch '{marker}'; false")
    target = Target(user, user.git("rev-parse", "main"), hidden)
    return Victim(target, marker, tmp_path)


def meter(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have every git of this process leave what it used in a file."""
    git, log = shutil.which("git"), place / "used.jsonl"
    program = place / "metered" / "git"
    program.parent.mkdir()
    program.write_text(_METER.format(python=sys.executable, git=git, log=log))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return log


@pytest.mark.parametrize("name", NAMES)
async def test_it_harms_nobody(
    name: str, victim: Victim, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = ATTACKS[name]
    run = await start(victim.user)
    run.agent.write("made.txt")
    made = victim.made(attack)
    place = made.place or f'cp "{victim.place}/bundle" "$file"'
    run.inside.replace_git(_INSIDE.format(place=place, tip=made.tip))
    log = meter(victim.place, monkeypatch) if attack.costly else None
    before, refs = look(victim.user), victim.user.refs()
    objects = {p for p in (victim.user.root / ".git/objects").rglob("*") if p.is_file()}

    done = await run.go()

    assert not victim.marker.exists()
    assert look(victim.user) == before
    if attack.taken:
        assert done.problem is None
        assert victim.user.git("rev-parse", "glovebox/1") == made.tip
        await _shown(victim.user, victim.target.head, made.tip)
        assert not victim.marker.exists()
        victim.user.git("fsck", "--strict")
    else:
        assert done.problem is not None
        assert done.problem.kind == "SyncError"
        assert done.problem.message == terminal_safe(done.problem.message)
        assert victim.user.refs() == refs
        left = {p for p in (victim.user.root / ".git/objects").rglob("*") if p.is_file()}
        assert left == objects
    if log is not None:
        used = [json.loads(line) for line in log.read_text().splitlines()]
        assert max(memory for memory, _ in used) < IMPORT_MEMORY_BYTES
        assert max(seconds for _, seconds in used) < IMPORT_SECONDS


async def _shown(user: User, old: str, new: str) -> None:
    """What people are shown of it is plain text and the truth."""
    async with viewing(await Repository.find(user.root)) as view:
        commits = await view.log(old, new)
        texts = [await view.diff(old, new), await view.show(new)]
        texts += [text for one in commits for text in (one.name, one.mail, one.message)]
        texts += [text for power in await view.powers(old, new) for text in (power.path, power.why)]
    assert [one.id for one in commits] == [new]
    assert "Torvalds" not in commits[0].name
    for text in texts:
        assert text == terminal_safe(text)


@pytest.mark.parametrize("name", NAMES)
def test_it_harms_somebody_who_trusts_it(name: str, victim: Victim) -> None:
    attack = ATTACKS[name]
    naive = victim.naive(victim.made(attack))
    try:
        assert attack.bites(naive)
    finally:
        # Some attacks leave folders deeper than what clears up after tests can go.
        remove_tree(naive.user.root)


def test_there_are_enough_of_them() -> None:
    assert len(ATTACKS) >= 30
