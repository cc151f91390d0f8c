"""Aider's polyglot exercises: `LANG/exercises/practice/SLUG` of a clone of its collection.

The agent gets no directory that starts with a dot (solutions are in `.meta`, and in some
`.approaches` and `.articles`) and, unless the tests are to be seen, no test. What decides the
verdict is everything that is no solution file, not only what the exercise lists as its tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from agent.core.errors import UserError
from agent.host import disk, files
from benchmarks.tasks import Content, Grader, Task, Tree, Work, below, data_of, hash_of
from benchmarks.texts import text
from benchmarks.tracks import TRACKS, Track

_PRACTICE = "exercises/practice"
_DOTTED = (".eslintrc", ".npmrc", ".gitignore")
_BUILD = ("Cargo.toml", "CMakeLists.txt", "go.mod", "package.json", "build.gradle")
_TEST = re.compile(r"(^|/)(tests?/|test_[^/]*$|[^/]*(_test|\.spec|Test)\.[a-z]+$|src/test/)")
_DOCS = ("introduction.md", "instructions.md", "instructions.append.md")


class _Files(msgspec.Struct, frozen=True):
    solution: tuple[str, ...]
    test: tuple[str, ...]
    example: tuple[str, ...]


class _Config(msgspec.Struct, frozen=True):
    files: _Files


def load(path: Path) -> list[Task]:
    """The exercises of a clone, of one language of it, or a single one.

    Raises `UserError` for one that is not whole: left out it would be a better score.
    """
    found = [
        _task(language, exercise)
        for language, folder in _languages(path.resolve())
        for exercise in folder
    ]
    if not found:
        raise UserError(
            f"there are no exercises in `{path}`",
            f"it should be a clone of Aider-AI/polyglot-benchmark, with LANG/{_PRACTICE}/NAME",
        )
    return found


def _languages(path: Path) -> list[tuple[str, list[Path]]]:
    if files.exists(path / ".meta"):
        return [(_language(path.parents[2]), [path])]
    if files.exists(path / _PRACTICE):
        return [(_language(path), files.children(path / _PRACTICE))]
    inner = [child for child in files.children(path) if files.exists(child / _PRACTICE)]
    return [(_language(child), files.children(child / _PRACTICE)) for child in inner]


def _language(folder: Path) -> str:
    if folder.name not in TRACKS:
        raise UserError(
            f"nobody knows how to test the language `{folder.name}`",
            f"known: {', '.join(TRACKS)}",
        )
    return folder.name


def _task(language: str, folder: Path) -> Task:
    track, listed = TRACKS[language], _config(folder)
    prefix = f"{folder.name}/" if track.folder else ""
    inside = _inside(folder)
    solution = tuple(name for name in listed.solution if name not in _BUILD)
    missing = [name for name in (*listed.solution, *listed.test) if name not in inside]
    if missing:
        raise UserError(f"`{folder}` has no `{missing[0]}`", "fetch the exercises again")
    tests = {
        name: track.unskipped(data_of(content))
        for name, content in inside.items()
        if name in listed.test or (_TEST.search(name) and name not in solution)
    }
    visible = {name: content for name, content in inside.items() if name not in tests}
    instruction = _instruction(folder, [prefix + name for name in solution])
    pristine = _below(prefix, inside | tests)
    return Task(
        id=f"polyglot/{language}/{folder.name}",
        suite="polyglot",
        network="none",
        language=language,
        version=hash_of(instruction, pristine, track.grader),
        instruction=instruction,
        start=Tree(_below(prefix, visible)),
        shown=_below(prefix, tests),
        pristine=Tree(pristine),
        solution=tuple(prefix + name for name in (*solution, *track.more)),
        grader=_within(prefix, track),
        reference=Work(_reference(folder, listed, solution, track, prefix)),
    )


def _within(prefix: str, track: Track) -> Grader:
    script = track.grader.script
    return replace(track.grader, script=f"cd ./{prefix}\n{script}" if prefix else script)


def _config(folder: Path) -> _Files:
    place = folder / ".meta/config.json"
    try:
        return msgspec.json.decode(files.read_bytes(place), type=_Config).files
    except msgspec.MsgspecError as error:
        raise UserError(f"`{place}` does not fit: {error}", "fetch the exercises again") from error


def _inside(folder: Path) -> dict[str, Content]:
    """What of an exercise may be in a sandbox at all."""
    found: dict[str, Content] = {}
    for child in files.children(folder):
        if child.name.startswith(".") and child.name not in _DOTTED:
            continue
        inner = below(child, f"{child.name}/") if disk.is_dir(child) else {child.name: child}
        found |= inner
    return found


def _below(prefix: str, found: Mapping[str, Content]) -> dict[str, Content]:
    return {prefix + name: content for name, content in found.items()}


def _instruction(folder: Path, solution: list[str]) -> str:
    docs = [folder / ".docs" / name for name in _DOCS]
    parts = [files.read_text(place).strip() for place in docs if files.exists(place)]
    rules = text("exercise.md").format(files=" ".join(f"`{name}`" for name in solution))
    return "\n\n".join([*parts, rules])


def _reference(
    folder: Path, listed: _Files, solution: tuple[str, ...], track: Track, prefix: str
) -> dict[str, bytes]:
    """The exercise's own solution, under the names that its tests ask for."""
    found: dict[str, bytes] = {}
    for place, target in track.places.items():
        for name, path in below(folder / place).items():
            found[prefix + target + name] = data_of(path)
    if track.places:
        return found
    for name in listed.example:
        ending = Path(name).suffix
        for target in (each for each in solution if Path(each).suffix == ending):
            found[prefix + target] = data_of(folder / name)
    return found
