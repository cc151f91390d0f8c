"""Files of a change that do something by themselves once they are merged, checked out or opened.

A branch does nothing as long as it is a branch. What is named here is what a person should look at
first: programs run these without being asked, or files are found where nobody would expect them.
"""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from agent.core.text import one_line

LINK, GITLINK, PROGRAM = "120000", "160000", "100755"

_RUNS: Mapping[str, str] = {
    "git reads it": ".gitattributes .gitmodules .lfsconfig .mailmap .git-blame-ignore-revs",
    "hooks of git run it": ".githooks/* .husky/* .pre-commit-config.yaml lefthook.y*ml",
    "the editor may run it": ".vscode/* .idea/* *.code-workspace .editorconfig .vim/* .nvim* .exrc",
    "the shell may run it on entering": ".envrc .mise.toml mise.toml .tool-versions .autoenv*",
    "CI runs it": ".github/workflows/* .github/actions/* .gitlab-ci.yml .circleci/* Jenkinsfile"
    " .travis.yml .drone.yml azure-pipelines.yml .buildkite/* .woodpecker/*",
    "a container is made from it": ".devcontainer/* Dockerfile *.dockerfile compose.y*ml"
    " docker-compose*.y*ml",
    "it decides what is installed": "package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml"
    " bun.lock* poetry.lock uv.lock Pipfile.lock requirements*.txt Cargo.lock go.sum Gemfile.lock"
    " composer.lock .npmrc .yarnrc* pip.conf .cargo/config* package.json pyproject.toml",
    "building or testing runs it": "setup.py conftest.py sitecustomize.py build.rs Makefile"
    " GNUmakefile build.gradle* settings.gradle* pom.xml CMakeLists.txt justfile Rakefile",
    "agents obey it": "AGENTS.md CLAUDE.md GEMINI.md .cursorrules .cursor/* .claude/* .mcp.json"
    " .github/copilot-instructions.md .glovebox* .aider*",
}
_PATTERNS = tuple((pattern, why) for why, text in _RUNS.items() for pattern in text.split())


@dataclass(frozen=True, slots=True)
class Power:
    """A path, as one printable line, and why to look at it."""

    path: str
    why: str


def power_of(path: str, old_mode: str, new_mode: str, target: str = "") -> Power | None:
    """Why a changed path deserves a look; None for an ordinary file. `target` is a link's."""
    if new_mode == GITLINK:
        return Power(one_line(path, 200), "another repository (a submodule)")
    if new_mode == LINK and leads_out(path, target):
        return Power(one_line(path, 200), f"a link that leads out, to `{one_line(target, 100)}`")
    if why := _runs(path):
        return Power(one_line(path, 200), why)
    if new_mode == PROGRAM and old_mode != PROGRAM:
        return Power(one_line(path, 200), "it can be executed now")
    return None


def has_power(path: str) -> bool:
    """Whether programs run or obey a file of this name unasked."""
    return bool(_runs(path))


def leads_out(path: str, target: str) -> bool:
    """Whether a link at `path` names something that is not below the root of the tree."""
    if not target or target.startswith(("/", "\\")) or target[1:2] == ":":
        return True
    at = posixpath.normpath(posixpath.join(posixpath.dirname(path), target.replace("\\", "/")))
    return at == ".." or at.startswith("../") or ".git" in (p.lower() for p in at.split("/"))


def _runs(path: str) -> str:
    lower = path.lower()
    return next((why for pattern, why in _PATTERNS if _fits(lower, pattern.lower())), "")


def _fits(path: str, pattern: str) -> bool:
    """Whether the path's end fits: `a/*` is anything below a directory `a` at any depth."""
    if pattern.endswith("/*"):
        return f"/{path}".find(f"/{pattern[:-1]}") >= 0
    parts = pattern.count("/") + 1
    return fnmatchcase("/".join(path.split("/")[-parts:]), pattern)


def alike(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of names of one directory that are one where case and composition are ignored."""
    seen: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    for name in names:
        other = seen.setdefault(folded(name), name)
        if other != name:
            found.append((other, name))
    return tuple(found)


def folded(name: str) -> str:
    """A name as HFS+, APFS and NTFS compare it: without case, ignorable characters, final dots."""
    kept = "".join(c for c in name if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", kept).casefold()).rstrip(". ")
