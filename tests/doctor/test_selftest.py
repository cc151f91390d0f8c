"""The self-test tells a sandbox that holds from one that does not, and from one that is broken."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.cli.selftest import card_text
from agent.doctor import selftest
from agent.doctor.catalogue import ATTEMPTS, CONTROLS
from agent.host import bait
from agent.sandbox import bubblewrap
from agent.sandbox.local import LocalBackend
from agent.sandbox.protocol import Backend, Sandbox, SandboxSpec
from tests.e2e.rig import User
from tests.sandbox_fixtures import new_spec, sandbox_root
from tests.security.conftest import outside

pytestmark = pytest.mark.sandbox


async def card_of(backend: Backend) -> selftest.Card:
    return await selftest.examine(backend, new_spec())


async def test_the_local_sandbox_holds_and_leaves_nothing() -> None:
    home = Path(os.environ["HOME"])
    with sandbox_root() as root:
        card = await card_of(LocalBackend(root))
    assert [t for t in card.attempts if t.outcome not in ("held", "skipped")] == []
    assert [c for c in card.controls if not c.ok] == []
    assert (card.visits, card.ok) == (0, True)
    assert len(card.attempts) == len(ATTEMPTS)
    assert len(card.controls) == len(CONTROLS)
    # Most attempts are shown to be real ones.
    assert sum(t.proved is True for t in card.attempts) >= 25
    assert [p for p in home.iterdir() if "canary" in p.name] == []
    assert "SELFTEST_CANARY" not in os.environ
    assert "The sandbox holds." in card_text(card)


async def test_a_sandbox_with_a_hole_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    tight = bubblewrap.options

    def loose(*args: Any, **more: Any) -> list[str]:
        words = tight(*args, **more)
        words.remove("--unshare-net")
        at = words.index("--proc")
        return [*words[:at], "--ro-bind", "/sys", "/sys", *words[at:]]

    monkeypatch.setattr(bubblewrap, "options", loose)
    with sandbox_root() as root:
        card = await card_of(LocalBackend(root))
    escaped = {t.title for t in card.attempts if t.outcome == "escaped"}
    assert {
        "look into /sys",
        "find a network interface",
        "connect to a service on 127.0.0.1",
        "connect to an abstract socket",
        "send a datagram to this machine",
    } <= escaped
    assert card.visits >= 3
    assert not card.ok
    assert "does NOT hold" in card_text(card)


class Broken:
    """A backend whose sandboxes do not get anything done."""

    name = "broken"

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self.capabilities = inner.capabilities

    async def create(self, spec: SandboxSpec) -> Any:
        return _Dull(await self._inner.create(spec))

    async def destroy(self, ref: str) -> None:
        await self._inner.destroy(ref)


class _Dull:
    def __init__(self, inner: Sandbox) -> None:
        self._inner = inner
        self.ref, self.workdir, self.put = inner.ref, inner.workdir, inner.put

    async def exec(self, argv: Any, **more: Any) -> Any:
        return await self._inner.exec(["true"], **more)


async def test_a_sandbox_in_which_nothing_works_does_not_look_safe() -> None:
    with sandbox_root() as root:
        card = await card_of(Broken(LocalBackend(root)))  # type: ignore[arg-type]
    assert {t.outcome for t in card.attempts} <= {"broken", "skipped"}
    assert not any(c.ok for c in card.controls)
    assert not card.ok


async def test_what_is_set_out_is_gone_afterwards_also_after_an_error() -> None:
    with contextlib.suppress(ZeroDivisionError), bait.set_out() as out:
        values: Mapping[str, str] = out.values
        assert Path(values["file"]).read_text() == "canary"
        raise ZeroDivisionError
    assert not Path(values["file"]).exists()
    assert not Path(values["home_file"]).exists()
    assert not Path(values["folder"]).exists()


@pytest.mark.parametrize(("status", "found"), [(b"200 OK", True), (b"403 no", False)])
def test_a_proxy_that_lets_everybody_through_is_found_out(
    status: bytes, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            client, _ = server.accept()
            with client:
                assert client.recv(1000).startswith(b"CONNECT 10.0.0.1:80 ")
                client.sendall(b"HTTP/1.1 " + status + b"\r\n\r\n")

        answering = threading.Thread(target=answer)
        answering.start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert outside("through_the_proxy", "10.0.0.1", "80").startswith("ESCAPED") is found
        answering.join()


def test_the_command_prints_a_card(user: User) -> None:
    user.start()
    done = user.glovebox("selftest", "--sandbox", "local", "--network", "none", "--json")
    card = json.loads(done.out)
    assert (done.code, card["ok"], card["backend"]) == (0, True, "local")
    assert {t["outcome"] for t in card["attempts"]} <= {"held", "skipped"}
    bad = user.glovebox("selftest", "--sandbox", "host")
    assert bad.code == 2
