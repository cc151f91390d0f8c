"""Take one part of the proxy's defence away: the test that guards it must notice."""

from __future__ import annotations

import asyncio
import gc
import inspect
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.core import limits
from agent.host import network
from agent.sandbox.egress import (
    addresses,
    asks,
    gate,
    hello,
    http,
    machine,
    managers,
    names,
    proxy,
    resolve,
)
from agent.sandbox.egress.names import Rule
from agent.sandbox.egress.policy import Policy, Target
from agent.sandbox.egress.proxy import Bounds
from agent.sandbox.egress.roads import Roads
from tests.egress import test_http, test_names, test_proxy, test_registries

Failed = pytest.fail.Exception


def _by_text(self: Rule, name: str, port: int) -> bool:
    return port in self.ports and name.endswith(self.name)


def _any_port(self: Rule, name: str, port: int) -> bool:
    return name == self.name or (self.suffix and name.endswith("." + self.name))


async def _look_first(self: gate.Gate, host: str, port: int) -> Any:
    target = self._policy.target(host, port)
    await self._roads()._lookup(target.name)
    rule = self._policy.rule(target)
    if rule is None:
        raise proxy.Denied
    return proxy.Allowed(target, rule, self._policy.strict)


async def _by_name(self: Roads, target: Target, rule: Rule) -> Any:
    checked = await resolve.addresses(target.name, rule, self._lookup)
    again = await self._lookup(target.name)  # as a library does that is given the name
    return self._road(await self._connect(again[0], target.port), checked[0], rule)


async def _no_greeting(self: Any, name: str) -> None:
    return


def _copied(request: http.Request, target: bytes, host: str, extra: http.Headers = ()) -> bytes:
    lines = [b"%s %s HTTP/1.1" % (request.method, target)]
    return b"\r\n".join([*lines, *(b"%s: %s" % pair for pair in request.headers)]) + http.END


async def _for_ever(self: Any, road: Any, size: int) -> None:
    while data := await self._incoming.piece():
        await self._send_up(road, data)


def _first_host(request: http.Request) -> list[bytes]:
    return []


def _everything(self: Policy, target: Target) -> Rule:
    return Rule(target.name, (target.port,))


def _patch(owner: Any, name: str, value: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(owner, name, value)


def _bound(name: str, value: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return _patch(test_proxy, "Bounds", lambda **given: Bounds(**(given | {name: value})))


class _Forgetful(set[Any]):
    def add(self, element: Any) -> None:
        return


def _forget(patch: pytest.MonkeyPatch) -> None:
    made = asks.Asks.__init__

    def init(self: asks.Asks, *args: Any, **more: Any) -> None:
        made(self, *args, **more)
        self._denied = _Forgetful()

    patch.setattr(asks.Asks, "__init__", init)


pytestmark = pytest.mark.slow

WEAKENED: dict[
    str, tuple[Callable[[pytest.MonkeyPatch], None], Callable[..., Any], tuple[Any, ...]]
]
WEAKENED = {
    "addresses are not checked": (
        _patch(resolve, "permitted", lambda *_, **__: True),
        test_proxy.test_an_allowed_name_that_leads_inside_is_refused,
        ("list", "10.0.0.1"),
    ),
    "what an address carries is not looked at": (
        _patch(addresses, "carried", lambda address: None),
        test_proxy.test_an_allowed_name_that_leads_inside_is_refused,
        ("list", "2002:a00:1::"),
    ),
    "only the first address is checked": (
        _patch(resolve, "_checked", lambda answer, rule: answer),
        test_proxy.test_one_bad_address_among_good_ones_is_enough,
        (),
    ),
    "the name is looked up again to connect": (
        _patch(Roads, "_straight", _by_name),
        test_proxy.test_a_name_is_looked_up_once_and_what_was_checked_is_connected_to,
        (),
    ),
    "numbers are names": (
        _patch(names, "_NUMBER", names.re.compile("(?!)")),
        test_proxy.test_no_spelling_of_an_address_or_of_two_names_gets_anywhere,
        ("open",),
    ),
    "names are not canonical": (
        _patch(Policy, "target", lambda self, host, port: Target(host, port)),
        test_proxy.test_a_denied_host_waits_for_a_person,
        (),
    ),
    "suffixes match by text": (
        _patch(Rule, "matches", _by_text),
        test_proxy.test_what_is_not_allowed_is_never_looked_up,
        (),
    ),
    "any port will do": (
        _patch(Rule, "matches", _any_port),
        test_proxy.test_what_is_not_allowed_is_never_looked_up,
        (),
    ),
    "names are looked up before they are matched": (
        _patch(gate.Gate, "_decide", _look_first),
        test_proxy.test_what_is_not_allowed_is_never_looked_up,
        (),
    ),
    "an empty list allows everything": (
        _patch(Policy, "rule", _everything),
        test_names.test_an_empty_list_allows_nothing,
        (),
    ),
    "the greeting is not looked at": (
        _patch(proxy._Client, "_greeting", _no_greeting),
        test_proxy.test_a_tunnel_to_443_carries_tls_for_the_host_that_was_named,
        ("list", test_proxy.client_hello("evil.example")),
    ),
    "a greeting for nobody is fine": (
        _patch(proxy._Client, "_greeting", _no_greeting),
        test_proxy.test_a_tunnel_to_443_carries_tls_for_the_host_that_was_named,
        ("registries", b"SSH-2.0-OpenSSH\r\n"),
    ),
    "a second name in the greeting is not seen": (
        _patch(hello, "_host_names", lambda content: [content[5 : 5 + content[4]]]),
        test_http.test_a_greeting_for_two_hosts_is_none,
        (),
    ),
    "headers are copied": (
        _patch(http, "rebuilt", _copied),
        test_proxy.test_the_host_header_is_ours_and_one_request_is_all,
        (),
    ),
    "a second request is passed on": (
        _patch(proxy._Client, "_body", _for_ever),
        test_proxy.test_the_host_header_is_ours_and_one_request_is_all,
        (),
    ),
    "framing is not looked at": (
        _patch(http.Request, "length", property(lambda self: 0)),
        test_proxy.test_ambiguous_framing_is_refused_and_nothing_goes_out,
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",),
    ),
    "folded headers are taken": (
        _patch(http, "_TOKEN", http.re.compile(rb"[ \t!-9;-~]+")),
        test_http.test_what_could_be_read_in_two_ways_is_refused,
        (test_http.AMBIGUOUS["space before colon"],),
    ),
    "heads may be endless": (
        _patch(limits, "EGRESS_HEAD_MAX_BYTES", 10**9),
        test_proxy.test_a_giant_head_is_cut_off,
        (),
    ),
    "clients may be as slow as they like": (
        _bound("head_seconds", 9e9),
        test_proxy.test_who_does_not_say_what_it_wants_is_sent_away,
        (b"GET http://allowed.example/",),
    ),
    "connections are not counted": (
        _bound("connections", 9**9),
        test_proxy.test_connections_are_bounded_and_a_normal_request_works_afterwards,
        (),
    ),
    "bytes are not counted": (
        _patch(proxy._Client, "_count", lambda self, size: None),
        test_proxy.test_traffic_is_bounded,
        (),
    ),
    "everybody may use the socket": (
        _patch(network, "_PRIVATE_SOCKET", 0o666),
        test_proxy.test_the_socket_is_for_its_owner_alone_and_gone_with_the_gate,
        (Path("/"),),
    ),
    "nothing is written down": (
        _patch(gate.Gate, "_log", lambda self, entry: None),
        test_proxy.test_each_connection_is_one_line_of_audit,
        (),
    ),
    "a no is forgotten": (
        _forget,
        test_proxy.test_no_is_remembered_and_questions_are_few,
        (),
    ),
    "addresses are asked about": (
        _patch(Policy, "target", lambda self, host, port: Target(host, port)),
        test_proxy.test_nobody_is_asked_about_an_address,
        (),
    ),
    "closing cuts nothing": (
        _patch(proxy.Proxy, "cut", lambda self: asyncio.sleep(0)),
        test_proxy.test_closing_the_gate_cuts_what_is_open,
        (),
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _left_open() -> Iterator[None]:
    """What a guard that failed did not come to close is collected here, and reported to nobody."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("weakness", WEAKENED)
async def test_a_weakened_proxy_is_noticed(weakness: str, monkeypatch: pytest.MonkeyPatch) -> None:
    weaken, guard, arguments = WEAKENED[weakness]
    with (
        monkeypatch.context() as patch,
        pytest.raises((AssertionError, TimeoutError, LookupError, ValueError, OSError, Failed)),
    ):
        weaken(patch)
        noticed = guard(*arguments)
        if inspect.isawaitable(noticed):
            await asyncio.wait_for(noticed, 3.0)


def test_secrets_that_are_carried_over_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(managers, "without_secrets", lambda url: url)
    assert machine.without_secrets("https://u:p@a/") == "https://a/"
    with pytest.raises(AssertionError):
        test_registries.test_nothing_secret_is_carried_over_from_any_of_it(
            test_registries.User(tmp_path)
        )
