"""Harbor's tasks, which Terminal-Bench's are: `task.toml`, `instruction.md`, `environment/`,
`tests/test.sh`, `solution/solve.sh`.

Sandboxes are containers of the image that `environment/Dockerfile` makes. The agent's repository is
what lies in its `WORKDIR`; all that changes there, ignored files too, is the work. The tests run on
it in a fresh container and leave their number in `/logs/verifier`. Nobody is root inside, and what
lies elsewhere is not carried over: `validate` finds the tasks that ask for more.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent.config import Allowance
from agent.core.errors import UserError
from agent.host import files
from benchmarks.images import SCRATCH
from benchmarks.tasks import Grader, Image, Limits, Solver, Task, Tree, below, hash_of

SETTINGS, INSTRUCTION, RECIPE = "task.toml", "instruction.md", "environment/Dockerfile"
TEST, SOLVE = "tests/test.sh", "solution/solve.sh"
_IS = f"a task is a folder with `{SETTINGS}`, `{INSTRUCTION}`, `environment/` and `{TEST}`"
_AGENT_SECONDS = 600.0
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
# The tests are where they expect to be, and what they leave where it is read.
_TESTS = f"""
mkdir -p {SCRATCH}/logs/verifier {SCRATCH}/logs/agent {SCRATCH}/logs/artifacts
chmod -R a+rx "$CHECK" && ln -s "$CHECK" {SCRATCH}/tests
bash /tests/test.sh 2>&1
code=$?
for name in reward.txt reward.json; do
  [ ! -f /logs/verifier/$name ] || cp /logs/verifier/$name "$REPORT/$name"
done
exit $code
"""
_SOLVE = f"""
mkdir -p {SCRATCH}/logs/agent && chmod -R a+rx "$SOLUTION" && ln -s "$SOLUTION" {SCRATCH}/solution
exec bash /solution/solve.sh 2>&1
"""


class _Phase(msgspec.Struct, frozen=True):
    """The agent's, the verifier's or the solution's."""

    timeout_sec: float | None = None
    network_mode: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    env: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    environment_mode: str | None = None
    environment: Any = None
    collect: Any = None


class _Environment(msgspec.Struct, frozen=True):
    build_timeout_sec: float = 600.0
    docker_image: str | None = None
    os: str = "linux"
    cpus: float | None = None
    memory_mb: int | None = None
    memory: str | None = None
    gpus: int | None = None
    tpu: Any = None
    env: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    workdir: str | None = None
    network_mode: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    allow_internet: bool | None = None
    healthcheck: Any = None
    mcp_servers: Any = None


class _Config(msgspec.Struct, frozen=True):
    """What is read of `task.toml`. The format grows: a key that is not known is let be."""

    environment: _Environment = _Environment()
    agent: _Phase = _Phase()
    verifier: _Phase = _Phase()
    solution: _Phase = _Phase()
    steps: Any = None


def load(path: Path) -> list[Task]:
    """The tasks in a folder, or the one that the folder is. Raises `UserError`."""
    path = path.resolve()
    if files.exists(path / SETTINGS):
        return [_task(path)]
    found = [_task(child) for child in files.children(path) if files.exists(child / SETTINGS)]
    if not found:
        raise UserError(f"there are no tasks in `{path}`", _IS)
    return found


def _task(folder: Path) -> Task:
    config = _config(folder / SETTINGS)
    unfit = _unfit(config, folder)
    if not unfit and (missing := [n for n in (INSTRUCTION, TEST) if not files.exists(folder / n)]):
        raise UserError(f"the task `{folder}` has no `{missing[0]}`", _IS)
    place = folder / INSTRUCTION
    instruction = files.read_text(place).strip() if files.exists(place) else ""
    environment, tests = below(folder / "environment"), below(folder / "tests")
    solution, image = below(folder / "solution"), _image(config.environment, folder)
    limits = Limits(
        config.agent.timeout_sec or _AGENT_SECONDS, config.verifier.timeout_sec or 600.0
    )
    agent, tested = _policy(config, config.agent), _policy(config, config.verifier)
    tree = Tree(image=image)
    return Task(
        id=f"harbor/{folder.name}",
        suite="harbor",
        version=hash_of(files.read_bytes(folder / SETTINGS), instruction, environment, tests),
        instruction=instruction,
        start=tree,
        pristine=tree,
        hidden=tests,
        grader=Grader(
            _exports(config.verifier.env) + _TESTS, "reward", exact=True, network=tested != "none"
        ),
        solver=Solver(_exports(config.solution.env) + _SOLVE, solution)
        if files.exists(folder / SOLVE)
        else None,
        ignored=True,
        limits=limits,
        network=agent,
        hosts=config.agent.allowed_hosts or config.environment.allowed_hosts,
        image=image,
        environment=_literal(config.environment.env),
        allowance=_allowance(config.environment),
        unfit=unfit,
    )


def _config(path: Path) -> _Config:
    try:
        return msgspec.toml.decode(files.read_bytes(path), type=_Config)
    except msgspec.MsgspecError as error:
        raise UserError(f"`{path}` does not fit: {error}", _IS) from error


def _unfit(config: _Config, folder: Path) -> str:
    """What the task asks for that is not to be had here."""
    wanted, tested = config.environment, config.verifier
    given = [*wanted.env.values(), *tested.env.values(), *config.solution.env.values()]
    compose = [n for n in ("docker-compose.yaml", "docker-compose.yml") if
               files.exists(folder / "environment" / n)]  # fmt: skip
    reasons = {
        "it has several steps": config.steps,
        "it is several containers": compose,
        "it has no image": not (wanted.docker_image or files.exists(folder / RECIPE)),
        "it is not for Linux": wanted.os.lower() != "linux",
        "it needs an accelerator": wanted.gpus or wanted.tpu,
        "it needs services that are running": wanted.healthcheck or wanted.mcp_servers,
        "its tests have an environment of their own": tested.environment
        or tested.environment_mode == "separate"
        or tested.collect,
        # Such a variable is a key mostly, and the agent's work runs beside it.
        "it wants variables of this machine": [
            value for value in given if any(None is each[2] for each in _VARIABLE.finditer(value))
        ],
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _image(wanted: _Environment, folder: Path) -> Image:
    context = folder / "environment"
    source = "" if files.exists(folder / RECIPE) else wanted.docker_image or ""
    built = hash_of(source, wanted.workdir or "", {} if source else below(context))
    return Image(
        f"glovebox-task:{built}",
        None if source else context,
        source,
        wanted.workdir or "",
        wanted.build_timeout_sec,
    )


def _policy(config: _Config, phase: _Phase) -> Any:
    """The network of a phase; "" for what the settings say, and those always hold."""
    wanted = config.environment
    old = "no-network" if wanted.allow_internet is False else "public"
    return {"no-network": "none", "allowlist": "list"}.get(
        phase.network_mode or wanted.network_mode or old, ""
    )


def _allowance(wanted: _Environment) -> Allowance:
    memory = f"{wanted.memory_mb}MIB" if wanted.memory_mb else wanted.memory or 0
    return Allowance(memory=memory, cpus=wanted.cpus or 0.0)


def _literal(env: Mapping[str, str]) -> dict[str, str]:
    return {name: _VARIABLE.sub(lambda m: m[2] or "", value) for name, value in env.items()}


def _exports(env: Mapping[str, str]) -> str:
    return "".join(f"export {k}={shlex.quote(v)}\n" for k, v in _literal(env).items())
