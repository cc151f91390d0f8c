"""What the user's own configuration says about package registries, and what of it goes inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.errors import UserError
from agent.sandbox.egress import installed, registries
from agent.sandbox.egress.machine import Machine, certificates, entry_of, without_secrets
from agent.sandbox.egress.managers import CARGO_CONFIG, NPMRC
from agent.sandbox.egress.names import rule_of

CERT = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
SECRET = "s3cret"


class User:
    """A machine of somebody, with files and variables."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.home = folder / "home"
        self.variables: dict[str, str] = {}

    def write(self, path: str, text: str) -> str:
        place = self.home / path[2:] if path.startswith("~/") else self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return str(place)

    def read(self) -> registries.Registries:
        return registries.read(Machine(self.variables, self.home, self.root))

    def install(self) -> None:
        """Package managers, with the lines of theirs that name what they use by default."""
        pip = 'PyPI = PackageIndex(\n    "https://pip.test/", file_storage_domain="files.test"\n)\n'
        trial = pip.replace("pip.test", "trial.test")
        place = "usr/lib/python3/dist-packages/pip/_internal/models/index.py"
        self.write(place, pip + trial)
        self.write(
            "usr/lib/node_modules/npm/node_modules/@npmcli/config/lib/definitions/definitions.js",
            "define('proxy', {\n  default: 'https://no.test/',\n})\n"
            "const registry = new Definition('registry', {\n  default: 'https://npm.test/',\n",
        )
        self.write("usr/local/go/go.env", "GOPROXY=https://go.test,direct\nGOSUMDB=sum.go.test\n")
        self.write("usr/lib/ruby/3.1.0/rubygems.rb", '  DEFAULT_HOST = "https://gem.test"\n')
        self.write(
            "~/.cargo/registry/index/index.cargo.test-6f17d22bba15001f/config.json",
            '{"dl": "https://static.cargo.test/crates", "api": "https://cargo.test"}',
        )


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)


def test_without_any_configuration_what_the_tools_use_by_default_is_meant(user: User) -> None:
    user.install()
    found = user.read()
    assert found.hosts == tuple(
        f"{name}=mirror"
        for name in (
            "pip.test", "files.test", "npm.test", "index.cargo.test", "static.cargo.test",
            "cargo.test", "go.test", "sum.go.test", "gem.test", "index.gem.test",
        )
    )  # fmt: skip
    assert {one.source for _, one in found.found} == {"default"}
    for host in found.hosts:
        assert not rule_of(host).suffix


def test_what_is_not_installed_is_not_allowed_for(user: User) -> None:
    assert user.read().hosts == ()


def test_this_npm_says_what_it_uses(user: User) -> None:
    npm = Path("/usr/lib/node_modules/npm")
    if not npm.is_dir():
        pytest.skip("npm is not installed in /usr")
    assert len(installed.npm(Machine({}, user.home))) == 1


def test_pip_from_files_and_variables_the_nearer_one_wins(user: User) -> None:
    user.install()
    user.write("etc/pip.conf", "[global]\nindex-url = https://system.corp/simple\ntimeout = 7\n")
    user.write(
        "~/.config/pip/pip.conf",
        f"[global]\nindex-url = https://me:{SECRET}@user.corp:8443/simple\n"
        "extra-index-url =\n    https://one.corp/simple\n    file:///srv/index\n",
    )
    found = user.read()
    assert "user.corp:8443=private" in found.hosts
    assert "one.corp=private" in found.hosts
    assert not [h for h in found.hosts if "system.corp" in h or "pip.test" in h]
    assert found.inside.environment["PIP_INDEX_URL"] == "https://user.corp:8443/simple"
    assert found.inside.environment["PIP_EXTRA_INDEX_URL"] == "https://one.corp/simple"
    assert found.inside.environment["PIP_TIMEOUT"] == "7"
    user.variables["PIP_INDEX_URL"] = "http://10.1.2.3:3141/root"
    found = user.read()
    assert "10.1.2.3:3141" in found.hosts
    assert found.inside.environment["PIP_INDEX_URL"] == "http://10.1.2.3:3141/root"


def test_npm_with_scopes_and_a_token(user: User) -> None:
    user.install()
    user.write(
        "~/.npmrc",
        f"registry=https://npm.corp/\n@me:registry = https://scope.corp/npm/\n"
        f"//npm.corp/:_authToken={SECRET}\n_auth={SECRET}\n//x/:_password={SECRET}\n"
        f"proxy=http://u:{SECRET}@p\naudit=false\nfund=${{{SECRET}}}\nemail={SECRET}\n",
    )
    found = user.read()
    assert {"npm.corp=private", "scope.corp=private"} <= set(found.hosts)
    assert not [h for h in found.hosts if "npm.test" in h]
    assert found.inside.files[NPMRC].decode().splitlines() == [
        "registry=https://npm.corp/", "@me:registry=https://scope.corp/npm/", "audit=false",
    ]  # fmt: skip


def test_a_registry_on_this_machine_is_its_port_on_localhost(user: User) -> None:
    user.variables["npm_config_registry"] = "http://localhost:4873/"
    assert "localhost:4873" in user.read().hosts
    user.variables["npm_config_registry"] = "http://127.0.0.1:4873/"
    assert "localhost:4873" in user.read().hosts


def test_cargo_with_a_mirror_and_a_private_registry(user: User) -> None:
    user.install()
    user.write("~/.cargo/config.toml",
               '[source.crates-io]\nreplace-with = "mirror"\n'
               f'[source.mirror]\nregistry = "sparse+https://me:{SECRET}@crates.corp/index/"\n'
               '[registries.mine]\nindex = "https://git.corp/index.git"\n'
               f'token = "{SECRET}"\n[build]\nrustc-wrapper = "/home/me/evil"\n')  # fmt: skip
    found = user.read()
    assert {"crates.corp=private", "git.corp=private"} <= set(found.hosts)
    assert not [h for h in found.hosts if "cargo.test" in h]
    config = found.inside.files[CARGO_CONFIG].decode()
    assert 'registry = "sparse+https://crates.corp/index/"' in config
    assert "build" not in config


def test_go_apt_gem_maven_and_uv(user: User) -> None:
    user.variables |= {"GOPROXY": f"https://u:{SECRET}@go.corp|direct", "GOPRIVATE": "corp/*"}
    user.write(
        "etc/apt/sources.list", "# deb http://old.corp/ x\ndeb http://apt.corp/debian x main\n"
    )
    user.write("etc/apt/sources.list.d/a.sources", "Types: deb\nURIs: https://b.corp/x\n")
    user.write("etc/apt/sources.list.d/a.list.disabled", "deb http://off.corp/ x\n")
    user.write("~/.gemrc", f":sources:\n- https://u:{SECRET}@gems.corp/\n")
    user.write("~/.m2/settings.xml", "<mirror><url> https://maven.corp/repo </url></mirror>")
    user.write(
        "~/.config/uv/uv.toml", '[[index]]\nurl = "https://uv.corp/simple"\ndefault = true\n'
    )
    found = user.read()
    expected = {f"{n}.corp=private" for n in ("go", "apt", "b", "gems", "maven", "uv")}
    assert expected <= set(found.hosts)
    assert not [h for h in found.hosts if "old" in h or "off.corp" in h]
    assert found.inside.environment["GOPROXY"] == "https://go.corp,direct"
    assert found.inside.environment["GOPRIVATE"] == "corp/*"
    assert found.inside.environment["UV_DEFAULT_INDEX"] == "https://uv.corp/simple"


def test_nothing_secret_is_carried_over_from_any_of_it(user: User) -> None:
    test_npm_with_scopes_and_a_token(user)
    test_cargo_with_a_mirror_and_a_private_registry(user)
    test_go_apt_gem_maven_and_uv(user)
    user.variables |= {
        "PIP_INDEX_URL": f"https://{SECRET}:{SECRET}@pip.corp/simple?token={SECRET}#{SECRET}",
        "UV_INDEX_URL": f"https://{SECRET}@uv.corp/simple",
        "NPM_CONFIG__AUTH": SECRET,
        "npm_config_//npm.corp/:_authToken": SECRET,
        "PIP_PROXY": f"http://u:{SECRET}@p",
        "PIP_CLIENT_CERT": user.write("~/client.pem", KEY + CERT),
        "HTTPS_PROXY": f"http://u:{SECRET}@p:1",
        "TWINE_PASSWORD": SECRET,
        "CARGO_REGISTRY_TOKEN": SECRET,
    }
    found = user.read()
    carried = repr((found.hosts, found.inside.environment, found.inside.files))
    assert SECRET not in carried
    assert "c2VjcmV0" not in carried


def test_certificates_to_trust_are_carried_without_the_keys_beside_them(user: User) -> None:
    bundle = user.write("~/ca.pem", KEY + CERT + "comment\n" + CERT)
    user.write("~/.npmrc", f"cafile={bundle}\n")
    user.write("etc/pip.conf", f"[global]\ncert = {bundle}\n")
    user.variables |= {
        "NODE_EXTRA_CA_CERTS": bundle,
        "SSL_CERT_FILE": "/none",
        "CURL_CA_BUNDLE": "",
    }
    found = user.read()
    place = found.inside.environment["PIP_CERT"]
    assert found.inside.files[place].decode() == CERT * 2
    assert found.inside.environment["NODE_EXTRA_CA_CERTS"] == place
    assert "SSL_CERT_FILE" not in found.inside.environment
    assert found.inside.files[NPMRC] == f"cafile={place}\n".encode()


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[x\ny", "=", "\0\0", "[global]\nindex-url = ::/\n"]
)
def test_a_broken_file_is_as_good_as_none(user: User, text: str) -> None:
    for path in (
        *("etc/pip.conf", "etc/apt/sources.list", "~/.npmrc", "~/.gemrc", "~/.m2/settings.xml"),
        *("~/.cargo/config.toml", "~/.config/uv/uv.toml", "~/.config/go/env"),
    ):
        user.write(path, text)
    user.install()
    assert {name for name, _ in user.read().found} >= {"pip", "npm", "cargo", "go"}


def test_a_configuration_cannot_allow_more_than_the_hosts_it_names(user: User) -> None:
    user.variables["PIP_EXTRA_INDEX_URL"] = (
        "https://*.corp/ https://*/ https://a.corp:0/ http://169.254.169.254/latest/ https://é.corp/"
    )
    for host in user.read().hosts:
        rule = rule_of(host)
        assert not rule.suffix
        assert "*" not in host


@pytest.mark.parametrize(
    ("url", "entry"),
    [
        ("https://a.corp/x", "a.corp=private"),
        ("http://a.corp:8081/", "a.corp:8081=private"),
        ("sparse+https://a.corp/", "a.corp=private"),
        ("https://u:p@a.corp/", "a.corp=private"),
        ("https://[fd12::1]/", "[fd12::1]:443"),
        ("git+ssh://a.corp/", ""),
        ("file:///srv", ""),
        ("https:///x", ""),
        ("https://a.corp:99999/", ""),
    ],
)
def test_the_entry_for_a_url(url: str, entry: str) -> None:
    assert entry_of(url) == entry


def test_a_url_without_secrets() -> None:
    assert without_secrets("https://u:p@a.corp:8443/x?t=1#f") == "https://a.corp:8443/x"
    assert without_secrets("sparse+https://t@a.corp/x/") == "sparse+https://a.corp/x/"
    assert without_secrets("ssh://git@a.corp/x") == ""
    assert certificates(KEY) == b""


def test_the_policy_takes_what_was_found(user: User) -> None:
    for host in user.read().hosts:
        try:
            rule_of(host)
        except UserError as error:  # pragma: no cover
            pytest.fail(error.message)
