"""Each package manager: where its configuration lies, which hosts it names, what is needed inside.

Values that may hold a secret are never taken over: only the keys listed here, URLs without user and
password.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.sandbox.egress import installed
from agent.sandbox.egress.machine import (
    Findings,
    Machine,
    named_tables,
    strings,
    tables,
    urls_in,
    without_secrets,
)

NPMRC = "/run/agent/npmrc"
CARGO_CONFIG = "/.cargo/config.toml"

_PIP_URLS = ("index-url", "extra-index-url", "find-links")
_PIP_PLAIN = ("trusted-host", "timeout", "default-timeout", "disable-pip-version-check")
_NPM_PLAIN = (
    "strict-ssl", "audit", "fund", "update-notifier", "legacy-peer-deps", "engine-strict",
    "save-exact", "package-lock", "replace-registry-host", "omit-lockfile-registry-resolved",
    "fetch-timeout",
)  # fmt: skip
_GO_PLAIN = ("GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GONOSUMCHECK", "GOINSECURE", "GOVCS")


def pip(machine: Machine) -> Findings:
    found = Findings()
    values, sources = _pip_values(machine)
    for key in _PIP_URLS:
        urls = [without_secrets(url) for url in strings(values.get(key))]
        urls = [url for url in urls if url]
        found.named(urls, sources.get(key, ""))
        if urls:
            found.environment[f"PIP_{key.upper().replace('-', '_')}"] = " ".join(urls)
    for key in _PIP_PLAIN:
        if key in values:
            found.environment[f"PIP_{key.upper().replace('-', '_')}"] = values[key]
    if "PIP_INDEX_URL" not in found.environment:
        found.usual(*installed.pip(machine))
    return found


def _pip_values(machine: Machine) -> tuple[dict[str, str], dict[str, str]]:
    """What pip would go by, and where each value is from; the later file wins, variables most."""
    values: dict[str, str] = {}
    sources: dict[str, str] = {}
    places = [
        machine.etc("etc/xdg/pip/pip.conf"),
        machine.etc("etc/pip.conf"),
        machine.home / ".pip/pip.conf",
        machine.config("pip/pip.conf"),
    ]
    if given := machine.environment.get("PIP_CONFIG_FILE"):
        places.append(Path(given))
    for place in places:
        for section, key, value in _ini(machine.text(place)):
            if section in ("global", "install", "download"):
                values[key], sources[key] = value, str(place)
    for name, value in machine.environment.items():
        if name.startswith("PIP_") and value:
            key = name.removeprefix("PIP_").lower().replace("_", "-")
            values[key], sources[key] = value, f"${name}"
    return values, sources


def _ini(text: str) -> Iterator[tuple[str, str, str]]:
    """Section, key and value of an INI file; indented lines go on with the value before."""
    section, key, value = "", "", ""
    for line in [*text.splitlines(), "[]"]:
        if not line.strip() or line.lstrip()[0] in "#;":
            continue
        if line[0].isspace() and key:
            value = f"{value} {line.strip()}".strip()
            continue
        if key:
            yield section, key, value
        key = ""
        if line.startswith("["):
            section = line.strip("[] \t").lower()
        else:
            name, _, value = line.partition("=")
            key, value = name.strip().lower().replace("_", "-"), value.strip()


def pip_certificate(machine: Machine) -> str:
    """The file of certificates that pip is told to trust."""
    return _pip_values(machine)[0].get("cert", "")


def uv(machine: Machine) -> Findings:
    found = Findings()
    place = machine.config("uv/uv.toml")
    table = machine.table(place)
    pip_table = tables([table.get("pip")])
    urls = [u for t in (table, *pip_table) for k in _PIP_URLS for u in strings(t.get(k))]
    indexes = tables(table.get("index"))
    urls += [u for index in indexes for u in strings(index.get("url"))]
    found.named(urls, str(place))
    first = [i.get("url") for i in indexes if i.get("default")] or [table.get("index-url")]
    more = [i.get("url") for i in indexes if not i.get("default")]
    for name, wanted in (("UV_DEFAULT_INDEX", first), ("UV_INDEX", more)):
        given = machine.environment.get(name, "").split() or [u for w in wanted for u in strings(w)]
        kept = [url for url in map(without_secrets, given) if url]
        if kept:
            found.environment[name] = " ".join(kept)
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"):
        found.named(machine.environment.get(name, "").split(), f"${name}")
    for name in ("UV_INDEX_URL", "UV_EXTRA_INDEX_URL"):
        kept = [u for u in map(without_secrets, machine.environment.get(name, "").split()) if u]
        if kept:
            found.environment[name] = " ".join(kept)
    return found


def npm(machine: Machine) -> Findings:
    found = Findings()
    values, sources = _npm_values(machine)
    lines: list[str] = []
    for key, value in values.items():
        if key == "registry" or (key.startswith("@") and key.endswith(":registry")):
            url = without_secrets(value)
            if url:
                found.named([url], sources[key])
                lines.append(f"{key}={url}")
        elif key in _NPM_PLAIN and re.fullmatch(r"[A-Za-z0-9]+", value):
            lines.append(f"{key}={value}")
    if "registry" not in values:
        found.usual(*installed.npm(machine))
    found.files[NPMRC] = "".join(f"{line}\n" for line in lines).encode()
    found.environment["NPM_CONFIG_GLOBALCONFIG"] = NPMRC
    return found


def _npm_values(machine: Machine) -> tuple[dict[str, str], dict[str, str]]:
    values: dict[str, str] = {}
    sources: dict[str, str] = {}
    given = machine.environment.get
    user = given("NPM_CONFIG_USERCONFIG") or given("npm_config_userconfig")
    places = [
        *(machine.etc(f"{prefix}/npmrc") for prefix in ("usr/etc", "usr/local/etc", "etc")),
        Path(user) if user else machine.home / ".npmrc",
    ]
    for place in places:
        for line in machine.text(place).splitlines():
            name, equals, value = line.partition("=")
            # A variable in a value is how tokens are kept out of the file.
            if equals and "${" not in value and not line.lstrip().startswith(("#", ";")):
                values[name.strip()] = value.strip().strip('"')
                sources[name.strip()] = str(place)
    for name, value in machine.environment.items():
        if name.lower().startswith("npm_config_") and value:
            key = name[len("npm_config_") :].lower().replace("_", "-")
            values[key], sources[key] = value, f"${name}"
    return values, sources


def npm_certificate(machine: Machine) -> str:
    """The file of certificates that npm is told to trust."""
    return _npm_values(machine)[0].get("cafile", "")


def cargo(machine: Machine) -> Findings:
    found = Findings()
    given = machine.environment.get("CARGO_HOME")
    folder = Path(given) if given else machine.home / ".cargo"
    place = folder / "config.toml"
    table = machine.table(place) or machine.table(folder / "config")
    kept: list[str] = []
    replaced = False
    for kind, key in (("source", "registry"), ("registries", "index")):
        for name, wanted in named_tables(table.get(kind)):
            lines = [f"[{kind}.{json.dumps(name)}]"]
            if url := without_secrets(str(wanted.get(key, ""))):
                found.named([url], str(place))
                lines.append(f"{key} = {json.dumps(url)}")
            if isinstance(wanted.get("replace-with"), str):
                replaced = replaced or name == "crates-io"
                lines.append(f"replace-with = {json.dumps(wanted['replace-with'])}")
            if len(lines) > 1:
                kept += lines
    if kept:
        found.files[CARGO_CONFIG] = "".join(f"{line}\n" for line in kept).encode()
    if not replaced:
        found.usual(*installed.cargo(machine, str(folder)))
    return found


def go(machine: Machine) -> Findings:
    found = Findings()
    place = machine.environment.get("GOENV") or str(machine.config("go/env"))
    values = dict(
        line.split("=", 1) for line in machine.text(Path(place)).splitlines() if "=" in line
    )
    values |= {k: v for k, v in machine.environment.items() if k.startswith("GO") and v}
    proxies = re.split(r"[,|]", values.get("GOPROXY", ""))
    if values.get("GOPROXY"):
        found.named([p for p in proxies if "://" in p], "GOPROXY")
        shown = [p if "://" not in p else without_secrets(p) for p in proxies]
        found.environment["GOPROXY"] = ",".join(p for p in shown if p)
    sums = values.get("GOSUMDB", "")
    found.named(list(urls_in(sums)), "GOSUMDB")
    if not values.get("GOPROXY") or not sums:
        found.usual(*installed.go(machine))
    if sums and "@" not in sums:
        found.environment["GOSUMDB"] = sums
    found.environment |= {name: values[name] for name in _GO_PLAIN if values.get(name)}
    return found


def apt(machine: Machine) -> Findings:
    found = Findings()
    folder = machine.etc("etc/apt/sources.list.d")
    parts = [p for p in machine.below(folder) if p.suffix in (".list", ".sources")]
    for place in [machine.etc("etc/apt/sources.list"), *parts]:
        lines = machine.text(place).splitlines()
        text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
        found.named(urls_in(text), str(place))
    return found


def gem(machine: Machine) -> Findings:
    found = Findings()
    place = machine.home / ".gemrc"
    urls = list(urls_in(machine.text(place)))
    found.named(urls, str(place))
    if not urls:
        found.usual(*installed.gem(machine))
    return found


def maven(machine: Machine) -> Findings:
    found = Findings()
    place = machine.home / ".m2/settings.xml"
    urls = re.findall(r"<url>\s*([^<\s]+)\s*</url>", machine.text(place))
    found.named(urls, str(place))
    return found


MANAGERS: dict[str, Callable[[Machine], Findings]] = {
    "pip": pip,
    "uv": uv,
    "npm": npm,
    "cargo": cargo,
    "go": go,
    "apt": apt,
    "gem": gem,
    "maven": maven,
}
