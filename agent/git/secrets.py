"""Which untracked files look like secrets, by name alone. Tracked files are the user's decision."""

from __future__ import annotations

from fnmatch import fnmatchcase


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_PATTERNS = _words("""
.env .env.* *.env .envrc
*.pem *.key *.p12 *.pfx *.jks *.keystore *.kdbx *.ppk *.asc *.gpg
id_rsa* id_dsa* id_ecdsa* id_ed25519* *.kubeconfig kubeconfig
.netrc _netrc .git-credentials .npmrc .pypirc .pgpass .my.cnf .htpasswd .dockercfg
credentials credentials.* *-credentials.json *_credentials.json client_secret*.json
secrets secrets.* *.secret *.secrets service-account*.json service_account*.json *.tfvars
""")

_HARMLESS = _words("""
.env.example .env.*.example .env.sample .env.*.sample .env.template .env.*.template .env.dist
.env.defaults *.pub *.tfvars.example *.py *.js *.ts *.go *.rs *.rb *.java *.c *.h *.md *.html
""")

_PLACES = (".ssh", ".gnupg", ".aws", ".azure", ".kube")


def name_pattern() -> str:
    """An extended regular expression that fits every path `looks_secret` may say yes to."""
    names = "|".join(p.replace(".", r"\.").replace("*", "[^/]*") for p in _PATTERNS)
    places = "|".join(place.replace(".", r"\.") for place in _PLACES)
    return f"(^|/)({names})$|(^|/)({places})/"


def looks_secret(name: bytes) -> bool:
    """Whether a path, relative to the root, has the name of a secret."""
    *places, last = name.decode("utf-8", "replace").lower().split("/")
    if any(place in _PLACES for place in places):
        return True
    if any(fnmatchcase(last, pattern) for pattern in _HARMLESS):
        return False
    return any(fnmatchcase(last, pattern) for pattern in _PATTERNS)
