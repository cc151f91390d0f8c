"""Tasks in Harbor's format, in containers of images that are built of their recipes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.errors import UserError
from agent.host import files
from benchmarks.grading import judge
from benchmarks.images import inside
from benchmarks.reports import Run, read_report
from benchmarks.suites.harbor import load
from tests.benchmarks.exercises import TOKEN
from tests.benchmarks.test_harness import bash, benchmarks, results, the_run
from tests.docker.engine import docker_spec, program, remove
from tests.e2e.rig import User

_TOML = """
schema_version = "1.4"

[task]
name = "glovebox/greeting"
keywords = ["shell"]

[metadata]
difficulty = "easy"

[agent]
timeout_sec = 100.0

[verifier]
timeout_sec = 90.0
env = { WANTED = "${NOBODY_HAS_THIS:-hello}" }

[environment]
network_mode = "no-network"
cpus = 1
memory_mb = 512
env = { MODE = "test" }
"""
# As the format's own template does it: the tests say how it went in a file, not by their end.
_TEST = f"""#!/bin/bash
# {TOKEN}
echo "tests run in $PWD" >&2
if /tests/look.sh; then echo 1 >/logs/verifier/reward.txt
else echo 0 >/logs/verifier/reward.txt; fi
"""
_LOOK = """#!/bin/sh
[ "$(cat /app/build/out.txt)" = "$WANTED world" ] && [ -x /app/run.sh ] && [ "$COLOUR" = red ]
"""
_GIVES = "mkdir -p build && printf 'hello world' > build/out.txt && chmod +x run.sh"


def lay_out(folder: Path, base: str, **changed: str) -> Path:
    """A task whose work lies in a directory that git ignores."""
    for name, text in {
        "task.toml": _TOML,
        "instruction.md": "Write the greeting to /app/build/out.txt.\n",
        "environment/Dockerfile": f"FROM {base}\nENV COLOUR=red\nWORKDIR /app\nCOPY app/ /app/\n"
        "RUN mkdir .git && echo history >.git/note\n",
        "environment/app/run.sh": "cat build/out.txt\n",
        "environment/app/.gitignore": "build\n",
        "tests/test.sh": _TEST,
        "tests/look.sh": _LOOK,
        "solution/solve.sh": f"#!/bin/bash\ncd /app && {_GIVES}\ncat /solution/more.txt\n",
        "solution/more.txt": TOKEN,
        **changed,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_a_task_is_read_as_it_stands_and_what_it_cannot_have_is_said(tmp_path: Path) -> None:
    lay_out(tmp_path / "plain", "scratch")
    for name, wanted in {
        "steps": '[[steps]]\nname = "one"\n',
        "key": '[verifier]\nenv = { KEY = "${OPENAI_API_KEY}" }\n',
        "gpu": "[environment]\ngpus = 1\n",
        "own": '[verifier]\nenvironment_mode = "separate"\n',
        "old": '[environment]\nallow_internet = false\nmemory = "2G"\ndocker_image = "x:1"\n',
    }.items():
        lay_out(tmp_path / name, "scratch", **{"task.toml": wanted})
    lay_out(tmp_path / "several", "scratch", **{"environment/docker-compose.yaml": "services:\n"})
    (tmp_path / "old/environment/Dockerfile").unlink()

    found = {task.id.removeprefix("harbor/"): task for task in load(tmp_path)}

    plain, old = found["plain"], found["old"]
    assert (plain.limits.agent, plain.limits.tests) == (100.0, 90.0)
    assert (plain.network, plain.allowance.cpus, plain.allowance.memory) == ("none", 1.0, "512MIB")
    assert plain.environment == {"MODE": "test"}
    assert TOKEN not in plain.instruction
    assert old.image is not None
    assert (old.network, old.allowance.memory, old.image.source) == ("none", "2G", "x:1")
    assert {name: task.unfit for name, task in found.items() if task.unfit} == {
        "steps": "it has several steps",
        "key": "it wants variables of this machine",
        "gpu": "it needs an accelerator",
        "own": "its tests have an environment of their own",
        "several": "it is several containers",
    }
    (tmp_path / "plain/tests/test.sh").unlink()
    with pytest.raises(UserError, match=r"has no `tests/test\.sh`"):
        load(tmp_path / "plain")


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("reward.txt", " 1\n", {"reward.txt": "passed"}),
        ("reward.txt", "0.5", {"reward.txt": "failed"}),
        ("reward.txt", "", {}),
        ("reward.txt", "nan", {}),
        (
            "reward.json",
            '{"a": 1, "b": 0.9}',
            {"reward.json a": "passed", "reward.json b": "failed"},
        ),
        ("reward.json", '{"a": 1, "b": "yes"}', {}),
        ("reward.json", '{"a": 1e999}', {}),
        ("else", "1", {}),
    ],
)
def test_only_finite_numbers_are_rewards(name: str, text: str, found: dict[str, str]) -> None:
    assert read_report("reward", Run({name: text.encode()})) == found


def test_what_is_tested_passes_nothing_by_a_reward_of_its_own() -> None:
    """The tests wrote `reward.txt`, as they did for the reference, and the work another file."""
    found = read_report("reward", Run({"reward.txt": b"0", "reward.json": b'{"reward": 1}'}))
    assert judge(found, ("reward.txt",), 0, exact=True).reason == "tests_failed"


@pytest.fixture
def docker_user() -> Iterator[User]:
    """A person with an engine; what was built and run of tasks is gone afterwards."""
    with files.temporary_dir("gbd-", shared=True) as folder:
        user = User(Path(folder))
        yield user
        for journal in folder.rglob("journal.jsonl"):
            remove(f"glovebox-{journal.parent.name}")
        for each in load(folder / "tasks"):
            assert each.image is not None
            for name in (inside(each.image), each.image.name):
                subprocess.run([program(), "rmi", name], capture_output=True, check=False)


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.sandbox
def test_tasks_are_built_validated_and_solved_in_containers_of_their_own(
    docker_user: User,
) -> None:
    user, base = docker_user, docker_spec().image
    tasks = user.home / "tasks"
    lay_out(tasks / "greeting", base)
    # What is asked for lies outside of what is carried over: nobody can give it here.
    elsewhere = "#!/bin/bash\n[ -f /tmp/made ] && echo 1 >/logs/verifier/reward.txt\n"
    lay_out(
        tasks / "outside",
        base,
        **{"tests/test.sh": elsewhere, "solution/solve.sh": "touch /tmp/made\n"},
    )

    there = ("--out", str(user.home / "validated"))
    validated = benchmarks(user, "validate", "harbor", str(tasks), *there)

    assert validated.returncode == 0, validated.stderr
    assert "1 of 2 tasks can be believed, 1 tests" in validated.stdout
    assert "harbor/outside: its reference does not pass: tests_missing" in validated.stdout

    look = f"cd /app; pwd -P; ls -A; echo $MODE $COLOUR; grep -rs {TOKEN} /app /tmp /home /logs"
    script = user.home / "replies.toml"
    script.write_text(bash(f"{look}; {_GIVES}"))
    model = ("--model", f"script:{script}", "--out", str(user.home / "runs"))
    scripted = benchmarks(user, "run", "harbor", str(tasks), *model)

    assert "1 passed, 0 failed, 0 without a verdict" in scripted.stdout, scripted.stderr
    row = results(user)["greeting"]
    assert row["tries"][0]["tests"]["passed"] == 1
    (journal,) = [
        path for path in (the_run(user) / "state").rglob("journal.jsonl") if b"pwd -P" in
        path.read_bytes()
    ]  # fmt: skip
    events = [json.loads(line).get("event", {}) for line in journal.read_text().splitlines()]
    (said,) = [e["result"]["text"] for e in events if e.get("type") == "CallFinished"]
    assert said.splitlines()[:5] == ["/workspace", ".git", ".gitignore", "run.sh", "test red"]
    assert TOKEN not in said
