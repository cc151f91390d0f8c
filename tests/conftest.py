"""What holds for the whole suite: no network, no home of anybody, async tests, servers."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from agent.host import files
from tests.docker import ABSENT

# The contract suite is shipped code; its assertions should still say what they compared. It is said
# here and not beside its tests: the backends' tests use it too, and may be collected first.
pytest.register_assert_rewrite("agent.testing.contracts")

# How long an example takes says how busy the machine is, and nothing about what is tested.
hypothesis.settings.register_profile(
    "suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("suite")

_KEPT = {"PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "CI", "COVERAGE_PROCESS_START"}


@pytest.fixture(scope="session")
def suite_home() -> Iterator[Path]:
    """A home for the suite that a sandbox's own user may pass through."""
    with files.temporary_dir("gb-", shared=True) as folder:
        yield folder


@pytest.fixture(autouse=True)
def isolated(suite_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the machine's home, keys or configuration."""
    for name in list(os.environ):
        if name not in _KEPT and not name.startswith(("PYTEST_", "GB_")):
            monkeypatch.delenv(name)
    home = Path(tempfile.mkdtemp(dir=suite_home))
    home.chmod(0o711)
    settings = {
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
        # What is made of our own source again and again: the toolbox, compiled, and its grammars.
        "XDG_CACHE_HOME": str(suite_home / "cache"),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "TERM": "xterm-256color",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def` tests, each in a loop of its own that must end clean."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments: dict[str, Any] = {n: pyfuncitem.funcargs[n] for n in names}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


def pytest_configure(config: pytest.Config) -> None:
    # Programs inherit what is ignored, as `nohup` and a shell's `&` leave it: not those of tests.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Named(config))


class _Named:
    """Names a failed test when it fails: what ends the run before its summary must not hide it."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and terminal is not None:
            terminal.ensure_newline()
            terminal.line(f"FAILED {report.when} {report.nodeid}: {_last(report.longrepr)}")


def _last(why: Any) -> str:
    crash = getattr(why, "reprcrash", None)
    return str(crash.message if crash else why).partition("\n")[0][:200]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep how the run ended, for `.ci/run`: a run that broke off has not seen all that fails."""
    cache = getattr(session.config, "cache", None)  # absent with `-p no:cacheprovider`
    if not hasattr(session.config, "workerinput") and cache is not None:
        cache.set("glovebox/exitstatus", int(exitstatus))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was left out for want of a container engine: a skip that nobody sees is a lie."""
    reasons = [
        str(report.longrepr[2])
        for report in terminalreporter.stats.get("skipped", ())
        if isinstance(report.longrepr, tuple) and ABSENT in str(report.longrepr[2])
    ]
    if reasons:
        why = reasons[0].removeprefix("Skipped: ")
        terminalreporter.section("NOT TESTED: the docker backend", sep="!", red=True, bold=True)
        terminalreporter.line(f"{len(reasons)} tests were left out because there is {why}.")
        terminalreporter.line("Start docker or podman, or type `.ci/engine`, and run them again.")
