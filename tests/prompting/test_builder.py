from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import UserError
from agent.core.text import model_safe
from agent.host.files import package_texts
from agent.prompting.builder import VALUE_MAX_CHARS, GitFacts, system_prompt
from agent.sandbox.protocol import Facts, SandboxSpec
from agent.sandbox.registry import open_backend
from agent.tools.base import schema_of
from agent.tools.builtin import builtin
from tests.snapshots import assert_snapshot

SNAPSHOTS = Path(__file__).parent / "snapshots"
TEMPLATE = package_texts("prompts")["system.md"]
FACTS = Facts("local", "/workspace", "Debian GNU/Linux 12 (x86_64)", "none", ("git", "python3"))
GIT = GitFacts(branch="main", base="0123456789abcdef" + "0" * 24, mirror="glovebox/1")


def prompt(facts: Facts = FACTS, git: GitFacts = GIT, date: str = "2026-01-31") -> str:
    return system_prompt(TEMPLATE, facts, git, date=date)


def test_the_prompt_reads_as_it_did() -> None:
    assert_snapshot(SNAPSHOTS / "system.md", prompt() + "\n")


def test_the_same_facts_give_the_same_bytes() -> None:
    assert prompt().encode() == prompt().encode()


def test_nothing_is_left_to_fill() -> None:
    assert "{{" not in prompt()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\{\{(\w+)\}\}", TEMPLATE))))
def test_a_template_that_leaves_a_fact_out_is_refused_by_name(name: str) -> None:
    with pytest.raises(UserError, match=name):
        system_prompt(TEMPLATE.replace(f"{{{{{name}}}}}", ""), FACTS, GIT)


@pytest.mark.parametrize("name", ["home", "Branch", " branch", "", "branch.x"])
def test_an_unknown_placeholder_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="unknown placeholder"):
        system_prompt(TEMPLATE + f"{{{{{name}}}}}", FACTS, GIT)


def test_facts_that_are_not_known_are_said_to_be_so() -> None:
    text = prompt(dataclasses.replace(FACTS, programs=()), GitFacts("", GIT.base, GIT.mirror), "")
    assert "branch `(detached)`" in text
    assert "Programs found: unknown" in text
    assert "Date: unknown" in text


HOSTILE = st.text(
    alphabet=st.sampled_from("ab`{}$\\\n\r\t\x1b\u202e\u200b\U000e0041\udcff\u2028é/"), max_size=40
)


@given(HOSTILE)
def test_a_branch_name_cannot_leave_its_line_or_its_quotes(name: str) -> None:
    plain = prompt(git=dataclasses.replace(GIT, branch="B")).split("\n")
    lines = prompt(git=dataclasses.replace(GIT, branch=name)).split("\n")
    assert len(lines) == len(plain)
    (place,) = (n for n, line in enumerate(plain) if "branch `B`" in line)
    before, after = plain[place].split("`B`")
    assert lines[:place] + lines[place + 1 :] == plain[:place] + plain[place + 1 :]
    assert lines[place].startswith(before + "`") and lines[place].endswith("`" + after)
    shown = lines[place][len(before) + 1 : -len(after) - 1]
    assert "`" not in shown
    assert model_safe(shown) == shown


def test_a_value_that_looks_like_a_placeholder_stays_what_it_is() -> None:
    assert "branch `{{date}}`" in prompt(git=dataclasses.replace(GIT, branch="{{date}}"))


def test_a_value_is_bounded() -> None:
    long = dataclasses.replace(GIT, branch="x" * 10_000)
    assert len(prompt(git=long)) < len(prompt()) + VALUE_MAX_CHARS + 1


def test_no_place_of_the_host_is_in_prompt_or_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "canary-home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    tools = builtin(package_texts("prompts/tools"))
    facts = open_backend("local", home / "sandboxes").facts(SandboxSpec("s1"))
    text = prompt(facts) + "".join(f"{t.description}{schema_of(t.arguments)}" for t in tools)
    for place in (str(home), os.environ["XDG_STATE_HOME"], str(Path(__file__).parents[2])):
        assert place not in text
    assert "canary" not in text


def test_the_first_request_stays_small() -> None:
    tools = builtin(package_texts("prompts/tools"))
    schemas = [{"d": t.description, "n": t.name, "p": schema_of(t.arguments)} for t in tools]
    # English prose and JSON schemas take about four bytes a token with every common tokenizer.
    assert len(prompt().encode()) < 4 * 1_200
    assert len(prompt().encode()) + len(msgspec.json.encode(schemas)) < 4 * 3_000
