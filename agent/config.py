"""Settings from four places, the later winning: user file, repository file, environment, flags.

The repository is input, not authority: its file may only narrow what the agent may do. A key that
is not known is an error with its file, its path and the nearest known one, wherever it stands.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import msgspec

from agent.core.errors import ConfigError, UserError
from agent.core.limits import COMPACT_AT, IDLE_MINUTES, MAP_TOKENS, SEED_FILE_MAX_BYTES, STEPS_MAX
from agent.host import env, files

USER_FILE = "config.yml"
REPOSITORY_FILE = ".glovebox.yml"
PREFIX = "GLOVEBOX_"
_MAX_BYTES = 1_000_000

Network = Literal["none", "list", "registries", "open"]
Effort = Literal["", "none", "minimal", "low", "medium", "high", "xhigh"]
NETWORKS: tuple[Network, ...] = ("none", "list", "registries", "open")
"""What a sandbox may reach, from nothing on; each allows all that the one before it does."""
DEFAULT_NETWORK: Network = "registries"


class Allowance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a sandbox may use at most. Sizes are bytes or words such as `4GB`; 0 is the default."""

    memory: int | str = 0
    disk: int | str = 0
    processes: int = 0
    open_files: int = 0
    files: int = 0
    cpus: float = 0.0

    def __post_init__(self) -> None:
        if min(size_of(self.memory), size_of(self.disk), self.processes, self.cpus) < 0:
            raise ValueError("a limit cannot be below 0")


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model costs: US dollars per million tokens; without `cached` all cost `prompt`."""

    prompt: Annotated[float, msgspec.Meta(ge=0)]
    completion: Annotated[float, msgspec.Meta(ge=0)]
    cached: Annotated[float, msgspec.Meta(ge=0)] | None = None


Amount = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Brake(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one level may spend: US dollars, tokens, model requests, time; None is no limit."""

    cost: Amount | None = None
    tokens: Count | None = None
    steps: Count | None = None
    seconds: Amount | None = None
    sandbox_seconds: Amount | None = None


class Budgets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of each turn, of each session, and of sessions that were begun together."""

    turn: Brake = msgspec.field(default_factory=Brake)
    session: Brake = msgspec.field(default_factory=Brake)
    tree: Brake = msgspec.field(default_factory=Brake)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set. Every field is a key of the files, a `GLOVEBOX_` variable and a flag."""

    model: str = ""
    sandbox: str = "auto"
    network: Network | None = None
    allow_hosts: tuple[str, ...] = ()
    image: str = ""
    engine: str = ""
    steps: int = STEPS_MAX
    max_cost: Amount | None = None
    max_tokens: Count | None = None
    max_turns: Count | None = None
    deadline: Amount | None = None
    budgets: Budgets = msgspec.field(default_factory=Budgets)
    test_cmd: str = ""
    lint_cmd: str = ""
    until: str = ""
    tries: Count | None = None
    weak_model: str = ""
    editor_model: str = ""
    fallback: tuple[str, ...] = ()
    effort: Effort = ""
    tools: Literal["auto", "native", "text"] = "auto"
    prices: dict[str, Rates] = msgspec.field(default_factory=dict[str, Rates])
    commit_author: str = ""
    commit_trailer: str = ""
    history: int | Literal["auto", "all"] = "auto"
    uncommitted: bool = True
    largest_file: int | str = SEED_FILE_MAX_BYTES
    not_secret: tuple[str, ...] = ()
    limits: Allowance = msgspec.field(default_factory=Allowance)
    map_tokens: int = MAP_TOKENS
    idle: float = IDLE_MINUTES
    notes: bool = True
    markdown: bool = True
    vi: bool = False
    notify: str = ""
    servers: dict[str, bool | str | tuple[str, ...]] = msgspec.field(
        default_factory=dict[str, bool | str | tuple[str, ...]]
    )
    window: Annotated[int, msgspec.Meta(ge=0)] = 0
    compact_at: Annotated[float, msgspec.Meta(ge=0.3, le=0.95)] = COMPACT_AT
    options: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


_VALUES = {
    "network": ", ".join(NETWORKS),
    "steps": "a whole number from 1 on",
    "max_cost": "US dollars",
    "max_tokens": "a whole number",
    "max_turns": "a whole number",
    "deadline": "seconds",
    "budgets": f"turn, session and tree, each with {', '.join(Brake.__struct_fields__)}",
    "tries": "how often a check that fails is told to the model",
    "idle": "minutes after which a sandbox that nobody uses is stopped; 0 never stops it",
    "map_tokens": "a whole number; 0 gives the model no map of the repository",
    "notes": "true or false: whether the model is given AGENTS.md and the like",
    "markdown": "true or false: whether replies in the conversation are shown as Markdown",
    "vi": "true or false: whether the prompt has the keys of vi",
    "notify": "bell, or a command of yours for when a long turn is over; it is told what there is",
    "servers": "for each language the words of a command that is in the sandbox, such as"
    " `python: [ty, server]`, or off",
    "window": "how many tokens the model takes; 0 for what is known of it",
    "compact_at": "a share of the window from 0.3 to 0.95",
    "fallback": "a list of models, asked in turn when the one before does not answer",
    "effort": "none, minimal, low, medium, high or xhigh",
    "tools": "auto, native, or text for a model that cannot call tools",
    "prices": "for each model `prompt`, `completion` and perhaps `cached`, in dollars per million",
    "commit_author": "`Name <address>`",
    "commit_trailer": "a line such as `Co-authored-by: Name <address>`",
    "allow_hosts": "a list of hosts",
    "history": "auto, all, or a number of commits from 1 on",
    "uncommitted": "true or false",
    "largest_file": "a size such as 50MB",
    "not_secret": "a list of patterns such as tests/keys/*.pem",
    "limits": f"{', '.join(Allowance.__struct_fields__)}; for the first two sizes such as 4GB",
}
_AUTHOR = re.compile(r"[^<>\n\0]+ <[^<>\s\0]*>")
_TRAILER = re.compile(r"[A-Za-z][A-Za-z0-9-]*: [^\n\0]+")
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
          "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}  # fmt: skip
LANGUAGES = (
    *("bash", "c", "c-sharp", "cpp", "css", "go", "html", "java", "javascript", "json", "kotlin"),
    *("php", "python", "ruby", "rust", "toml", "tsx", "typescript", "yaml"),
)
"""What the code tools inside call the languages they know; a test holds them to it."""
KEYS = Settings.__struct_fields__


def size_of(words: int | str) -> int:
    """Bytes, of a number or of words such as `512MB` and `4 GiB`. Raises `ValueError`."""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", str(words))
    unit = found[2].upper() if found else ""
    unit = f"{unit}B" if unit in ("K", "M", "G", "T") else unit
    if found is None or unit not in _UNITS:
        raise ValueError(f"`{words}` is not a size such as 512MB or 4GB")
    return int(float(found[1]) * _UNITS[unit])


def servers_of(wanted: Mapping[str, bool | str | tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The command of each language's server, no words where there is to be none.

    Raises `ValueError`.
    """
    found: dict[str, tuple[str, ...]] = {}
    for language, value in wanted.items():
        if language not in LANGUAGES:
            close = difflib.get_close_matches(language, LANGUAGES, n=1)
            known = f"did you mean `{close[0]}`?" if close else f"known: {', '.join(LANGUAGES)}"
            raise ValueError(f"there is no language `{language}`; {known}")
        if value is False or value == "off":
            found[language] = ()
            continue
        try:
            words = shlex.split(value) if isinstance(value, str) else value
        except ValueError as error:
            raise ValueError(f"the command of `{language}` cannot be read: {error}") from None
        if words is True or not words or not all(words) or any("\0" in word for word in words):
            raise ValueError(f"`{language}` needs the words of a command, or off")
        found[language] = tuple(words)
    return found


def load(directory: Path, flags: Mapping[str, Any]) -> Settings:
    """The settings that hold for a repository. Raises `ConfigError` naming file and key."""
    merged: dict[str, Any] = {}
    user = env.config_dir() / USER_FILE
    named: list[str] = []
    merged |= _checked(_read(user), str(user))
    named += _hosts(merged)
    repository = (files.enclosing(directory, ".git") or directory) / REPOSITORY_FILE
    _narrow(merged, _checked(_read(repository), str(repository)), str(repository))
    merged |= _checked(_environment(), "the environment")
    named += _hosts(merged)
    given = {k: v for k, v in flags.items() if v is not None}
    _typed(given, "the command line")
    named += _hosts(given)
    # Hosts add up: naming one more does not take back those named before.
    merged |= given | {"allow_hosts": list(dict.fromkeys(named))}
    return _typed(merged, "the merged configuration")


def _hosts(values: Mapping[str, Any]) -> list[str]:
    return [str(host) for host in values.get("allow_hosts") or ()]


def narrower(one: str, other: str) -> str:
    """The one of two network policies that allows less."""
    return min(one, other, key=tuple(map(str, NETWORKS)).index)


def _read(path: Path) -> dict[str, Any]:
    if not files.exists(path):
        return {}
    import yaml

    try:
        loaded: Any = yaml.safe_load(files.read_text(path, limit=_MAX_BYTES))
    except yaml.YAMLError as error:
        raise ConfigError(f"`{path}` is not valid YAML: {error}", file=str(path)) from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(
            f"`{path}` must hold keys and values", f"known keys: {', '.join(KEYS)}", file=str(path)
        )
    return {str(k): v for k, v in cast("dict[Any, Any]", loaded).items()}


def _environment() -> dict[str, Any]:
    found: dict[str, Any] = {
        name.removeprefix(PREFIX).lower(): value for name, value in env.variables(PREFIX).items()
    }
    for key in {"allow_hosts", "not_secret", "fallback"} & set(found):
        found[key] = found[key].replace(",", " ").split()
    if "limits" in found:
        pairs = found["limits"].replace(",", " ").split()
        found["limits"] = {name: value for name, _, value in (p.partition("=") for p in pairs)}
    if "servers" in found:
        pairs = [pair.strip() for pair in found["servers"].split(",") if pair.strip()]
        found["servers"] = {name: value for name, _, value in (p.partition("=") for p in pairs)}
    if "budgets" in found:
        levels: dict[str, dict[str, str]] = {}
        for name, _, value in (
            p.partition("=") for p in found["budgets"].replace(",", " ").split()
        ):
            level, _, key = name.partition(".")
            levels.setdefault(level, {})[key] = value
        found["budgets"] = levels
    return found


def _checked(values: dict[str, Any], source: str) -> dict[str, Any]:
    for key in values:
        if key not in KEYS:
            raise ConfigError(_unknown(key, source), _suggestion(key), file=source, key=key)
    _typed(values, source)
    return values


def _unknown(key: str, source: str) -> str:
    shown = f"{PREFIX}{key.upper()}" if source == "the environment" else key
    return f"unknown key `{shown}` in {_named(source)}"


def _named(source: str) -> str:
    return source if source.startswith("the ") else f"`{source}`"


def _suggestion(key: str) -> str:
    close = difflib.get_close_matches(key, KEYS, n=1)
    return f"did you mean `{close[0]}`?" if close else f"known keys: {', '.join(KEYS)}"


def _typed(values: Mapping[str, Any], source: str) -> Settings:
    try:
        settings = msgspec.convert(dict(values), Settings, strict=False)
    except msgspec.ValidationError as error:
        text = str(error)
        key = text.rpartition("`$.")[2].rstrip("`") if "`$." in text else ""
        what = text.partition(" - at ")[0]
        raise ConfigError(
            f"`{key}` in {_named(source)} does not fit: {what}",
            f"it takes: {allowed}" if (allowed := _VALUES.get(key)) else f"mend `{key}` there",
            file=source,
            key=key,
        ) from error
    worded = (("commit_author", settings.commit_author, _AUTHOR),
              ("commit_trailer", settings.commit_trailer, _TRAILER))  # fmt: skip
    for key, value, form in worded:
        if value and not form.fullmatch(value):
            what = f"`{key}` in {_named(source)} does not fit: `{value}`"
            raise ConfigError(what, f"it takes: {_VALUES[key]}", file=source, key=key)
    for key, number in (("steps", settings.steps), ("history", settings.history)):
        if isinstance(number, int) and number < 1:
            raise ConfigError(f"`{key}` in {_named(source)} must be at least 1", key=key)
    read = {
        "largest_file": lambda: size_of(settings.largest_file),
        "servers": lambda: servers_of(settings.servers),
        "notify": lambda: shlex.split(settings.notify),
    }
    for key, it in read.items():
        try:
            it()
        except ValueError as error:
            what = f"`{key}` in {_named(source)} does not fit: {error}"
            hint = f"it takes: {_VALUES[key]}"
            raise ConfigError(what, hint, file=source, key=key) from error
    return settings


def _narrow(merged: dict[str, Any], wanted: Mapping[str, Any], source: str) -> None:
    """Let the repository's file lower limits; anything else in it is refused, not skipped."""
    for key, value in wanted.items():
        if key in _LOWERED:
            merged[key] = _lower(value, merged.get(key, STEPS_MAX if key == "steps" else None))
        elif key == "network" and narrower(str(value), _network(merged)) == value:
            merged[key] = value
        else:
            raise ConfigError(
                f"`{key}` in `{source}` is not the repository's to set; it may only narrow",
                f"set it in `{env.config_dir() / USER_FILE}` instead",
                file=source,
                key=key,
            )


_LOWERED = ("steps", "max_cost", "max_tokens", "max_turns", "deadline", "budgets")
"""Keys whose smaller value allows less; None is no limit."""


def _lower(one: Any, other: Any) -> Any:
    """The lower of two limits, name by name where they have names. Both are known to be valid."""
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, dict) or isinstance(other, dict):
        names = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        return {
            name: _lower(*(each.get(name) for each in names)) for name in {**names[0], **names[1]}
        }
    return min(float(one), float(other), key=float)


def _network(merged: Mapping[str, Any]) -> str:
    return str(merged.get("network") or DEFAULT_NETWORK)


def shown(settings: Settings, key: str) -> str:
    """What a key is set to, as it would stand in a file."""
    return str(msgspec.structs.asdict(settings)[key])


def require_model(settings: Settings) -> str:
    """The chosen model. Raises `UserError` with the ways to choose one."""
    if not settings.model:
        raise UserError(
            "no model is chosen",
            "give one with `--model PROVIDER/NAME`, in GLOVEBOX_MODEL, or as `model:` in "
            f"`{env.config_dir() / USER_FILE}`; `glovebox demo` works without one",
        )
    return settings.model
