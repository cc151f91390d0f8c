"""Where the network policy is set, and that the repository may only narrow it."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent import config
from agent.app.walls import network_of
from agent.config import NETWORKS, load, narrower
from agent.core.errors import ConfigError
from agent.sandbox.protocol import Capabilities


class Place:
    """A repository of a user who has a configuration."""

    def __init__(self, folder: Path) -> None:
        self.repository = folder / "repository"
        (self.repository / ".git").mkdir(parents=True)
        self.folder = Path(os.environ["XDG_CONFIG_HOME"]) / "glovebox"
        self.folder.mkdir(parents=True)

    def user(self, text: str) -> None:
        (self.folder / "config.yml").write_text(text)

    def repo(self, text: str) -> None:
        (self.repository / ".glovebox.yml").write_text(text)

    def load(self, **flags: Any) -> config.Settings:
        return load(self.repository, flags)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_nothing_set_leaves_the_choice_open(place: Place) -> None:
    assert place.load().network is None
    assert config.DEFAULT_NETWORK == "registries"


@pytest.mark.parametrize("mine", NETWORKS)
@pytest.mark.parametrize("theirs", NETWORKS)
def test_the_repository_may_only_narrow(place: Place, mine: str, theirs: str) -> None:
    place.user(f"network: {mine}\n")
    place.repo(f"network: {theirs}\n")
    if NETWORKS.index(theirs) > NETWORKS.index(mine):  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="only narrow"):
            place.load()
    else:
        assert place.load().network == theirs


def test_the_repository_cannot_open_what_is_default(place: Place) -> None:
    place.repo("network: open\n")
    with pytest.raises(ConfigError):
        place.load()
    place.repo("network: none\n")
    assert place.load().network == "none"


def test_the_repository_cannot_allow_hosts(place: Place) -> None:
    place.repo("allow_hosts: [evil.example]\n")
    with pytest.raises(ConfigError, match="allow_hosts"):
        place.load(network="open")


def test_hosts_add_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.user("allow_hosts: [a.example, b.example]\n")
    monkeypatch.setenv("GLOVEBOX_ALLOW_HOSTS", "c.example, a.example")
    assert place.load(allow_hosts=("d.example",)).allow_hosts == (
        "a.example", "b.example", "c.example", "d.example",
    )  # fmt: skip


@pytest.mark.parametrize("text", ["network: all\n", "network: [none]\n", "allow_hosts: a\n"])
def test_what_does_not_fit_is_an_error(place: Place, text: str) -> None:
    place.user(text)
    with pytest.raises(ConfigError):
        place.load()


def test_the_narrower_of_two() -> None:
    for at, one in enumerate(NETWORKS):
        for other in NETWORKS[at:]:
            assert narrower(one, other) == narrower(other, one) == one


def test_a_backend_without_the_default_has_no_network_and_that_is_said(place: Place) -> None:
    backend: Any = SimpleNamespace(name="far", capabilities=Capabilities(policies=("none", "list")))
    network, notice = network_of(place.load(), backend)
    assert network == "none"
    assert notice is not None and "`far` has no policy `registries`" in notice.text
    # What was asked for is never exchanged: the backend refuses it.
    assert network_of(place.load(network="registries"), backend) == ("registries", None)
    backend.capabilities = Capabilities(policies=("registries",))
    assert network_of(place.load(), backend) == ("registries", None)
