"""What an agent made: taken out of its sandbox by an allow-list, and what was left behind."""

from __future__ import annotations

import posixpath
import secrets
from collections.abc import Sequence

from agent.sandbox.protocol import Sandbox
from benchmarks.tasks import FILE_MAX_BYTES, Task, Work

_OUTSIDE_MAX = 20
_CONFIGURATION = {
    "conftest.py", "pytest.ini", "tox.ini", "setup.cfg", "pyproject.toml", "sitecustomize.py",
    "package.json", "jest.config.js", "babel.config.js", "Cargo.toml", "build.rs", "go.mod",
    "CMakeLists.txt", "build.gradle", "settings.gradle",
}  # fmt: skip
"""Files that decide how tests are run, wherever they lie."""

_PATCH = """
cp "$(git rev-parse --git-path index)" "$INDEX" && export GIT_INDEX_FILE="$INDEX" &&
git add -A $FORCE &&
git diff --cached --binary --no-color --no-ext-diff --no-textconv --no-renames \\
  --src-prefix=a/ --dst-prefix=b/ "$BASE" >"$PATCH"
"""
_CHANGED = """
git -c core.quotePath=false diff --name-only --no-ext-diff --no-textconv --no-renames -z "$BASE" &&
git -c core.quotePath=false ls-files -o --exclude-standard --directory -z
"""


async def collect(task: Task, sandbox: Sandbox, base: str) -> Work:
    """The files that the task takes, or the patch of the whole tree; nothing where git is gone."""
    if task.solution:
        return Work(await _files(task, sandbox))
    return await _patch(sandbox, base, ignored=task.ignored)


async def _files(task: Task, sandbox: Sandbox) -> dict[str, bytes]:
    folders = sorted({posixpath.dirname(pattern) for pattern in task.solution})
    found: dict[str, bytes] = {}
    for folder in folders:
        place = posixpath.join(sandbox.workdir, folder).rstrip("/")
        argv = ["find", place, "-maxdepth", "1", "-type", "f", "-print0"]
        listed = await sandbox.exec(argv, cwd="/")
        for path in filter(None, listed.output.decode("utf-8", "replace").split("\0")):
            name = path.removeprefix(f"{sandbox.workdir}/")
            if task.takes(name):
                found[name] = await sandbox.get(path, limit=FILE_MAX_BYTES)
    return found


async def _patch(sandbox: Sandbox, base: str, *, ignored: bool) -> Work:
    index, patch = (f"/tmp/{word}-{secrets.token_hex(8)}" for word in ("index", "patch"))
    force = "--force" if ignored else ""
    environment = {"INDEX": index, "PATCH": patch, "BASE": base, "FORCE": force}
    done = await sandbox.exec(["sh", "-c", _PATCH], cwd=sandbox.workdir, env=environment)
    if done.exit_code != 0:
        return Work()
    return Work(patch=await sandbox.get(patch, limit=FILE_MAX_BYTES))


async def left_behind(task: Task, sandbox: Sandbox, base: str) -> tuple[tuple[str, ...], bool]:
    """Files changed or added that the task does not take, and whether the verdict hangs on one."""
    if not task.solution:
        return (), False
    done = await sandbox.exec(["sh", "-c", _CHANGED], cwd=sandbox.workdir, env={"BASE": base})
    if done.exit_code != 0:
        return (), True
    names = sorted(set(filter(None, done.output.decode("utf-8", "replace").split("\0"))))
    outside = [name for name in names if not task.takes(name)]
    return tuple(outside[:_OUTSIDE_MAX]), decides(task, outside)


def decides(task: Task, names: Sequence[str]) -> bool:
    """Whether one of these files has a say in how tests run or what they ask."""
    return any(
        name in task.pristine.files or posixpath.basename(name) in _CONFIGURATION for name in names
    )
