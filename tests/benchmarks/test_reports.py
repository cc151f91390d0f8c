from __future__ import annotations

from benchmarks.reports import Run, read_report, words_of


def test_junit() -> None:
    report = b"""<testsuites><testsuite>
      <testcase classname="a.T" name="one"/>
      <testcase classname="a.T" name="two"><failure>no</failure></testcase>
      <testcase classname="a.T" name="three"><error/></testcase>
      <testcase classname="a.T" name="four"><skipped/></testcase>
      <testcase name="one"/><testcase name="one"><failure/></testcase>
    </testsuite></testsuites>"""
    assert read_report("junit", Run({"r.xml": report})) == {
        "a.T::one": "passed",
        "a.T::two": "failed",
        "a.T::three": "failed",
        "a.T::four": "skipped",
        "one": "passed",
        "one #2": "failed",
    }


def test_go_counts_tests_and_not_the_rows_of_their_tables() -> None:
    report = b"""{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"said\\n"}
{"Action":"pass","Package":"p","Test":"TestA/row"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"skip","Package":"p","Test":"TestC"}
{"Action":"fail","Package":"p"}
no json
"""
    run = Run({"go.json": report}, "built\n")
    assert read_report("go", run) == {
        "p::TestA": "passed",
        "p::TestB": "failed",
        "p::TestC": "skipped",
    }
    assert words_of("go", run) == "built\nsaid\n"


def test_jest() -> None:
    report = b"""{"testResults": [{"assertionResults": [
      {"fullName": "A b", "status": "passed"}, {"fullName": "A c", "status": "failed"},
      {"fullName": "A d", "status": "pending"}]}, {"assertionResults": []}]}"""
    assert read_report("jest", Run({"jest.json": report})) == {
        "A b": "passed",
        "A c": "failed",
        "A d": "skipped",
    }


def test_libtest_tells_the_same_name_in_two_files_apart() -> None:
    report = b"""     Running unittests src/lib.rs (target/debug/deps/x-1)

running 0 tests
     Running tests/a.rs (target/debug/deps/a-1)
test one ... ok
test two ... FAILED
test three - should panic ... ok
     Running tests/b.rs (target/debug/deps/b-1)
test one ... ignored
   Doc-tests x
test src/lib.rs - f (line 3) ... ok
"""
    assert read_report("libtest", Run({"libtest.txt": report})) == {
        "tests/a.rs::one": "passed",
        "tests/a.rs::two": "failed",
        "tests/a.rs::three": "passed",
        "tests/b.rs::one": "skipped",
        "x::src/lib.rs - f (line 3)": "passed",
    }


def test_what_cannot_be_read_has_no_tests_in_it() -> None:
    for kind, name in (("junit", "r.xml"), ("go", "r.json"), ("jest", "r.json")):
        for data in (b"", b"<", b"[1, 2", b'{"testResults": 3}', b"\xff\x00"):
            assert read_report(kind, Run({name: data})) == {}
        assert read_report(kind, Run({})) == {}
