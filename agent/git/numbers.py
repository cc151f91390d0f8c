"""Numbers for branches `glovebox/<n>`, each given once, whoever asks at the same time."""

from __future__ import annotations

import re
from pathlib import Path

from agent.core.errors import UserError
from agent.git.repository import Repository
from agent.host import disk
from agent.host.files import claim_dir, make_private_dir


async def allocate_number(repository: Repository, state_root: Path, *, wanted: int = 0) -> int:
    """A number for a new session of `repository`, claimed for good: no two processes get the same.

    It is `wanted` where nobody has that one.
    Makes `<state_root>/projects/<project id>/<number>/`. Raises `UserError` when the repository has
    a branch `glovebox`, beside which git cannot have `glovebox/1`.
    """
    git = repository.git
    if await git.line("rev-parse", "--quiet", "--verify", "refs/heads/glovebox", ok=(0, 1)):
        raise UserError(
            "the repository has a branch `glovebox`, so it cannot have `glovebox/1`",
            "rename it with `git branch -m glovebox NEW-NAME`",
        )
    place = make_private_dir(state_root / "projects" / await repository.project_id())
    listed = await git.run("for-each-ref", "--format=%(refname)", "refs/heads/glovebox/")
    branches = re.findall(r"^refs/heads/glovebox/(\d+)(?:-\d+)?$", listed.text, re.MULTILINE)
    used = [int(name) for name in (*branches, *disk.names_in(place)) if name.isdecimal()]
    number = wanted if wanted and wanted not in used else max(used, default=0) + 1
    while not claim_dir(place / str(number)):
        number += 1
    return number
