"""What every session needs of this machine, whatever its sandbox."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from agent.core.errors import SandboxError, UserError
from agent.doctor import distribution
from agent.doctor.gits import holes_of
from agent.doctor.report import Finding, Section, tried
from agent.host import env, files, owner, process, system, terminal

GIT_OLDEST = (2, 32)
KEYS = (
    "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENROUTER_API_KEY",
    "DEEPSEEK_API_KEY", "MISTRAL_API_KEY", "GROQ_API_KEY", "XAI_API_KEY", "TOGETHERAI_API_KEY",
    "FIREWORKS_AI_API_KEY", "COHERE_API_KEY", "CEREBRAS_API_KEY", "AZURE_API_KEY",
    "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS", "OLLAMA_API_BASE",
)  # fmt: skip
_GIT_SECONDS = 30.0
_PROBE_BYTES = 65_536  # a small file may fit where nothing else does


async def section(state: Path, model: str) -> Section:
    """The findings that hold for every backend."""
    return Section(
        "This machine",
        (
            _known(await tried("git", _git)),
            _seen(state, await tried("state directory", lambda: _state(state))),
            _keys(model),
            _terminal(),
        ),
    )


async def _git() -> str:
    """Run it: version, a commit, a bundle, and the check of what a bundle holds."""
    fix = distribution.install("git", system.os_release())
    if not system.find_program("git", ()):
        raise UserError("git is not installed", fix)
    told = (await _run_git(Path("/"), "--version")).strip()
    version = tuple(map(int, re.findall(r"\d+", told)[:2]))
    if version < GIT_OLDEST:
        raise UserError(f"{told} is too old, 2.32 is the oldest that will do", fix)
    with files.temporary_dir() as folder:
        await _run_git(folder, "init", "-q")
        await _run_git(folder, "commit", "-q", "--allow-empty", "-m", "x")
        await _run_git(folder, "bundle", "create", "-q", "b", "HEAD")
        await _run_git(folder, "bundle", "verify", "-q", "b")
    return f"{told}: commit, bundle and check work"


def _known(finding: Finding) -> Finding:
    """A warning when this version has holes that are long mended; newer ones are named."""
    holes = holes_of(finding.found.partition(":")[0]) if finding.state == "ok" else ()
    if not holes:
        return finding
    names = ", ".join(hole.name for hole in holes)
    if any(hole.old for hole in holes):
        found = f"{finding.found}; this version has {names}"
        return Finding(finding.name, "warning", found, "update git, to 2.45.1 at least")
    found = (
        f"{finding.found}; by its number it has {names}, which your distribution may have mended"
    )
    return Finding(finding.name, "ok", found)


async def _run_git(folder: Path, *arguments: str) -> str:
    environment = {
        "PATH": env.variable("PATH", "/usr/bin:/bin"),
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
    }
    who = ("-c", "user.name=x", "-c", "user.email=x@localhost")
    done = await process.run(
        ["git", *who, *arguments], env=environment, cwd=folder, seconds=_GIT_SECONDS
    )
    if done.exit_code:
        raise UserError(f"`git {arguments[0]}` fails: {done.problem}", "reinstall git")
    return done.text


async def _state(state: Path) -> str:
    """Write there, and see whether others can read it."""
    files.make_private_dir(state)
    _, keeper = owner.access(state)
    if keeper != system.user_ids()[0]:
        raise UserError(
            f"`{state}` belongs to user {keeper} and not to you",
            f"`sudo chown -R $(id -u) {state}`",
        )
    probe = state / f".doctor-{secrets.token_hex(4)}"
    try:
        files.write_whole(probe, b"x" * _PROBE_BYTES)
    finally:
        files.remove_file(probe)
    return f"{state} can be written"


def _seen(state: Path, finding: Finding) -> Finding:
    """A warning when others can list it; what lies in it is closed to them anyway."""
    if finding.state != "ok" or not owner.access(state)[0] & 0o066:
        return finding
    found = f"{finding.found}, and others can list what is in it"
    return Finding(finding.name, "warning", found, f"`chmod go-rw {state}`")


def _keys(model: str) -> Finding:
    """Which keys there are; never what they are."""
    there = [name for name in KEYS if env.variable(name)]
    chosen = f"; the model is `{model}`" if model else "; no model is chosen"
    if not there:
        return Finding(
            "provider keys",
            "warning",
            f"none in the environment{chosen}",
            "export the key of your provider, such as ANTHROPIC_API_KEY; `glovebox demo` and"
            " `glovebox shell` need none",
        )
    return Finding("provider keys", "ok", f"{', '.join(there)}{chosen}")


def _terminal() -> Finding:
    if not (terminal.is_terminal(terminal.STDIN) and terminal.is_terminal(terminal.STDOUT)):
        return Finding("terminal", "skipped", "there is none; `-m` and `--json` need none")
    rows, columns = terminal.size()
    name = env.variable("TERM")
    seen = f"{name or 'TERM is not set'}, {columns} by {rows}"
    if name in ("", "dumb"):
        return Finding("terminal", "warning", seen, "set TERM to what your terminal is")
    codes = env.variable("LC_ALL") or env.variable("LC_CTYPE") or env.variable("LANG")
    if "utf" not in codes.lower():
        fix = "set LANG to a UTF-8 locale, such as C.UTF-8"
        return Finding("terminal", "warning", f"{seen}, no UTF-8", fix)
    return Finding("terminal", "ok", f"{seen}, UTF-8")


def require_linux() -> str:
    """What this system is. Raises `SandboxError` when it is not Linux."""
    if not system.is_linux():
        raise SandboxError("this is not Linux", "run glovebox in a Linux virtual machine")
    return system.os_release().get("PRETTY_NAME", "Linux")
