"""Merging into the user's branch: by their own git, whole or not at all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.core.errors import UserError
from agent.git.merging import HOWS, How, Proposal, Work, accept, proposing
from agent.git.replay import Conflict
from agent.git.repository import Repository
from tests.git.users import User

GOING_ON = (
    "MERGE_HEAD",
    "MERGE_MSG",
    "SQUASH_MSG",
    "CHERRY_PICK_HEAD",
    "rebase-merge",
    "index.lock",
)


def state(user: User) -> tuple[object, ...]:
    """Where the user is and every byte in the working tree."""
    files = {
        str(path.relative_to(user.root)): (path.lstat().st_mode, path.read_bytes())
        for path in user.root.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(user.root).parts
    }
    status = user.git("--no-optional-locks", "status", "--porcelain=v2", "--branch")
    going_on = sorted(name for name in GOING_ON if (user.root / ".git" / name).exists())
    return status, user.git("for-each-ref"), user.git("stash", "list"), going_on, files


class Case:
    """A user's repository in which an agent has worked, from a snapshot of dirty work or not."""

    def __init__(self, user: User, *, dirty: bool = False) -> None:
        self.user = user
        self.base = user.git("rev-parse", "HEAD")
        user.git("checkout", "--quiet", "-b", "glovebox/1")
        self.start = user.commit("snapshot", **{"wip.txt": "mine\n"}) if dirty else self.base
        self.user.git("config", "user.name", "An Agent")
        self.tip = self.start
        self.back()

    def agent(self, message: str, **files: str) -> str:
        self.user.git("checkout", "--quiet", "glovebox/1")
        self.user.git("config", "user.name", "An Agent")
        self.tip = self.user.commit(message, **files)
        self.back()
        return self.tip

    def back(self) -> None:
        self.user.git("checkout", "--quiet", "main")
        self.user.git("config", "user.name", "Ada Lovelace")

    @property
    def work(self) -> Work:
        return Work(self.base, self.start, self.tip)

    async def merge(self, how: How, message: str = "Take it", *, hooks: bool = True) -> str:
        repository = await Repository.find(self.user.root)
        async with proposing(repository, self.work, how) as proposal:
            return await accept(repository, proposal, message, hooks=hooks)

    def subjects(self) -> list[str]:
        return self.user.git("log", "--format=%s", f"{self.base}..main").split("\n")

    def hook(self, name: str, script: str) -> None:
        self.user.write(f".git/hooks/{name}", f"#!/bin/sh\n{script}\n", mode=0o755)


@pytest.fixture
def case(user: User) -> Case:
    made = Case(user)
    made.agent("Add c", **{"c.txt": "c\n"})
    made.agent("Change a", **{"a.txt": "one\ntwo\nthree\n"})
    return made


async def test_a_merge_has_both_parents_and_is_the_users(case: Case) -> None:
    mine = case.user.commit("mine", **{"mine.txt": "m\n"})
    head = await case.merge("merge", "Take the agent's work\n\nBody.")
    user = case.user
    assert user.git("rev-parse", "main^1", "main^2").split() == [mine, case.tip]
    assert user.git("log", "-1", "--format=%an %cn %B", head).startswith(
        "Ada Lovelace Ada Lovelace Take the agent's work\n\nBody."
    )
    assert user.git("status", "--porcelain") == ""
    assert user.path("a.txt").read_text() == "one\ntwo\nthree\n"
    assert user.git("for-each-ref", "refs/glovebox") == ""


async def test_a_squash_is_one_commit(case: Case) -> None:
    case.user.commit("mine", **{"mine.txt": "m\n"})
    await case.merge("squash")
    assert case.subjects() == ["Take it", "mine"]
    assert case.user.git("status", "--porcelain") == ""
    assert case.user.path("c.txt").read_text() == "c\n"


async def test_a_rebase_keeps_commits_and_their_authors(case: Case) -> None:
    case.user.commit("mine", **{"mine.txt": "m\n"})
    await case.merge("rebase")
    assert case.subjects() == ["Change a", "Add c", "mine"]
    names = case.user.git("log", "-2", "--format=%an/%cn")
    assert names == "An Agent/Ada Lovelace\nAn Agent/Ada Lovelace"
    assert case.user.git("rev-list", "--min-parents=2", "main") == ""
    dates = case.user.git("log", "-1", "--format=%ad", "main")
    assert dates == case.user.git("log", "-1", "--format=%ad", case.tip)


async def test_a_patch_changes_files_alone(case: Case) -> None:
    head = case.user.git("rev-parse", "HEAD")
    assert await case.merge("patch") == head
    assert case.user.git("status", "--porcelain") == " M a.txt\n?? c.txt"


@pytest.mark.parametrize("how", HOWS)
async def test_the_snapshot_of_uncommitted_work_is_never_merged(user: User, how: How) -> None:
    case = Case(user, dirty=True)
    case.agent("Add c", **{"c.txt": "c\n"})
    user.write("wip.txt", "mine, and more since\n")
    await case.merge(how)
    assert user.git("log", "--all", "--not", "glovebox/1", "--format=%s").count("snapshot") == 0
    assert "snapshot" not in user.git("log", "--format=%s", "main")
    assert user.path("wip.txt").read_text() == "mine, and more since\n"
    assert user.path("c.txt").read_text() == "c\n"
    assert "wip.txt" not in user.tree("HEAD")


@pytest.mark.parametrize("how", HOWS)
async def test_a_conflict_is_found_before_anything_is_touched(case: Case, how: How) -> None:
    case.user.commit("mine", **{"a.txt": "other\n"})
    case.user.write("b.txt", "dirty\n")
    before = state(case.user)
    with pytest.raises(Conflict) as raised:
        await case.merge(how)
    assert raised.value.paths == ("a.txt",)
    assert state(case.user) == before


@pytest.mark.parametrize("how", HOWS)
async def test_changes_of_the_user_in_the_way_stay(case: Case, how: How) -> None:
    case.user.write("a.txt", "one\ntwo\nmine\n")
    before = state(case.user)
    with pytest.raises(UserError, match=r"a\.txt") as raised:
        await case.merge(how)
    assert "stash" in raised.value.hint
    assert state(case.user) == before
    assert case.user.path("a.txt").read_text() == "one\ntwo\nmine\n"


@pytest.mark.parametrize("how", HOWS)
async def test_changes_elsewhere_stay_as_they_are(case: Case, how: How) -> None:
    case.user.write("dir/b.txt", "dirty\n")
    case.user.write("new.txt", "new\n")
    await case.merge(how)
    assert case.user.path("dir/b.txt").read_text() == "dirty\n"
    status = case.user.git("status", "--porcelain")
    assert " M dir/b.txt" in status
    assert "?? new.txt" in status


@pytest.mark.parametrize("how", ["merge", "squash", "rebase"])
async def test_a_staged_change_is_not_swept_in(case: Case, how: How) -> None:
    case.user.write("dir/b.txt", "staged\n")
    case.user.git("add", "dir/b.txt")
    before = state(case.user)
    with pytest.raises(UserError, match="staged changes"):
        await case.merge(how)
    assert state(case.user) == before


@pytest.mark.parametrize(
    ("how", "name"), [("merge", "pre-merge-commit"), ("merge", "commit-msg"),
                      ("squash", "pre-commit"), ("squash", "commit-msg")],
)  # fmt: skip
async def test_a_hook_that_refuses_leaves_everything(case: Case, how: How, name: str) -> None:
    case.user.commit("mine", **{"mine.txt": "m\n"})
    case.hook(name, 'echo "not like that" >&2; exit 1')
    case.user.write("dir/b.txt", "dirty\n")
    before = state(case.user)
    with pytest.raises(UserError, match="not like that") as raised:
        await case.merge(how)
    assert "--no-hooks" in raised.value.hint
    assert state(case.user) == before
    await case.merge(how, hooks=False)
    assert case.user.path("c.txt").exists()


async def test_hooks_run_without_the_keys(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "canary")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("OF_MINE", "mine")
    case.hook("commit-msg", "env >seen")
    await case.merge("squash")
    seen = case.user.path("seen").read_text()
    assert "OF_MINE=mine" in seen
    assert "canary" not in seen


async def test_hooks_in_the_tree_that_would_be_changed_do_not_run(case: Case) -> None:
    case.user.git("config", "core.hooksPath", ".husky")
    case.agent("Change hooks", **{".husky/post-merge": "#!/bin/sh\ntouch taken\n"})
    case.user.git("checkout", "--quiet", "glovebox/1")
    case.user.path(".husky/post-merge").chmod(0o755)
    case.tip = case.user.commit("Let them run")
    case.back()
    repository = await Repository.find(case.user.root)
    async with proposing(repository, case.work, "merge") as proposal:
        assert proposal.changes_hooks == ".husky"
        await accept(repository, proposal, "Take it")
    assert case.user.path(".husky/post-merge").exists()
    assert not case.user.path("taken").exists()
    # The control: the user's own next merge would run it.
    case.user.git("checkout", "--quiet", "-b", "other", case.base)
    case.user.commit("other", **{"o.txt": "o\n"})
    case.user.git("checkout", "--quiet", "main")
    case.user.git("merge", "--quiet", "-m", "other", "other")
    assert case.user.path("taken").exists()


async def test_commits_are_signed_when_the_user_signs(case: Case, tmp_path: Path) -> None:
    signer = tmp_path / "signer"
    signer.write_text(
        "#!/bin/sh\ncat >/dev/null\n"
        'echo "[GNUPG:] SIG_CREATED D 1 8 00 0 0" >&2\n'
        'printf -- "-----BEGIN PGP SIGNATURE-----\\nx\\n-----END PGP SIGNATURE-----\\n"\n'
    )
    signer.chmod(0o755)
    for key, value in (("commit.gpgSign", "true"), ("gpg.program", str(signer))):
        case.user.git("config", key, value)
    await case.merge("rebase")
    for commit in case.user.git("rev-list", f"{case.base}..main").split():
        assert "gpgsig" in case.user.git("cat-file", "commit", commit)


async def test_what_is_there_already_is_said(case: Case) -> None:
    await case.merge("rebase")
    for how in HOWS:
        with pytest.raises(UserError, match="all of this already"):
            await case.merge(how)


async def test_a_branch_that_moved_since_is_not_merged_into(case: Case) -> None:
    repository = await Repository.find(case.user.root)
    async with proposing(repository, case.work, "squash") as proposal:
        case.user.commit("meanwhile", **{"m.txt": "m\n"})
        before = state(case.user)
        with pytest.raises(UserError, match="has moved"):
            await accept(repository, proposal, "Take it")
    assert state(case.user) == before


async def test_nothing_is_merged_into_a_merge_or_a_detached_head(case: Case) -> None:
    case.user.git("checkout", "--quiet", "--detach")
    with pytest.raises(UserError, match="at no branch"):
        await case.merge("merge")
    case.back()
    case.user.commit("mine", **{"a.txt": "other\n"})
    case.user.git("checkout", "--quiet", "-b", "side", "HEAD^")
    case.user.commit("side", **{"a.txt": "side\n"})
    case.user.git("merge", "main", ok=False)
    with pytest.raises(UserError, match="merge is going on"):
        await _accept_squash_of(case)


async def _accept_squash_of(case: Case) -> None:
    case.base = case.user.git("rev-parse", "HEAD")
    tree = case.user.git("mktree", stdin=b"")
    case.start = case.base
    case.tip = case.user.git("commit-tree", tree, "-p", case.base, "-m", "empty")
    await case.merge("squash")


async def test_two_merges_at_once_do_not_mix(case: Case) -> None:
    repository = await Repository.find(case.user.root)
    async with proposing(repository, case.work, "squash") as proposal:
        case.hook("pre-commit", "touch up; while test ! -e go; do sleep 0.05; done")
        first = asyncio.create_task(accept(repository, proposal, "Take it"))
        while not case.user.path("up").exists():
            await asyncio.sleep(0.01)
        with pytest.raises(UserError, match="another merge"):
            await accept(repository, proposal, "Take it too")
        case.user.write("go")
        await first
    assert case.subjects() == ["Take it"]


async def test_the_look_at_a_proposal_is_what_comes(case: Case) -> None:
    case.user.commit("mine", **{"mine.txt": "m\n"})
    repository = await Repository.find(case.user.root)
    seen: list[Proposal] = []
    async with proposing(repository, case.work, "squash") as proposal:
        seen.append(proposal)
        diff = await proposal.view.diff(proposal.onto, proposal.commit)
        paths = [c.path for c in await proposal.view.changes(proposal.onto, proposal.commit)]
        head = await accept(repository, proposal, "Take it")
    assert "+three" in diff
    assert paths == ["a.txt", "c.txt"]
    assert case.user.git("rev-parse", f"{head}^{{tree}}") == seen[0].tree
