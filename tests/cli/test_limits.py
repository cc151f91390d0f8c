"""Limits of a sandbox as the user's configuration says them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent import config
from agent.app.walls import limits_of
from agent.config import size_of
from agent.core.errors import ConfigError, UserError
from agent.sandbox.protocol import Capabilities, Limits
from tests.cli.test_shell import shell
from tests.e2e.rig import User
from tests.egress.test_settings import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def _limits(settings: config.Settings, *kept: str) -> Limits:
    backend: Any = SimpleNamespace(name="some", capabilities=Capabilities(limits=kept))
    return limits_of(settings, backend)


@pytest.mark.parametrize(
    ("words", "size"),
    [
        ("0", 0), (17, 17), ("512MB", 512_000_000), ("4g", 4_000_000_000), ("1.5 GiB", 3 << 29),
        ("2TB", 2 * 10**12), ("100 kb", 100_000), ("7b", 7),
    ],
)  # fmt: skip
def test_sizes(words: int | str, size: int) -> None:
    assert size_of(words) == size


def test_what_is_set_reaches_the_sandbox(place: Place) -> None:
    place.user("limits: {memory: 2GB, processes: 99, cpus: 1.5}\n")
    limits = _limits(place.load(), "memory_bytes", "processes", "cpus")
    assert limits == Limits(memory_bytes=2_000_000_000, processes=99, cpus=1.5)
    assert _limits(config.Settings()) == Limits()


def test_a_limit_that_the_backend_cannot_keep_is_an_error(place: Place) -> None:
    place.user("limits: {memory: 2GB, disk: 1GB, processes: 99}\n")
    with pytest.raises(UserError, match="`some` cannot limit disk, memory here"):
        _limits(place.load(), "processes")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("limits: {memry: 1}", "unknown field `memry`"),
        ("limits: {memory: much}", "`much` is not a size"),
        ("limits: {cpus: -1}", "below 0"),
        ("limits: {memory: -1}", "`-1` is not a size"),
        ("limits: 3", "`limits` in"),
    ],
)
def test_what_does_not_fit_is_named(place: Place, text: str, why: str) -> None:
    place.user(text + "\n")
    with pytest.raises(ConfigError, match="limits") as raised:
        place.load()
    assert why in raised.value.message
    assert "memory, disk, processes" in raised.value.hint


def test_the_environment_sets_them(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOVEBOX_LIMITS", "memory=1GB,files=5")
    limits = _limits(place.load(), "memory_bytes", "files")
    assert limits == Limits(memory_bytes=10**9, files=5)


def test_the_repository_cannot(place: Place) -> None:
    place.repo("limits: {memory: 1TB}\n")
    with pytest.raises(ConfigError, match="not the repository's to set"):
        place.load()


@pytest.mark.sandbox
def test_they_hold_inside(user: User) -> None:
    user.start()
    user.environment["GLOVEBOX_LIMITS"] = "open_files=77"
    done = shell(user, "--new", "--", "sh", "-c", "ulimit -n")
    assert (done.stdout, done.stderr) == (b"77\n", b"")
    user.environment["GLOVEBOX_LIMITS"] = "open_file=77"
    done = shell(user, "--new", "--", "true")
    assert done.returncode == 2
    assert b"open_file" in done.stderr
