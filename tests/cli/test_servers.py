"""Language servers that a person chooses: in the configuration, and down to where one answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.app.walls import environment_of
from agent.config import LANGUAGES
from agent.core.errors import ConfigError
from agent.toolbox.code import languages
from tests.e2e.rig import MODEL, User
from tests.egress.test_settings import Place
from tests.servers.openai import OpenAIServer, call, reply, say
from tests.toolbox.test_servers import GOOD, HEAD


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def chosen(place: Place) -> object:
    return json.loads(environment_of(place.load()).get("GLOVEBOX_SERVERS", "null"))


def test_what_is_chosen_goes_in(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(place) is None
    place.user("servers: {python: [ty, server], c: 'clangd \"--log=a b\"', go: off, rust: 'off'}\n")
    assert chosen(place) == {
        "python": ["ty", "server"],
        "c": ["clangd", "--log=a b"],
        "go": [],
        "rust": [],
    }
    monkeypatch.setenv("GLOVEBOX_SERVERS", "python=pyright-langserver --stdio, go=off")
    assert chosen(place) == {"python": ["pyright-langserver", "--stdio"], "go": []}


def test_languages_have_the_names_that_they_have_inside() -> None:
    assert sorted(LANGUAGES) == sorted(languages.LANGUAGES)


@pytest.mark.parametrize(
    ("servers", "why"),
    [
        ("{pyton: [ty]}", "no language `pyton`; did you mean `python`?"),
        ("{cobol: [x]}", "no language `cobol`; known: bash, c,"),
        ("{python: []}", "`python` needs the words of a command, or off"),
        ("{python: on}", "`python` needs the words of a command, or off"),
        ("{python: ''}", "`python` needs the words of a command, or off"),
        ("{python: [ty, '']}", "`python` needs the words of a command, or off"),
        ("{python: 'ty \"server'}", "the command of `python` cannot be read"),
        ("{python: 3.5}", "does not fit"),
        ("[ty]", "does not fit"),
    ],
)
def test_what_does_not_fit_is_named_with_its_file(place: Place, servers: str, why: str) -> None:
    place.user(f"servers: {servers}\n")
    with pytest.raises(ConfigError) as error:
        place.load()
    assert why in error.value.message
    assert "config.yml" in error.value.message


def test_a_repository_cannot_choose_programs(place: Place) -> None:
    place.repo("servers: {python: [./mine]}\n")
    with pytest.raises(ConfigError, match="not the repository's to set"):
        place.load()


@pytest.mark.sandbox
@pytest.mark.parametrize(("setting", "by"), [("./tools/answer --stdio", "answer"), ("off", "")])
def test_the_one_that_is_chosen_answers_inside(setting: str, by: str, user: User) -> None:
    server = HEAD.replace(HEAD.partition("\n")[0], "#!/usr/bin/env python3", 1) + GOOD
    user.start(
        {
            "a.py": "def name(): pass\n",
            "b.py": "def name():\n    pass\n",
            "use.py": "from elsewhere import thing\n\n\nx = 1; thing.name()\n",
            "tools/answer": server,
            ".gitignore": "*.log\n",
        }
    )
    (user.repo / "tools/answer").chmod(0o755)
    user.git("commit", "-qam", "may be run")
    asked = call("lsp", {"operation": "definition", "target": "use.py:4:name"})
    script = [reply("", asked), reply("", call("bash", {"command": "cat tools/*.log"})), say("x")]
    with OpenAIServer(script) as provider:
        ran = user.glovebox(
            *("-m", "go", "--model", MODEL, "--sandbox", "local", "--json"),
            server=provider,
            environment={"GLOVEBOX_SERVERS": f"python={setting}"},
        )
    assert ran.code == 0, ran.err
    answer, heard = (c["result"]["text"] for c in ran.of("CallFinished"))
    assert ("answer" in answer) == bool(by), answer
    assert ('"initialize"' in heard) == bool(by), heard
