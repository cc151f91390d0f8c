"""`glovebox doctor`: what works here, what does not, and how to mend it."""

from __future__ import annotations

import textwrap

import msgspec

from agent import upkeep
from agent.cli.exits import Exit
from agent.config import Settings
from agent.core.errors import GloveboxError
from agent.core.text import one_line, terminal_safe
from agent.doctor.examination import examination
from agent.doctor.report import Finding, Report, Section

_MARKS = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "·"}
_WIDTH = 100


async def run(settings: Settings, *, as_json: bool) -> Exit:
    """Examine the machine and print the findings. The code says whether a session can be had."""
    report = await _whole(settings)
    if as_json:
        whole = {"ok": report.ok, "backends": report.backends} | msgspec.to_builtins(report)
        print(msgspec.json.format(msgspec.json.encode(whole)).decode())
    else:
        print(terminal_safe(report_text(report)))
    return Exit.DONE if report.ok else Exit.SANDBOX


async def examined(settings: Settings) -> str:
    """The same as text."""
    return terminal_safe(report_text(await _whole(settings)))


async def _whole(settings: Settings) -> Report:
    report = await examination(settings)
    return msgspec.structs.replace(report, sections=(*report.sections, await _leftovers()))


async def _leftovers() -> Section:
    """What crashes left behind, without removing it."""
    try:
        left = await upkeep.reap(dry=True)
    except GloveboxError as error:
        finding = Finding("of earlier sessions", "warning", error.message, error.hint)
        return Section("Leftovers", (finding,))
    if not left:
        finding = Finding("of earlier sessions", "ok", "nothing was left behind")
    else:
        finding = Finding(
            "of earlier sessions",
            "warning",
            f"{len(left)} left: {one_line(', '.join(one.what for one in left), 200)}",
            "`glovebox reap` removes them",
        )
    return Section("Leftovers", (finding,))


def report_text(report: Report) -> str:
    """The report as a person reads it."""
    lines: list[str] = []
    for section in report.sections:
        lines += [section.title, *(line for f in section.findings for line in _lines(f)), ""]
    return "\n".join([*lines, _verdict(report)])


def _lines(finding: Finding) -> list[str]:
    first = f"  {_MARKS[finding.state]} {finding.name}: {finding.found}"
    lines = textwrap.wrap(first, _WIDTH, subsequent_indent="      ", break_on_hyphens=False)
    if finding.fix:
        lines += [f"      → {finding.fix}"]  # in one piece: it is there to be copied
    return lines


def _verdict(report: Report) -> str:
    if report.ok:
        names = ", ".join(f"`{name}`" for name in report.backends)
        return f"Sandboxes can be made with {names}; `--sandbox auto` takes the first."
    if report.backends:
        return "Sandboxes can be made, but something else that every session needs is broken."
    return "No sandbox can be made here. glovebox never runs tools outside of one."
