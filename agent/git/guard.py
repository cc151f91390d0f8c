"""Every git the host starts, disarmed: a built environment and settings that outrank the user's.

git reads configuration, runs hooks, filters, pagers and helpers, and fetches what it misses. On
content that an agent made, and on the configuration of whoever owns the repository, none of that
may happen. What is not switched off here is not switched off anywhere. The command line tool is
used and no library, because only it takes an environment, an object directory and limits per call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from agent.core.errors import GloveboxError, SyncError, UserError
from agent.core.limits import BUNDLE_MAX_BYTES, IMPORT_MEMORY_BYTES, IMPORT_SECONDS
from agent.core.text import one_line
from agent.host import env
from agent.host.process import Completed, ProcessTimeout, run

Settings = tuple[tuple[str, str], ...]

_ENVIRONMENT = {
    "HOME": "/dev/null",  # nothing can lie below it
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_ALLOW_PROTOCOL": "",  # also what keeps an old git from fetching what it misses
    "GIT_PROTOCOL_FROM_USER": "0",
}

_SETTINGS: Settings = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    ("core.alternateRefsCommand", "true"),
    ("core.pager", "cat"),
    ("core.bigFileThreshold", "16m"),
    ("core.maxTreeDepth", "2048"),
    ("core.packedGitWindowSize", "32m"),  # else mapping the user's packs meets the memory limit
    ("core.packedGitLimit", "512m"),
    ("credential.helper", ""),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("fetch.prune", "false"),
    ("fetch.pruneTags", "false"),
    ("fetch.recurseSubmodules", "no"),
    ("fetch.showForcedUpdates", "true"),  # false makes every fetch look like a fast-forward
    ("fetch.writeCommitGraph", "false"),
    ("fetch.unpackLimit", "1"),
    ("fetch.fsckObjects", "true"),
    ("transfer.fsckObjects", "true"),
    ("transfer.bundleURI", "false"),
    ("submodule.recurse", "false"),
    ("protocol.allow", "never"),
    ("log.showSignature", "false"),
    ("pack.threads", "1"),
    ("safe.bareRepository", "explicit"),
)

# Address space, processor seconds, file size. A limit that is already lower stays as it is.
_LIMITED = """\
ulimit -c 0 2>/dev/null
ulimit -v "$1" 2>/dev/null
ulimit -t "$2" 2>/dev/null
ulimit -f "$3" 2>/dev/null
shift 3
exec "$@"
"""

_FETCH_OPTIONS = (
    "--quiet",
    "--no-tags",
    "--no-recurse-submodules",
    "--no-auto-maintenance",
    "--no-write-fetch-head",
    "--refmap=",
)


@dataclass(frozen=True, slots=True)
class Git:
    """git aimed at one git directory. `fails` is what an unexpected exit code is raised as.

    `limited` runs it under limits of memory, processor time and file size.
    """

    git_dir: Path
    settings: Settings = ()
    extra: Mapping[str, str] = field(default_factory=dict[str, str])
    fails: type[GloveboxError] = SyncError
    limited: bool = False

    def using(self, *settings: tuple[str, str], **extra: str) -> Self:
        """The same with more settings and environment variables; the later ones win."""
        return replace(self, settings=self.settings + settings, extra={**self.extra, **extra})

    async def run(
        self,
        *args: str,
        stdin: bytes | int = b"",
        ok: Sequence[int] = (0,),
        seconds: float = 600.0,
        limit: int = 64_000_000,
    ) -> Completed:
        """Run `git *args`. Raises `fails` for an exit code that is not `ok` or at the deadline."""
        argv = ["git", "--no-pager", *args]
        environment = {**clean_environment(self.settings), **self.extra}
        environment["GIT_DIR"] = str(self.git_dir)
        try:
            done = await launch(
                _under_limits(argv) if self.limited else argv,
                environment,
                stdin=stdin,
                seconds=seconds,
                limit=limit,
            )
        except ProcessTimeout as error:
            raise self.fails(f"`git {args[0]}` did not end within {seconds:g} seconds") from error
        if done.exit_code not in ok:
            raise self.fails(f"`git {args[0]}` failed: {complaint(done)}")
        return done

    async def fetch(self, source: Path, refspec: str) -> None:
        """Fetch exactly `refspec` from `source`, a repository of our own making."""
        await self.using(GIT_ALLOW_PROTOCOL="file").run(
            "fetch", *_FETCH_OPTIONS, str(source), refspec
        )

    async def line(self, *args: str, stdin: bytes = b"", ok: Sequence[int] = (0,)) -> str:
        """The output of a command that prints one line; "" for an exit code other than 0."""
        done = await self.run(*args, stdin=stdin, ok=ok)
        return done.text if done.exit_code == 0 else ""


def clean_environment(settings: Settings = ()) -> dict[str, str]:
    """The whole environment of a disarmed git.

    Settings travel as `GIT_CONFIG_KEY_n`, which unlike `-c` can name a driver with `=` in it.
    """
    pairs = _SETTINGS + settings
    environment = _ENVIRONMENT | {"PATH": env.variable("PATH", "/usr/local/bin:/usr/bin:/bin")}
    environment["GIT_CONFIG_COUNT"] = str(len(pairs))
    for n, (key, value) in enumerate(pairs):
        environment |= {f"GIT_CONFIG_KEY_{n}": key, f"GIT_CONFIG_VALUE_{n}": value}
    return environment


async def launch(
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: bytes | int = b"",
    seconds: float = 600.0,
    limit: int = 64_000_000,
) -> Completed:
    """Run a program that starts git. Raises `UserError` when git is not installed."""
    try:
        return await run(argv, env=environment, cwd="/", stdin=stdin, seconds=seconds, limit=limit)
    except FileNotFoundError as error:
        raise UserError(
            f"`{argv[0]}` is not installed or not on the PATH",
            "install git 2.32 or newer, on Debian and Ubuntu with `apt install git`",
        ) from error


def complaint(done: Completed) -> str:
    """What git said of its failure, on one line, or how it died."""
    return one_line(done.problem, 400) or f"exit code {done.exit_code}"


def _under_limits(argv: Sequence[str]) -> list[str]:
    kilobytes, blocks = IMPORT_MEMORY_BYTES // 1024, 4 * BUNDLE_MAX_BYTES // 512
    return ["sh", "-c", _LIMITED, "sh", str(kilobytes), str(IMPORT_SECONDS), str(blocks), *argv]
