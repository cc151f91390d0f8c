"""The room table as data. A breach fails the build with file and line.

The check reads source. It is a guard-rail against slips; the wall against malice is the sandbox.
To give a room something new, change this file: that is where a reviewer looks for it.
"""

from __future__ import annotations

from dataclasses import dataclass


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


HOST = "host"  # os, subprocess, open(), pathlib's I/O, sockets: everything that reaches the machine
TERMINAL = "terminal"  # print and the standard streams
SIGNALS = "signals"
PATHS = "paths"  # pathlib.Path as a name for a place, without its I/O
RESOLVE = "resolve"  # make what a person typed absolute


@dataclass(frozen=True)
class Room:
    """A package or module of ours; the longest name that fits a file is its room.

    `imports` are the rooms it may import besides itself, `may` what it may do.
    """

    name: str
    imports: tuple[str, ...] = ()
    may: tuple[str, ...] = ()


_PORTS = ("agent.llm.protocol", "agent.sandbox.protocol", "agent.tools.base")
_LOWER = (
    "agent",
    "agent.config",
    "agent.core",
    "agent.git",
    "agent.host",
    "agent.llm",
    "agent.loop",
    "agent.plugins",
    "agent.prompting",
    "agent.sandbox",
    "agent.session",
    "agent.tools",
    *_PORTS,
)

ROOMS = (
    Room("agent"),
    Room("agent.__main__", ("agent", "agent.cli"), (TERMINAL,)),
    Room("agent.core"),
    Room("agent.toolbox", (), (HOST, TERMINAL, PATHS, SIGNALS)),
    Room("agent.attacks", (), (HOST, TERMINAL, PATHS, SIGNALS)),
    Room("agent.host", ("agent.core",), (HOST, TERMINAL, PATHS, SIGNALS)),
    Room("agent.llm.protocol", ("agent.core",)),
    Room("agent.sandbox.protocol", ("agent.core",)),
    Room("agent.llm.redact", ("agent.core",)),
    Room(
        "agent.llm",
        ("agent.core", "agent.host", "agent.llm.protocol", "agent.llm.redact"),
        (PATHS,),
    ),
    Room("agent.sandbox", ("agent.core", "agent.host", "agent.sandbox.protocol"), (PATHS,)),
    Room("agent.tools.base", ("agent.core", "agent.sandbox.protocol")),
    Room("agent.tools", ("agent.core", "agent.sandbox.protocol", "agent.tools.base")),
    Room("agent.prompting", ("agent.core", "agent.sandbox.protocol")),
    Room("agent.git", ("agent.core", "agent.host", "agent.sandbox.protocol"), (PATHS,)),
    Room("agent.loop", ("agent.core", "agent.llm.protocol", "agent.tools.base")),
    Room("agent.plugins", ("agent.core", "agent.tools.base", "agent.sandbox.protocol"), (PATHS,)),
    Room(
        "agent.session",
        ("agent.core", "agent.host", "agent.loop", "agent.llm.protocol", "agent.tools.base"),
        (PATHS,),
    ),
    Room(
        "agent.doctor",
        ("agent.core", "agent.config", "agent.host", "agent.sandbox", "agent.sandbox.protocol"),
        (PATHS,),
    ),
    Room("agent.config", ("agent.core", "agent.host"), (PATHS,)),
    Room(
        "agent.workplace",
        (
            "agent.core",
            "agent.git",
            "agent.sandbox.protocol",
            "agent.session",
            "agent.tools.base",
        ),
    ),
    Room(
        "agent.upkeep",
        (
            "agent.core",
            "agent.git",
            "agent.host",
            "agent.sandbox",
            "agent.sandbox.protocol",
            "agent.session",
        ),
        (PATHS,),
    ),
    Room(
        "agent.whereabouts",
        ("agent.core", "agent.git", "agent.host", "agent.session"),
        (PATHS,),
    ),
    Room(
        "agent.outcome",
        ("agent.core", "agent.git", "agent.host", "agent.llm.redact", "agent.session"),
        (PATHS,),
    ),
    Room(
        "agent.mirrors",
        ("agent.core", "agent.git", "agent.host", "agent.sandbox", "agent.sandbox.protocol"),
        (PATHS,),
    ),
    Room(
        "agent.app.models",
        ("agent.core", "agent.config", "agent.host", "agent.llm", "agent.llm.protocol"),
        (PATHS,),
    ),
    Room(
        "agent.app.means",
        ("agent.core", "agent.config", "agent.loop", "agent.app.models", "agent.session"),
    ),
    Room("agent.app.seeding", ("agent.core", "agent.config", "agent.git")),
    Room(
        "agent.app",
        (
            *_LOWER,
            "agent.app.means",
            "agent.app.models",
            "agent.app.seeding",
            "agent.whereabouts",
            "agent.workplace",
        ),
        (PATHS,),
    ),
    Room(
        "agent.overview",
        ("agent.core", "agent.git", "agent.host", "agent.session"),
        (PATHS,),
    ),
    Room(
        "agent.background",
        (
            "agent.app",
            "agent.config",
            "agent.core",
            "agent.git",
            "agent.host",
            "agent.loop",
            "agent.session",
        ),
        (PATHS,),
    ),
    Room(
        "agent.race",
        (
            "agent.app",
            "agent.config",
            "agent.core",
            "agent.git",
            "agent.host",
            "agent.outcome",
            "agent.session",
        ),
    ),
    Room(
        "agent.cli",
        (
            "agent",
            "agent.core",
            "agent.config",
            "agent.session",
            "agent.app",
            "agent.host",
            "agent.doctor",
            "agent.sandbox.protocol",
            "agent.outcome",
            "agent.mirrors",
            "agent.background",
            "agent.overview",
            "agent.race",
            "agent.upkeep",
            "agent.whereabouts",
        ),
        (PATHS, RESOLVE, TERMINAL, SIGNALS),
    ),
    Room("agent.testing", ("agent.core", *_PORTS), (PATHS,)),
    Room(
        "benchmarks.images",
        ("agent.config", "agent.core", "agent.host", "agent.sandbox", "benchmarks"),
        (PATHS,),
    ),
    Room(
        "benchmarks",
        (
            "agent.core",
            "agent.config",
            "agent.session",
            "agent.app",
            "agent.testing",
            "agent.host",
            "agent.llm.protocol",
            "agent.llm.redact",
            "agent.loop",
            "agent.sandbox.protocol",
            "benchmarks.images",
            "benchmarks.speed",
        ),
        (PATHS, RESOLVE, TERMINAL, SIGNALS),
    ),
    Room(
        "benchmarks.speed",
        (
            "agent.app",
            "agent.config",
            "agent.core",
            "agent.git",
            "agent.host",
            "agent.sandbox",
            "agent.sandbox.protocol",
            "agent.session",
            "agent.testing",
            "agent.tools.base",
            "benchmarks",
        ),
        (PATHS, TERMINAL),
    ),
)

# Third-party packages and the one place of each. msgspec defines types wherever types are defined.
OWNERS = {
    "msgspec": ("agent", "benchmarks"),
    "litellm": ("agent.llm.client",),
    "daytona": ("agent.sandbox.daytona.sdk",),
    "aiohttp": ("agent.sandbox.daytona.sdk",),
    "git": ("agent.git.mirror",),
    "yaml": ("agent.config",),
    "click": ("agent.cli",),
    "pygments": ("agent.cli.highlight",),
    "prompt_toolkit": ("agent.cli",),
    "matplotlib": ("benchmarks",),
}

# The standard library without reach to the host. Any other module of it is for `HOST` rooms.
PURE = _words(
    """__future__ abc argparse array ast asyncio base64 binascii bisect cmath codecs collections
    collections.abc contextlib contextvars copy dataclasses datetime decimal difflib email.utils
    enum errno fnmatch fractions functools graphlib hashlib heapq hmac html html.parser io ipaddress
    itertools json keyword logging math numbers operator pathlib posixpath pprint queue random re
    secrets shlex stat statistics string struct sys textwrap threading time tomllib traceback types
    typing unicodedata urllib urllib.parse uuid warnings weakref zlib zoneinfo"""
)

# What modules of `PURE` have that does reach it, or leads round this check.
IMPURE = {
    "asyncio": """create_subprocess_exec create_subprocess_shell open_connection start_server
        open_unix_connection start_unix_server subprocess""",
    "codecs": "open EncodedFile",
    "io": "FileIO open open_code",
    "logging": "FileHandler basicConfig config handlers",
    "operator": "attrgetter methodcaller",
    "posixpath": """abspath exists expanduser expandvars getatime getctime getmtime getsize isdir
        isfile islink ismount lexists realpath relpath samefile""",
    "sys": "_getframe addaudithook meta_path modules path path_hooks setprofile settrace",
    "types": "CodeType FunctionType",
    "typing": "get_type_hints",
}

STREAMS = {"stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__"}

BUILTINS = {
    "__builtins__",
    "__import__",
    "__loader__",
    "__spec__",
    "breakpoint",
    "compile",
    "eval",
    "exec",
    "globals",
    "input",
    "locals",
    "open",
    "vars",
}

# Attributes that reach the host whatever they are taken from: pathlib's I/O, the loop's transports.
ATTRIBUTES = _words(
    """chmod expanduser exists glob hardlink_to is_block_device is_char_device is_dir is_fifo
    is_file is_mount is_socket is_symlink iterdir lchmod lstat mkdir read_bytes read_text readlink
    rglob rmdir samefile symlink_to touch unlink write_bytes write_text
    connect_read_pipe connect_write_pipe create_connection create_datagram_endpoint create_server
    create_subprocess_exec create_subprocess_shell create_unix_connection create_unix_server
    open_connection open_unix_connection start_server start_unix_server
    subprocess_exec subprocess_shell
    __builtins__ __code__ __getattribute__ __globals__ __import__ __loader__
    __spec__ __subclasses__ load_module exec_module"""
)
PATH_CLASS = {"cwd", "home"}  # on the class Path itself
# Names too common to flag as such: only a call in the shape of pathlib's is.
CALLS = {"open", "resolve", "absolute", "rename", "replace", "stat"}

# One file, one module or builtin that its room may not have, and why.
EXCEPTIONS = {
    ("agent.tools.builtin", "pkgutil"): "finds the tool files beside it",
    ("agent.sandbox.registry", "importlib"): "imports the chosen backend on demand",
    ("benchmarks.suites", "pkgutil"): "finds the suite files beside it",
    ("benchmarks.reports", "xml.etree"): "reads the text of a report, never a file",
    ("benchmarks.exports", "csv"): "writes a text",
    ("agent.llm.client", "gc"): "has it rest while the provider library is imported",
    ("agent.llm.failure", "socket"): "names an exception type",
    ("agent.llm.failure", "ssl"): "names an exception type",
    ("agent.llm.failure", "vars"): "looks at an exception of the provider library",
}

# A computed `getattr` can reach anything; these places cannot do without.
COMPUTED_GETATTR = {
    "agent.sandbox.registry": "a backend is named in a table",
    "agent.llm.assemble": "the provider library's objects differ in what they carry",
}

# Where everything may be caught: a handler that ends in a bare `raise` needs no entry.
BROAD = {
    "agent.loop.calls": "the tool call: a tool's defect must not end the session",
    "agent.session.session": "the idle job: a failing sync must not end the session",
    "agent.plugins.hooks": "the plugin hook",
    "agent.cli.main": "the top of the command line",
    "agent.cli.once": "a run without a person: its result comes in every case",
    "agent.toolbox.channel.server": "the dispatcher inside: a bad request must not end the others",
}


def room_of(module: str) -> Room:
    """The room a module of ours is in."""
    fitting = [r for r in ROOMS if module == r.name or module.startswith(r.name + ".")]
    return max(fitting, key=lambda room: len(room.name))
