"""Network, credentials, and answers that are not what they should be."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.errors import ConfigError, SandboxError, SandboxUnavailable, ToolboxError
from agent.host import env
from agent.sandbox.daytona import network
from agent.sandbox.daytona.account import resolve
from agent.sandbox.daytona.lines import Lines
from agent.sandbox.protocol import SandboxSpec
from tests.daytona_fixtures import DaytonaBackend, daytona_sandbox, new_spec
from tests.servers.daytona.server import KEY, DaytonaServer

slow = [pytest.mark.sandbox, pytest.mark.slow]


def listed(*hosts: str) -> SandboxSpec:
    return SandboxSpec("s", network="list", hosts=hosts)


# Network.


@pytest.mark.parametrize(
    ("spec", "settings"),
    [
        (SandboxSpec("s"), {"network_block_all": True}),
        (SandboxSpec("s", network="open"), {"network_block_all": False}),
        (listed(), {"network_block_all": True}),
        (
            listed("mirror.test=mirror", "*.example.org"),
            {"network_block_all": False, "domain_allow_list": "mirror.test,*.example.org"},
        ),
    ],
    ids=str,
)
def test_a_policy_is_said_in_full(spec: SandboxSpec, settings: dict[str, object]) -> None:
    assert network.settings(spec) == settings


@pytest.mark.parametrize(
    ("hosts", "why"),
    [
        (tuple(f"h{n}.org" for n in range(11)), "at most 10 hosts"),
        (("mirror.test:8080",), "mirror.test:8080"),
        (("db=private",), "db=private"),
        (("[::1]",), "::1"),
        (("a..b",), "a..b"),
    ],
    ids=str,
)
def test_what_cannot_be_enforced_is_refused_by_name(hosts: tuple[str, ...], why: str) -> None:
    with pytest.raises(SandboxUnavailable, match=why.replace("[", r"\[")):
        network.settings(listed(*hosts))


@pytest.mark.sandbox
@pytest.mark.slow
async def test_a_service_that_does_not_know_host_names_makes_no_sandbox(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    server.knows_domains = False
    with pytest.raises(SandboxUnavailable, match="does not apply the network policy"):
        await backend.create(replace(new_spec(), network="list", hosts=("mirror.test",)))
    assert server.living() == []


@pytest.mark.sandbox
@pytest.mark.slow
async def test_a_sandbox_that_is_woken_gets_the_policy_of_today(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    spec = replace(new_spec(), network="list", hosts=("mirror.test",))
    sandbox = await backend.create(spec)
    await sandbox.close()
    more = replace(spec, hosts=("mirror.test", "example.org"))
    await (await backend.attach(sandbox.ref, more)).close()
    assert server.only_box().asked["domainAllowList"] == "mirror.test,example.org"
    await (await backend.attach(sandbox.ref, replace(spec, network="none"))).close()
    assert server.only_box().asked["networkBlockAll"] is True
    server.knows_domains = False
    with pytest.raises(SandboxUnavailable, match="does not apply"):
        await backend.attach(sandbox.ref, more)
    await backend.destroy(sandbox.ref)


@pytest.mark.sandbox
@pytest.mark.slow
async def test_a_service_that_does_not_block_makes_no_sandbox(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    server.blocks = False
    with pytest.raises(SandboxUnavailable, match="network_block_all"):
        await backend.create(new_spec())
    assert server.living() == []


@pytest.mark.sandbox
@pytest.mark.slow
async def test_a_sandbox_that_reaches_out_all_the_same_is_deleted(
    server: DaytonaServer, backend: DaytonaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        # Its loopback stands for the network: something that can be reached.
        listen = "import socket,time;s=socket.create_server(('127.0.0.1',0));"
        tell = "print(s.getsockname()[1],flush=True);time.sleep(99)"
        done = await sandbox.exec(["sh", "-c", 'python3 -c "$0" >port & sleep 0.5', listen + tell])
        assert done.exit_code == 0
        port = int(await sandbox.get("port", limit=10))
        assert await sandbox.reach([("127.0.0.1", port)], 2.0) == [f"127.0.0.1:{port}"]
        with pytest.raises(SandboxUnavailable, match=r"reaches 127\.0\.0\.1"):
            network.require_closed(await sandbox.reach([("127.0.0.1", port)], 2.0))

    async def leaky(self: object, targets: object, seconds: float) -> list[str]:
        return ["1.1.1.1:443"]

    monkeypatch.setattr("agent.sandbox.daytona.sandbox.DaytonaSandbox.reach", leaky)
    with pytest.raises(SandboxUnavailable, match=r"reaches 1\.1\.1\.1:443 although"):
        await backend.create(new_spec())
    assert server.living() == []


# Credentials.


def test_without_a_key_it_says_which_variable_is_missing() -> None:
    with pytest.raises(SandboxUnavailable, match="DAYTONA_API_KEY") as caught:
        resolve()
    assert "DAYTONA_API_KEY" in caught.value.hint


def test_the_users_own_file_names_the_account_and_a_variable_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = env.config_dir()
    folder.mkdir(parents=True)
    kept = folder / "daytona.json"
    kept.write_text('{"api_key": "dtn_file", "target": "eu", "snapshot": "mine"}')
    monkeypatch.setenv("DAYTONA_TARGET", "us")
    account = resolve()
    assert (account.key, account.target, account.snapshot) == ("dtn_file", "us", "mine")
    kept.write_text('{"api_key": "dtn_file", "apiurl": "x"}')
    with pytest.raises(ConfigError, match="apiurl") as caught:
        resolve()
    assert "dtn_file" not in caught.value.message


@pytest.mark.parametrize("url", ["http://example.org/api", "ftp://example.org", "example.org"])
def test_a_key_does_not_travel_in_the_open(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYTONA_API_KEY", KEY)
    monkeypatch.setenv("DAYTONA_API_URL", url)
    with pytest.raises(SandboxUnavailable, match="https"):
        resolve()


def test_the_account_does_not_show_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYTONA_API_KEY", KEY)
    assert KEY not in repr(resolve())


@pytest.mark.sandbox
@pytest.mark.slow
async def test_nothing_is_read_from_the_repository(
    server: DaytonaServer,
    backend: DaytonaBackend,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hostile = {
        "DAYTONA_TARGET": "evil-region",
        "DAYTONA_JWT_TOKEN": "evil",
        "DAYTONA_ORGANIZATION_ID": "evil-organisation",
        "DAYTONA_API_URL": "http://evil.example/api",
        "DAYTONA_OTEL_ENABLED": "true",
        "DAYTONA_HAPPY_EYEBALLS_DELAY": "nonsense",
        "DAYTONA_USE_DEPRECATED_POLLING": "true",
        "DAYTONA_SNAPSHOT": "evil-snapshot",
    }
    text = "".join(f"{name}={value}\n" for name, value in hostile.items())
    for name in (".env", ".env.local"):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    async with daytona_sandbox(backend):
        asked = server.only_box().asked
        assert (asked.get("target"), asked.get("snapshot")) == (None, None)


@pytest.mark.sandbox
@pytest.mark.slow
async def test_the_key_is_in_no_message_and_not_inside(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    echo = f'{{"message": "bad header Authorization: Bearer {KEY} at https://u:p@h/"}}'
    server.fault("POST", r"/api/sandbox$", "status", status=400, body=echo)
    with pytest.raises(SandboxUnavailable) as caught:
        await backend.create(new_spec())
    assert KEY not in caught.value.message + caught.value.hint
    assert "u:p@" not in caught.value.message
    async with daytona_sandbox(backend) as sandbox:
        seen = await sandbox.exec(["sh", "-c", "cat /proc/*/environ 2>/dev/null; env"])
        assert b"dtn_" not in seen.output
        assert b"DAYTONA_API" not in seen.output


@pytest.mark.sandbox
@pytest.mark.slow
async def test_a_refused_key_says_which_setting_to_check(
    server: DaytonaServer, backend: DaytonaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAYTONA_API_KEY", "dtn_another_key_that_is_wrong")
    with pytest.raises(SandboxUnavailable, match="refused the API key") as caught:
        await backend.create(new_spec())
    assert "DAYTONA_API_KEY" in caught.value.hint


# What comes from inside is hostile.


@pytest.mark.parametrize(
    "text",
    [
        "@n 1 8 e30=\n",  # a part is missing
        "@n x 8 e30=\n",
        "@n 0 99 e30=\n",
        "@n 0 8 %%%\n",
        "@n 0 1 e30=\n",  # what only the host may send
        "@n 0 3 AAAAAAAAAAAAAAAA\n",  # more data than there is room for
        "@n 0 6 AAAAAAAAAAAAAAAA\n",
        "x" * 3_000_000,
        f"@n {'9' * 5000} 8 e30=\n",
    ],
    ids=lambda text: text[:12],
)
def test_a_broken_line_is_an_error(text: str) -> None:
    lines = Lines("n", room=8, live_room=8)
    with pytest.raises(ToolboxError):
        lines.feed(text)


def test_noise_and_lines_of_others_are_skipped() -> None:
    lines = Lines("n")
    lines.feed("motd\n@other 0 8 e30=\n@n 0 8 eyJvayI6IHRydWV9\nmore\n@n 1 8 e30=\n")
    assert (lines.ended, lines.answer) == (True, {"ok": True})


def test_what_comes_twice_counts_once() -> None:
    lines = Lines("n", room=100)
    first = "@n 0 7 YWJj\n@n 1 "
    lines.feed(first)
    lines.restart()
    lines.feed("@n 0 7 YWJj\n@n 1 8 e30=\n")
    assert lines.ended


@pytest.mark.sandbox
@pytest.mark.slow
async def test_a_replaced_helper_inside_is_believed_nothing(backend: DaytonaBackend) -> None:
    async with daytona_sandbox(backend) as sandbox:
        await sandbox.exec(["sh", "-c", "for z in /var/tmp/glovebox/*.zip; do echo x >$z; done"])
        with pytest.raises((SandboxError, ToolboxError)):
            await sandbox.toolbox.call("read", path="x")
        with pytest.raises((SandboxError, ToolboxError)):
            await sandbox.exec(["true"])


@pytest.mark.sandbox
@pytest.mark.slow
async def test_a_missing_helper_is_installed_again(backend: DaytonaBackend) -> None:
    async with daytona_sandbox(backend) as sandbox:
        await sandbox.exec(["sh", "-c", "rm -rf /var/tmp/glovebox"])
        assert (await sandbox.exec(["echo", "again"])).output == b"again\n"
        await sandbox.exec(["sh", "-c", "rm -rf /var/tmp/glovebox"])
        await sandbox.put("x", b"x\n")
        assert os.fsdecode(await sandbox.get("x", limit=10)) == "x\n"
