"""What a run is: what was asked for, and all that its numbers depend on. Kept as `run.json`.

A run may go on only as what it was: `differing` names what has changed since.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent.config import Settings
from agent.core.errors import UserError
from agent.host import files
from benchmarks.tasks import Protocol, Task, hash_of

FILE = "run.json"
_FREE = ("model", "limits", "engine", "idle", "largest_file")
"""Settings that may change between the parts of a run: they say where, not what."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator asked for."""

    suite: str
    path: str
    only: str = ""
    limit: int = 0
    agent: str = "glovebox"
    source: str = ""
    model: str = ""
    protocol: Protocol = "blind"
    tries: int = 1
    trials: int = 1
    seed: int = 0
    seconds: float = 0.0
    test_seconds: float = 0.0
    task_cost: float | None = None
    expected: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for and what held. `code` is a hash of the agent and its prompts."""

    v: int = 1
    wanted: Wanted
    tasks: dict[str, str]
    quarantine: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    expected: str = ""
    settings: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    code: str = ""
    commit: str = ""
    started: str = ""
    max_cost: float | None = None
    max_tokens: int | None = None


def differing(old: Manifest, new: Manifest) -> list[str]:
    """What is not as it was, in words; tasks may come and none may go or change."""
    before, after = (msgspec.to_builtins(each.wanted) for each in (old, new))
    found = [
        f"`{name}` is {value!r} and was {before[name]!r}"
        for name, value in after.items()
        if name != "limit" and before[name] != value
    ]
    changed = [task for task, version in old.tasks.items() if new.tasks.get(task) != version]
    found += [f"the task `{task}` is another one or gone" for task in changed]
    names = sorted({*old.settings, *new.settings})
    found += [
        f"the setting `{name}` is another one"
        for name in names
        if old.settings.get(name) != new.settings.get(name)
    ]
    if old.code != new.code:
        found.append("glovebox or its prompts are not what they were")
    if old.expected != new.expected and not changed and old.tasks.keys() == new.tasks.keys():
        found.append("the tests that are expected are others")
    return found


def settled(settings: Settings) -> dict[str, Any]:
    """The settings that count, as data; the provider's options, keys among them, as hashes."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(settings))
    found["options"] = {key: hash_of(value) for key, value in settings.options.items()}
    return {key: value for key, value in found.items() if key not in _FREE}


def hash_of_code() -> str:
    """A hash of glovebox as it is now, without what only shows it to people."""
    texts = [
        f"{folder}/{name}\0{text}"
        for folder in ("agent", "prompts")
        for name, text in sorted(files.package_texts(folder).items())
        if not name.startswith("cli/")
    ]
    return hash_of(*texts)


def keep(folder: Path, manifest: Manifest) -> None:
    data = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    files.write_whole(folder / FILE, data)


def read(folder: Path) -> Manifest:
    """The manifest of a run. Raises `UserError`."""
    if not files.exists(folder / FILE):
        raise UserError(f"`{folder}` is not a run", f"the folder of a run holds a `{FILE}`")
    try:
        return msgspec.json.decode(files.read_bytes(folder / FILE), type=Manifest)
    except msgspec.MsgspecError as error:
        raise UserError(f"`{folder / FILE}` does not fit: {error}") from error


def in_order(tasks: Sequence[Task], seed: int) -> list[Task]:
    """The tasks in an order that the seed fixes: the first of them are a random sample of all."""
    return sorted(tasks, key=lambda task: hash_of(seed, task.id))
