"""Images of tasks: built of their own recipe, and made to hold the repository where tasks lie.

A session's repository is at one place in every sandbox, and what else is in a container cannot be
written. So an image is built in two steps: as its recipe says, and on it another in which the
task's directory is a link to that place, and `/tests`, `/solution` and `/logs` are links to where
somebody without rights may write.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent import config
from agent.core.errors import UserError
from agent.host import files
from agent.sandbox.bubblewrap import WORKDIR
from agent.sandbox.docker.engine import Engine
from benchmarks.tasks import Image, Task

SCRATCH = "/tmp/harbor"
_LINKED = ("tests", "solution", "logs")
_OWN = ("PATH", "HOME", "HOSTNAME", "USER", "TERM")
_LABEL = "glovebox.benchmark"
_RECIPE = """FROM {source}
USER root
RUN missing=; for program in git curl; do \\
      command -v $program >/dev/null || missing="$missing $program"; done; \\
    [ -z "$missing" ] || {{ command -v apt-get >/dev/null && apt-get update && \\
      apt-get install -y --no-install-recommends ca-certificates $missing; }} || \\
      apk add ca-certificates $missing
RUN {links}
"""


def inside(image: Image) -> str:
    """The name of what sandboxes are made of."""
    return f"{image.name}-inside"


async def build(tasks: Sequence[Task]) -> None:
    """Have the images of these tasks; what is there already is not built again.

    Raises `UserError` with what the engine said.
    """
    images = {task.image.name: task.image for task in tasks if task.image}
    for image in images.values():
        engine = _engine()
        if await engine.inspect("image", inside(image)) is not None:
            continue
        if image.context is not None:
            await _build(engine, image.name, image.seconds, str(image.context))
        else:
            await engine.do("tag", image.source, image.name)
        recipe = _RECIPE.format(source=image.name, links=_links(await workdir_of(image)))
        await _build(engine, inside(image), image.seconds, "-", stdin=recipe.encode())


async def variables(image: Image) -> Mapping[str, str]:
    """The variables that an image sets, but for those that each sandbox has of its own."""
    lines: list[str] = (await _config(image)).get("Env") or []
    pairs = (line.partition("=") for line in lines)
    return {name: value for name, _, value in pairs if name not in _OWN}


async def workdir_of(image: Image) -> str:
    """Where in an image its task lies."""
    found = image.workdir or str((await _config(image)).get("WorkingDir") or "/")
    return posixpath.normpath(found)


async def unpack(image: Image, folder: Path) -> None:
    """Copy what lies in the task's directory of an image, without its history."""
    engine, workdir = _engine(), await workdir_of(image)
    if workdir == "/":
        return  # a whole system is no repository: such a task has an empty one
    words = ("--pull", "never", "--label", _LABEL, "--entrypoint", "/bin/sh", image.name)
    container = await engine.do("create", *words)
    try:
        await engine.do("cp", f"{container}:{workdir}/.", str(folder))
    finally:
        await engine.do("rm", "--force", "--volumes", container)
    files.remove_tree(folder / ".git")


def _engine() -> Engine:
    return Engine.find(config.load(Path(), {}).engine)


async def _config(image: Image) -> dict[str, Any]:
    known = await _engine().inspect("image", image.name)
    if known is None:
        raise UserError(
            f"there is no image `{image.name}`", "begin the run again: it is built then"
        )
    return known.get("Config") or {}


async def _build(
    engine: Engine, name: str, seconds: float, context: str, *, stdin: bytes = b""
) -> None:
    done = await engine.run("build", "--tag", name, context, stdin=stdin, seconds=seconds)
    if done.exit_code:
        said = done.problem.splitlines()[-1:] or done.text.splitlines()[-1:] or ["nothing"]
        raise UserError(
            f"`{engine.name} build` of `{name}` failed: {said[0]}",
            f"type `{engine.name} build {context}`, or leave the task out by `--only`",
        )


def _links(workdir: str) -> str:
    targets = {f"/{name}": f"{SCRATCH}/{name}" for name in _LINKED}
    if workdir not in ("/", WORKDIR):
        targets[workdir] = WORKDIR
    steps = [
        f"rm -rf {shlex.quote(path)} && mkdir -p {shlex.quote(posixpath.dirname(path))}"
        f" && ln -s {target} {shlex.quote(path)}"
        for path, target in targets.items()
    ]
    return " && ".join(steps)
