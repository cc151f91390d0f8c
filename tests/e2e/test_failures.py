"""What goes wrong says what happened and what to do next, and has its exit code."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.e2e.rig import MODEL, User
from tests.servers.openai import Fault, OpenAIServer, call, reply, say

GO = ("-m", "go", "--model", MODEL)


def refused(user: User, *arguments: str, code: int, words: tuple[str, ...], **more) -> None:
    ran = user.glovebox(*arguments, **more)
    assert ran.code == code, (ran.code, ran.err)
    for word in words:
        assert word in ran.err, ran.err
    assert "Traceback" not in ran.err
    as_json = user.glovebox(*arguments, "--json", **more)
    assert as_json.code == code
    if code != 2 or as_json.out:
        assert as_json.of("Result")[-1]["exit_code"] == code


def test_usage(user: User):
    user.start()
    refused(user, "--modle", "x", code=2, words=("--model",))
    refused(user, "-m", "go", code=2, words=("no model", "--model"))
    refused(user, "-m", "  ", "--model", "x", code=2, words=("empty",))
    refused(user, *GO, "--sandbox", "host", code=2, words=("`host`", "local"))
    refused(user, *GO, "--network", "all", code=2, words=("network", "none"))
    refused(user, *GO, "--allow-host", "https://x", code=2, words=("https://x", "example.com"))
    refused(user, *GO, "--continue", code=2, words=("no session yet",))
    refused(user, *GO, "-C", "/nowhere", code=2, words=("/nowhere",))
    refused(user, "-m", "x", "--model", "replay:/none", code=2, words=("/none",))


def test_repositories_that_cannot_serve(user: User):
    user.repo.mkdir()
    user.git("init", "-q", "--bare")
    refused(user, *GO, code=2, words=("bare repository", "git worktree add"))


def test_configuration(user: User):
    user.start()
    place = user.home / ".config/glovebox/config.yml"
    place.parent.mkdir(parents=True)
    place.write_text("modle: x\n")
    refused(user, *GO, code=2, words=("modle", str(place), "did you mean `model`"))
    place.write_text("steps: many\n")
    refused(user, *GO, code=2, words=("steps", str(place)))
    place.write_text("a: [\n")
    refused(user, *GO, code=2, words=("not valid YAML", str(place)))
    place.unlink()
    (user.repo / ".glovebox.yml").write_text("model: evil/model\n")
    refused(user, *GO, code=2, words=("may only narrow", ".glovebox.yml"))
    (user.repo / ".glovebox.yml").unlink()
    more = {"GLOVEBOX_STEPPS": "3"}
    refused(user, *GO, code=2, words=("GLOVEBOX_STEPPS", "`steps`"), environment=more)


def test_no_room_for_a_session(user: User):
    user.start()
    full = {"within": ("sh", "-c", 'ulimit -f 0; exec "$@"', "sh")}
    refused(user, "sessions", "--json", code=2, words=(str(user.repo), "ulimit -f"), **full)
    user.glovebox("sessions")  # what has to be in the repository is there now
    refused(user, *GO, code=2, words=(str(user.state), "File too large", "ulimit -f"), **full)
    examined = user.glovebox("doctor", **full)
    assert "ulimit -f" in examined.out  # in one piece, where the rest is folded
    assert "Traceback" not in examined.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may have as many processes as it likes")
def test_no_other_thread(user: User):
    user.start()
    lacking = {"within": ("bash", "-c", 'ulimit -u 1; exec "$@"', "bash")}
    refused(user, *GO, code=2, words=("no other thread", "ulimit -u"), **lacking)


@pytest.mark.slow
@pytest.mark.sandbox
class TestProvider:
    def test_a_missing_key(self, user: User):
        user.start()
        more = {"OPENAI_API_KEY": ""}
        refused(user, *GO, code=3, words=("OPENAI_API_KEY",), environment=more)

    def test_a_refused_connection(self, user: User):
        user.start()
        with OpenAIServer([]) as server:
            url = server.url
        more = {"OPENAI_BASE_URL": url, "OPENAI_API_BASE": url}
        refused(user, *GO, code=4, words=("127.0.0.1",), environment=more)

    def test_a_refused_key(self, user: User):
        user.start()
        with OpenAIServer(lambda _: Fault(401, "bad key sk-canary-key")) as server:
            refused(user, *GO, code=3, words=("key",), server=server)

    def test_a_short_limit_is_waited_for(self, user: User):
        user.start()
        script = [Fault(429, "slow down", headers={"retry-after": "0"}), Fault(500), say("Ok.")]
        with OpenAIServer(script) as server:
            ran = user.glovebox(*GO, server=server)
        assert (ran.code, ran.out) == (0, "Ok.\n")
        assert "trying again" in ran.err

    def test_a_long_limit_ends_the_turn(self, user: User):
        user.start()
        fault = Fault(429, "come back tomorrow", headers={"retry-after": "86400"})
        with OpenAIServer(lambda _: fault) as server:
            refused(user, *GO, code=4, words=("limit",), server=server)

    def test_a_cut_stream_keeps_the_text_and_the_work(self, user: User):
        user.start()
        script = [
            reply("", call("bash", {"command": "echo kept > kept.txt"})),
            reply("I was about to say something", cut_after=4),
        ]
        with OpenAIServer(script) as server:
            ran = user.glovebox(*GO, server=server)
        assert ran.code == 4
        assert "I was about" in ran.out
        assert user.git("show", "glovebox/1:kept.txt") == "kept"


@pytest.mark.slow
@pytest.mark.sandbox
class TestSandbox:
    """All of glovebox runs in a machine that lacks something, which bubblewrap makes."""

    def test_no_bubblewrap(self, user: User):
        user.start()
        lacking = ("--dev-bind", "/", "/", "--ro-bind", "/dev/null", shutil.which("bwrap") or "")
        self.refused(user, lacking, ("bubblewrap", "install"))

    def test_no_user_namespaces(self, user: User):
        user.start()
        lacking = ("--dev-bind", "/", "/", "--unshare-user", "--disable-userns")
        # Root needs another user id for the sandbox, and in here there is none.
        words = ("ordinary user",) if os.geteuid() == 0 else ("user namespace",)
        self.refused(user, lacking, words)

    def refused(self, user: User, lacking: tuple[str, ...], words: tuple[str, ...]) -> None:
        before = user.fingerprint()
        with OpenAIServer(lambda _: reply("", call("bash", {"command": "id"}))) as server:
            ran = user.glovebox(*GO, "--json", server=server, within=("bwrap", *lacking, "--"))
        assert ran.code == 5, ran.err
        (result,) = ran.of("Result")
        assert result["problem"]["kind"] == "SandboxUnavailable"
        said = result["problem"]["message"] + result["problem"]["hint"]
        for word in words:
            assert word in said
        assert user.fingerprint() == before


def test_the_version_is_fast_and_plain(user: User):
    user.repo.mkdir()
    ran = user.glovebox("--version")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("glovebox ")


def test_a_gone_reader_is_no_traceback(user: User):
    import subprocess

    user.repo.mkdir()
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        user.argv("paths"), cwd=user.repo, env=user.environment, stdout=writer,
        stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writer)
    assert b"Traceback" not in done.stderr
