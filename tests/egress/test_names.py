"""Names have one spelling, addresses none, and entries mean what they say."""

from __future__ import annotations

import ipaddress
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import UserError
from agent.sandbox.egress.addresses import (
    LOOPBACK,
    MIRRORS,
    PRIVATE,
    is_public,
    permitted,
    unmapped,
)
from agent.sandbox.egress.names import BadName, canonical, rule_of, split
from agent.sandbox.egress.policy import Policy, Target, policy_of

NO_NAMES = (
    # addresses, in every spelling that some library takes for one
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0x7F.0.0.0x1",
    "0177.0.0.1", "017700000001", "0", "0.0.0.0", "127.0.0.1.", "1.1.1.1", "169.254.169.254",
    "::1", "[::1]", "[::ffff:127.0.0.1]", "::ffff:7f00:1", "[fe80::1%25lo]", "fd00:ec2::254",
    "0x", "a.0x1f", "host.1", "１２７.0.0.1", "①②⑦.⓪.⓪.①", "127。0。0。1", "127.0.0.1%00",
    # what two parsers read as two names
    "allowed@evil", "allowed.example\0.evil.example", "allowed.example%00.evil", "a\r\nb", "a b",
    "allowed.example\\.evil", "allowed.example/evil", "allowed.example#evil", "allowed.example?x",
    "allowed.example:443", "a,b", "*", "*.example", "аllowed.example", "allowed。example", "é.com",
    "", ".", "..", ".a", "a..b", "a...", "-a.b", "a-.b", "a.b-", "a" * 64 + ".b", "a." * 127 + "bc",
    "[a]", "a_b\n", "\tlocalhost", "localhost ", "ｌocalhost", "\u200ba.example", "a\x7f.b",
)  # fmt: skip


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_not_the_name_of_a_host_has_no_canonical_form(name: str) -> None:
    with pytest.raises(BadName):
        canonical(name)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("xn--nxasmq6b.example", "xn--nxasmq6b.example"),
        ("a_b-c.1a", "a_b-c.1a"),
        ("a" * 63 + ".b", "a" * 63 + ".b"),
    ],
)
def test_names_are_written_one_way(name: str, form: str) -> None:
    assert canonical(name) == form


@given(st.text(max_size=40))
def test_a_canonical_name_is_plain_and_stays_what_it_is(text: str) -> None:
    try:
        form = canonical(text)
    except BadName:
        return
    assert set(form) <= set(string.ascii_lowercase + string.digits + "-_.")
    assert canonical(form) == form == canonical(form.upper() + ".")
    with pytest.raises(ValueError, match=r"."):
        ipaddress.ip_address(form)


@given(st.integers(0, 2**32 - 1))
def test_no_number_is_a_name(number: int) -> None:
    dotted = str(ipaddress.IPv4Address(number))
    octal = ".".join(f"0{int(part):o}" for part in dotted.split("."))
    mixed = ".".join(hex(int(part)) for part in dotted.split("."))
    for text in (str(number), hex(number), f"0{number:o}", dotted, octal, mixed, dotted + "."):
        with pytest.raises(BadName):
            canonical(text)


_label = st.from_regex(r"[a-z][a-z0-9]{0,6}", fullmatch=True)
_name = st.lists(_label, min_size=1, max_size=4).map(".".join)


@given(_name, _name)
def test_an_exact_entry_allows_that_name_alone(entry: str, asked: str) -> None:
    policy = policy_of("list", [f"{entry}:443"])
    assert (policy.rule(Target(asked, 443)) is not None) == (asked == entry)


@given(_name, _name)
def test_a_suffix_allows_what_is_below_it_by_whole_labels(entry: str, asked: str) -> None:
    policy = policy_of("list", [f"*.{entry}"])
    assert policy.rule(Target(f"{asked}.{entry}", 443)) is not None
    assert policy.rule(Target(f"{asked}{entry}", 443)) is None
    assert policy.rule(Target(entry, 443)) is None
    assert policy.rule(Target(f"{entry}.{asked}x", 443)) is None


@pytest.mark.parametrize("port", [1, 22, 25, 8080, 8443, 6379])
def test_other_ports_than_those_of_the_web_have_to_be_named(port: int) -> None:
    policy = policy_of("list", ["a.example", f"b.example:{port}"])
    assert policy.rule(Target("a.example", port)) is None
    assert policy.rule(Target("b.example", port)) is not None
    assert policy.rule(Target("b.example", 443)) is None
    assert policy_of("open", []).rule(Target("a.example", port)) is None


def test_an_empty_list_allows_nothing() -> None:
    for kind in ("none", "list", "registries"):
        assert policy_of(kind, []).rule(Target("a.example", 443)) is None


def test_none_allows_nothing_whatever_is_named() -> None:
    assert policy_of("none", ["a.example"]).rule(Target("a.example", 443)) is None


def test_open_does_not_mean_this_machine() -> None:
    policy = policy_of("open", [])
    assert policy.rule(Target("a.example", 443)) is not None
    assert policy.rule(Target("localhost", 80)) is None
    with pytest.raises(BadName):
        policy.target("127.0.0.1", 80)


def test_an_address_that_is_listed_is_taken_in_that_spelling_alone() -> None:
    policy = policy_of("list", ["10.1.2.3:8080", "[fd12::1]:80"])
    assert policy.rule(policy.target("10.1.2.3", 8080)) is not None
    assert policy.rule(policy.target("[FD12::1]", 80)) is not None
    assert policy.rule(policy.target("10.1.2.3", 80)) is None
    for spelling in ("10.1.2.03", "0xa.1.2.3", "167838211", "10.1.515"):
        with pytest.raises(BadName):
            policy.target(spelling, 8080)


@pytest.mark.parametrize(
    "entry",
    [
        "", "*", "*.", "a b", "https://a.example", "a.example/x", "a.example:0", "a.example:65536",
        "a.example:http", "a.example:", "*.a.example=private", "a.example=", "a.example=10.1",
        "10.0.0.0/8", "localhost", "localhost=private", "*.localhost:80", "é.example", "a@b",
        "[::1", "10.1.2.3=private", "*.10.1.2.3",
    ],
)  # fmt: skip
def test_an_entry_that_means_nothing_is_an_error_that_quotes_it(entry: str) -> None:
    with pytest.raises(UserError) as error:
        rule_of(entry)
    assert "example.com" in error.value.hint


@pytest.mark.parametrize("text", ["a", "a:", "a:b", "a:-1", "a:99999", "a: 80", "a:８0", "[::1]"])
def test_an_authority_needs_a_port_in_plain_digits(text: str) -> None:
    with pytest.raises(BadName):
        split(text)


NOT_PUBLIC = (
    "127.0.0.1", "127.255.0.1", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1",
    "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255", "100.100.100.200",
    "169.254.0.1", "169.254.169.254", "168.63.129.16", "192.0.0.192", "192.0.2.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "192.88.99.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
    "255.255.255.255", "::1", "::", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::", "2002:c0a8:101::1", "2001::1",
    "2001:0:102:304::1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fd00:ec2::254",
    "fd12:3456::1", "ff02::1", "2001:db8::1", "3fff::1", "100::1", "4000::1", "8000::1",
)  # fmt: skip


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_addresses_of_this_machine_and_its_networks_are_not_public(address: str) -> None:
    assert not is_public(unmapped(ipaddress.ip_address(address)))
    assert not permitted(unmapped(ipaddress.ip_address(address)), ())


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1", "64:ff9b::808:808", "2002:808:808::1",
     "::ffff:8.8.8.8"],
)  # fmt: skip
def test_public_addresses_are(address: str) -> None:
    assert permitted(unmapped(ipaddress.ip_address(address)), ())


@pytest.mark.parametrize(
    "entry", ["a.example=private", "a.example=169.254.0.0/16", "a.example=::/0"]
)
def test_no_entry_opens_the_metadata_of_a_cloud(entry: str) -> None:
    rule = rule_of(entry)
    for address in ("169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200", "224.0.0.1"):
        assert not permitted(ipaddress.ip_address(address), rule.within, only=rule.only)


def test_where_a_name_may_lie_is_what_its_entry_says() -> None:
    def ok(entry: str, address: str) -> bool:
        rule = rule_of(entry)
        return permitted(ipaddress.ip_address(address), rule.within, only=rule.only)

    assert ok("a.example=private", "10.1.2.3")
    assert ok("a.example=private", "8.8.8.8")
    assert not ok("a.example=private", "127.0.0.1")
    assert ok("a.example=10.1.2.0/24", "10.1.2.3")
    assert not ok("a.example=10.1.2.0/24", "10.1.3.3")
    assert not ok("a.example=10.1.2.0/24", "8.8.8.8")
    assert ok("localhost:80", "127.0.0.1")
    assert ok("localhost:80", "::1")
    assert not ok("localhost:80", "10.0.0.1")
    assert ok("a.example=mirror", "198.18.0.9")
    assert not ok("a.example=mirror", "10.0.0.1")
    assert not ok("a.example", "198.18.0.9")


def test_the_ranges_do_not_overlap() -> None:
    groups = [LOOPBACK, PRIVATE, MIRRORS]
    for at, one in enumerate(groups):
        for other in groups[at + 1 :]:
            assert not any(
                a.overlaps(b)
                for a in one
                for b in other
                if a.version == b.version  # type: ignore[arg-type]
            )


def test_allowing_a_host_makes_another_policy_and_leaves_the_first() -> None:
    before = policy_of("list", [])
    target = Target("a.example", 8443)
    after = before.allowing(target)
    assert before.rule(target) is None
    assert after.rule(target) is not None
    assert after.rule(Target("a.example", 443)) is None
    assert isinstance(after, Policy) and after.allowing(target) is after
