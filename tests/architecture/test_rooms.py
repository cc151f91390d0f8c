from __future__ import annotations

import shutil
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.architecture.check import OURS, Breach, breaches, imports, modules
from tests.architecture.rooms import (
    BROAD,
    BUILTINS,
    COMPUTED_GETATTR,
    EXCEPTIONS,
    OWNERS,
    ROOMS,
    room_of,
)

ROOT = Path(__file__).resolve().parents[2]

# Ways out of the tools room. Each is planted into a copy of a tool and must be found.
WAYS_TO_THE_HOST = [
    "import os",
    "import os.path",
    "import os as o",
    "from os import system",
    "from os import path",
    "def f():\n    import os",
    "import subprocess",
    "import shutil",
    "import socket",
    "import tempfile",
    "import glob",
    "import io\nio.open",
    "from io import FileIO",
    "import io\nio.open_code",
    "import fileinput",
    "import linecache",
    "import mmap",
    "import fcntl",
    "import pty",
    "import pwd",
    "import signal",
    "import select",
    "import ssl",
    "import sqlite3",
    "import pickle",
    "import marshal",
    "import zipfile",
    "import zipimport",
    "import http.client",
    "import urllib.request",
    "import asyncio.subprocess",
    "import concurrent.futures",
    "import multiprocessing",
    "import ctypes",
    "import gc",
    "import inspect",
    "import runpy",
    "import pkgutil",
    "import builtins",
    "import importlib",
    "import importlib.util",
    "from importlib import import_module",
    "import _io",
    "import posix",
    "import pathlib\npathlib.Path('/etc/passwd')",
    "from pathlib import Path",
    "from pathlib import PosixPath as P",
    "from pathlib import PurePosixPath\nPurePosixPath('a').read_text()",
    "def f(place):\n    return place.read_bytes()",
    "def f(place):\n    return place.write_text('')",
    "def f(place):\n    return place.open()",
    "def f(place):\n    return place.open('w')",
    "def f(place):\n    return place.replace('b')",
    "def f(place):\n    return place.rename('b')",
    "def f(place):\n    return place.resolve()",
    "def f(place):\n    return place.stat().st_size",
    "def f(place):\n    return place.unlink",
    "def f(place):\n    return [*place.iterdir()]",
    "open('/etc/passwd')",
    "f = open",
    "exec('import os')",
    "eval('1')",
    "compile('1', '', 'eval')",
    "__import__('os')",
    "__builtins__['open']",
    "globals()['__builtins__']",
    "vars()",
    "getattr(__builtins__, 'open')",
    "def f(x):\n    return getattr(x, 'read_text')",
    "def f(x):\n    return getattr(x, 're' + 'ad_text')",
    "def f(x, name):\n    return getattr(x, name)",
    "import sys\nsys.modules['os']",
    "from sys import modules",
    "import sys as s\ns.modules",
    "import sys\nsys.path.insert(0, '')",
    "import sys\nsys._getframe()",
    "import operator\noperator.attrgetter('read_text')",
    "from operator import methodcaller",
    "import asyncio\nasyncio.create_subprocess_exec",
    "from asyncio import create_subprocess_shell",
    "from asyncio import subprocess",
    "import asyncio\nasyncio.open_connection",
    "import asyncio as a\na.open_unix_connection",
    "import asyncio\nasyncio.start_server",
    "import asyncio\nasyncio.get_running_loop().subprocess_exec",
    "import asyncio\nasyncio.get_running_loop().create_connection",
    "import codecs\ncodecs.open",
    "from codecs import open as o",
    "import logging\nlogging.FileHandler('x')",
    "import logging.handlers",
    "from posixpath import exists",
    "import posixpath\nposixpath.realpath('x')",
    "import pathlib\npathlib.os",
    "from dataclasses import sys",
    "import types\ntypes.FunctionType",
    "f = ().__class__.__base__.__subclasses__()",
    "def f():\n    return f.__globals__",
    "def f(x):\n    return x.__getattribute__('read_text')",
    "f = '__import__'",
    "from agent.host import files",
    "import agent.host.process",
    "def f():\n    from agent.host.files import read_text",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from agent.host import env",
    "from agent.toolbox.channel import server",
]

# Other breaches: the file they are planted into, and what.
SLIPS = [
    ("agent/core/text.py", "from agent.host import env"),
    ("agent/core/text.py", "import agent"),
    ("agent/host/env.py", "from agent.loop import turn"),
    ("agent/loop/turn.py", "from agent.llm import client"),
    ("agent/loop/turn.py", "import agent.llm.client"),
    ("agent/loop/turn.py", "from agent.tools import bash"),
    ("agent/loop/turn.py", "from agent.sandbox.protocol import Sandbox"),
    ("agent/session/session.py", "from agent import app"),
    ("agent/session/session.py", "from agent.cli import main"),
    ("agent/app/opening.py", "from agent.cli.main import run"),
    ("agent/cli/main.py", "from agent.sandbox import registry"),
    ("agent/cli/main.py", "import litellm"),
    ("agent/llm/wire.py", "def f():\n    import litellm"),
    ("agent/session/session.py", "import pygments"),
    ("agent/session/session.py", "import prompt_toolkit"),
    ("agent/app/opening.py", "import click"),
    ("agent/cli/main.py", "import yaml"),
    ("agent/core/text.py", "import requests"),
    ("agent/tools/read.py", "from . import base"),
    ("agent/tools/read.py", "from .base import Tool"),
    ("agent/tools/read.py", "from agent.tools.base import *"),
    ("agent/tools/read.py", "print('x')"),
    ("agent/session/session.py", "import sys\nsys.stdout.write('x')"),
    ("agent/tools/read.py", "try:\n    pass\nexcept:\n    pass"),
    ("agent/tools/read.py", "try:\n    pass\nexcept Exception:\n    pass"),
    ("agent/tools/read.py", "try:\n    pass\nexcept (OSError, BaseException) as e:\n    print(e)"),
    ("agent/tools/read.py", "import contextlib\nwith contextlib.suppress(Exception):\n    pass"),
    ("agent/toolbox/channel/frames.py", "from agent.core import limits"),
    ("agent/toolbox/channel/frames.py", "import msgspec"),
    ("agent/app/opening.py", "open('x')"),
    ("agent/git/mirror.py", "import subprocess"),
    ("agent/session/session.py", "from pathlib import Path\nPath.home()"),
    ("benchmarks/worker.py", "from agent.sandbox import local"),
    ("benchmarks/worker.py", "import os"),
    ("agent/session/session.py", "def f(place):\n    return place.resolve()"),
]

PERMITTED = [
    "from pathlib import PurePosixPath\nPurePosixPath('a') / 'b'",
    "from posixpath import join, normpath",
    "'a'.replace('b', 'c')",
    "import dataclasses\ndataclasses.replace",
    "import re\nre.compile('x').match('y')",
    "from datetime import datetime\ndatetime.now",
    "import urllib.parse\nurllib.parse.quote('x')",
    "try:\n    pass\nexcept BaseException:\n    f = 1\n    raise",
    "def f(x):\n    return getattr(x, 'size', 0)",
    "async def f(sandbox):\n    await sandbox.exec(['ls'])",
]


def planted(root: Path, file: str, code: str) -> list[Breach]:
    """The breaches in a tree of one file of ours with `code` at its end, from its first line on."""
    source, copy = ROOT / file, root / file
    copy.parent.mkdir(parents=True)
    if source.exists():
        shutil.copy(source, copy)
    before = len(copy.read_text().splitlines()) if copy.exists() else 0
    with copy.open("a") as target:
        target.write(code + "\n")
    return [b for b in breaches(root) if b.file == file and b.line > before]


def test_nothing_breaks_the_room_table() -> None:
    found = breaches(ROOT)
    assert not found, "\n" + "\n".join(map(str, found))


@pytest.mark.parametrize("code", WAYS_TO_THE_HOST)
def test_a_way_to_the_host_in_a_tool_is_found(tmp_path: Path, code: str) -> None:
    assert planted(tmp_path, "agent/tools/read.py", code)


@pytest.mark.parametrize(("file", "code"), SLIPS)
def test_a_slip_is_found(tmp_path: Path, file: str, code: str) -> None:
    assert planted(tmp_path, file, code)


@pytest.mark.parametrize("code", PERMITTED)
def test_what_is_harmless_is_permitted(tmp_path: Path, code: str) -> None:
    assert planted(tmp_path, "agent/tools/read.py", code) == []


@pytest.mark.parametrize(("module", "what"), EXCEPTIONS)
def test_an_exception_holds_for_its_one_file(tmp_path: Path, module: str, what: str) -> None:
    code = what if what in BUILTINS else f"import {what}"
    assert planted(tmp_path / "a", module.replace(".", "/") + ".py", code) == []
    assert planted(tmp_path / "b", "agent/tools/read.py", code)


def test_a_breach_names_file_and_line(tmp_path: Path) -> None:
    place = tmp_path / "agent/tools/new.py"
    place.parent.mkdir(parents=True)
    place.write_text("x = 1\n\nimport os\n")
    assert [str(b) for b in breaches(tmp_path)] == [
        "agent/tools/new.py:3: `os` reaches the host; only agent/host may"
    ]


def test_no_module_imports_itself_in_a_circle() -> None:
    known = modules(ROOT)
    graph = {name: set(imports(name, path, known)) for name, path in known.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_a_circle_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "agent" / "core"
    folder.mkdir(parents=True)
    (folder / "one.py").write_text("from agent.core import two\n")
    (folder / "two.py").write_text("def f():\n    from agent.core.one import x\n")
    known = modules(tmp_path)
    graph = {name: set(imports(name, path, known)) for name, path in known.items()}
    with pytest.raises(CycleError):
        TopologicalSorter(graph).prepare()


def test_every_package_of_ours_is_in_the_table() -> None:
    names = {room.name for room in ROOMS}
    tops = {".".join(name.split(".")[:2]) for name in modules(ROOT) if name.startswith("agent.")}
    assert tops - names == set()


def test_the_table_names_rooms_that_are_in_it() -> None:
    names = {room.name for room in ROOMS}
    assert {i for room in ROOMS for i in room.imports} - names == set()
    owners = {owner for places in OWNERS.values() for owner in places}
    listed = {*owners, *BROAD, *COMPUTED_GETATTR, *(module for module, _ in EXCEPTIONS)}
    assert {room_of(name).name.partition(".")[0] for name in listed} <= set(OURS)


def test_only_agent_host_and_what_runs_inside_may_reach_a_machine() -> None:
    inside = {"agent.attacks", "agent.toolbox"}
    assert {r.name for r in ROOMS if "host" in r.may} == {"agent.host", *inside}
    # Nobody imports what is sent inside.
    assert not [r.name for r in ROOMS if inside & set(r.imports)]
