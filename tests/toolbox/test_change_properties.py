"""What holds for every text: replacement is literal, a patch lands where it was made or nowhere."""

from __future__ import annotations

import difflib
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.toolbox.box import Box, box

some = settings(
    max_examples=120,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
few = settings(some, max_examples=60)


@pytest.fixture(scope="module", name="ask")
def _ask(tmp_path_factory: pytest.TempPathFactory) -> Generator[Box]:
    with box(tmp_path_factory.mktemp("properties")) as opened:
        yield opened


# Few different characters, so that things occur twice, and those that mean something elsewhere.
CHARS = st.sampled_from("aab \t\n\n\\$&{}%1*.[^é日🎉\u2028\x0c\x85")
ANY = st.text(CHARS, max_size=12) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12
)
TEXT = st.text(CHARS, min_size=1, max_size=60)


@st.composite
def replacement(draw: st.DrawFn) -> tuple[str, str, str]:
    """A text, a part of it, and what shall stand there."""
    source = draw(TEXT)
    start = draw(st.integers(0, len(source) - 1))
    end = draw(st.integers(start + 1, len(source)))
    return source, source[start:end], draw(ANY)


def occurrences(source: str, old: str) -> int:
    return sum(source.startswith(old, at) for at in range(len(source)))


@some
@given(replacement())
def test_one_text_is_replaced_by_another_and_by_nothing_else(
    ask: Box, case: tuple[str, str, str]
) -> None:
    source, old, new = case
    ask.fill({"f": source})
    done = ask("edit", path="f", old=old, new=new)
    if old == new:
        assert done["reason"] == "same"
    elif occurrences(source, old) > 1:
        assert (done["reason"], done["count"]) == ("ambiguous", occurrences(source, old))
    else:
        assert ask.files()["f"] == source.replace(old, new).encode()


@some
@given(replacement())
def test_all_are_replaced_as_python_would(ask: Box, case: tuple[str, str, str]) -> None:
    source, old, new = case
    ask.fill({"f": source})
    done = ask("edit", path="f", old=old, new=new, all=True)
    if old != new:
        assert ask.files()["f"] == source.replace(old, new).encode()
        assert done["replaced"] == source.count(old)


@some
@given(replacement(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be"]))
def test_windows_line_ends_and_encodings_are_kept(
    ask: Box, case: tuple[str, str, str], encoding: str
) -> None:
    source, old, new = case
    new = new.replace("\r", "")
    mark = {"utf-16": "\ufeff", "utf-16-be": "\ufeff"}.get(encoding, "")
    codec = {"utf-16": "utf-16-le"}.get(encoding, encoding)
    source += "\n"  # at least one line end, which then tells what kind the file has
    ask.fill({"f": (mark + source.replace("\n", "\r\n")).encode(codec)})
    done = ask("edit", path="f", old=old, new=new, all=True)
    if old != new:
        assert done["ok"]
        after = source.replace(old, new).replace("\n", "\r\n")
        if "\n" in new or source.count("\n") > old.count("\n"):
            assert ask.files()["f"] == (mark + after).encode(codec)


@some
@given(replacement())
def test_there_and_back_leaves_every_byte_where_line_ends_are_mixed(
    ask: Box, case: tuple[str, str, str]
) -> None:
    source, old, _ = case
    ends = ("\r\n", "\n")
    mixed = "".join(
        line + ends[at % 2] for at, line in enumerate(source.replace("\r", "").split("\n"))
    )
    if occurrences(source + "\n", old) != 1:
        return
    ask.fill({"f": mixed})
    assert ask("edit", path="f", old=old, new=old + "ÿ" + "§")["ok"]
    assert ask("edit", path="f", old="ÿ§", new="")["ok"]
    assert ask.files()["f"] == mixed.encode()


@some
@given(st.lists(st.tuples(st.sampled_from("fg"), replacement()), min_size=1, max_size=4))
def test_several_edits_are_one_after_the_other_or_none(
    ask: Box, cases: list[tuple[str, tuple[str, str, str]]]
) -> None:
    texts = {"f": cases[0][1][0], "g": cases[-1][1][0]}
    before = {name: text.encode() for name, text in texts.items()}
    ask.fill(texts)
    edits = [{"path": name, "old": old, "new": new} for name, (_, old, new) in cases]
    done = ask("multiedit", edits=edits)
    if not done["ok"]:
        assert ask.files() == before
        return
    if any(told["steps"] for told in done["files"]):
        return  # what the ladder does is in the tables
    for edit in edits:
        texts[edit["path"]] = texts[edit["path"]].replace(edit["old"], edit["new"], 1)
    assert ask.files() == {name: text.encode() for name, text in texts.items()}


LINE = st.sampled_from(
    ["", "a", "b", "  a", "\ta", "-a", "+a", "@@", "--- a", "+++ b", "\\ No", "é"]
)
LINES = st.lists(LINE, max_size=14)


@st.composite
def revision(draw: st.DrawFn) -> tuple[str, str]:
    """A text and what somebody made of it."""
    before = draw(LINES)
    after = list(before)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(after)))
        after[at : at + draw(st.integers(0, 2))] = draw(st.lists(LINE, max_size=2))
    ends = [draw(st.sampled_from(["\n", ""])) for _ in "ab"]
    return joined(before, ends[0]), joined(after, ends[1])


def joined(lines: list[str], end: str) -> str:
    text = "\n".join(lines)
    return text + end if text or len(lines) > 1 else ("\n" if lines else "")


@few
@given(revision(), st.integers(1, 4))
def test_a_diff_of_git_gives_what_git_had(
    ask: Box, tmp_path: Path, case: tuple[str, str], context: int
) -> None:
    before, after = case
    if before == after:
        return
    for name, text in (("a", before), ("b", after)):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "f").write_bytes(text.encode())
    diff = subprocess.run(
        ["git", "diff", "--no-index", f"-U{context}", "--no-prefix", "a/f", "b/f"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        check=False,
    ).stdout.decode()
    ask.fill({"f": before})
    done = ask("patch", patch=diff)
    if done["ok"]:
        assert ask.files() == {"f": after.encode()}
        assert [step for told in done["files"] for step in told["steps"]] == []
    else:
        # Additions without any line around them, where git counts and we do not.
        assert {one["reason"] for one in done["failures"]} == {"no_context"}
        assert ask.files() == {"f": before.encode()}


def enveloped(before: list[str], after: list[str], context: int) -> str:
    """The patch that a careful model would write."""
    patch = "*** Begin Patch\n*** Update File: f\n"
    matcher = difflib.SequenceMatcher(None, before, after)
    for group in matcher.get_grouped_opcodes(context):
        patch += "@@\n"
        for tag, a, b, c, d in group:
            if tag == "equal":
                patch += "".join(f" {line}\n" for line in before[a:b])
            else:
                patch += "".join(f"-{line}\n" for line in before[a:b])
                patch += "".join(f"+{line}\n" for line in after[c:d])
    return patch + "*** End Patch\n"


@some
@given(revision(), st.integers(1, 4))
def test_a_patch_lands_where_it_was_made_or_nowhere(
    ask: Box, case: tuple[str, str], context: int
) -> None:
    before, after = (text.split("\n")[:-1] for text in case)
    if before == after:
        return
    ask.fill({"f": "".join(f"{line}\n" for line in before)})
    done = ask("patch", patch=enveloped(before, after, context))
    if done["ok"]:
        assert ask.files() == {"f": "".join(f"{line}\n" for line in after).encode()}
    else:
        reasons = {one["reason"] for one in done["failures"]}
        assert reasons <= {"ambiguous", "no_context"}, done
        assert ask.files() == {"f": "".join(f"{line}\n" for line in before).encode()}


@some
@given(
    st.lists(st.integers(0, 3), min_size=3, max_size=10),
    st.data(),
    st.sampled_from(["    ", "\t", "  "]),
)
def test_a_block_written_with_another_indentation_is_put_back_with_the_files(
    ask: Box, depths: list[int], data: st.DataObject, unit: str
) -> None:
    lines = [f"{unit * depth}line_{at}()" for at, depth in enumerate(depths)]
    start = data.draw(st.integers(0, len(lines) - 2))
    end = data.draw(st.integers(start + 2, len(lines)))
    least = min(depths[start:end])
    other = data.draw(st.sampled_from(["    ", "\t", "  "]))

    def written(at: int, name: str) -> str:
        return other * (depths[at] - least) + name

    old = [written(at, f"line_{at}()") for at in range(start, end)]
    new = [*old]
    changed = data.draw(st.integers(start, end - 1))
    new[changed - start] = written(changed, "changed()")
    ask.fill({"f": "".join(f"{line}\n" for line in lines)})
    done = ask("edit", path="f", old="\n".join(old) + "\n", new="\n".join(new) + "\n")
    assert done["ok"], done
    lines[changed] = f"{unit * depths[changed]}changed()"
    assert ask.files() == {"f": "".join(f"{line}\n" for line in lines).encode()}
