"""How the tests of each language of Exercism are found, un-skipped and run.

Scripts run in the exercise's directory. Compilers and runners are the sandbox's own; nothing is
downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.tasks import Grader

_JARS = (
    *("junit-jupiter-api", "junit-jupiter-engine", "junit-jupiter-params"),
    *("junit-platform-commons", "junit-platform-console", "junit-platform-engine"),
    *("junit-platform-launcher", "junit-platform-reporting", "opentest4j"),
    *("opentest4j-reporting-events", "apiguardian-api", "picocli", "univocity-parsers"),
    *("assertj-core", "json-latest"),
)

_PYTHON = """
exec python3 -m pytest -q -p no:cacheprovider -c /dev/null --rootdir=. \\
  --junitxml="$REPORT/junit.xml"
"""
_GO = """
GOFLAGS=-count=1 GOTOOLCHAIN=local exec go test -json ./... >"$REPORT/go.json"
"""
_RUST = """
cargo test --offline --no-fail-fast --color never -- --include-ignored >"$REPORT/libtest.txt" 2>&1
code=$?
cat "$REPORT/libtest.txt"
exit $code
"""
_JAVASCRIPT = """
ln -s "$(npm root -g)" node_modules
exec node node_modules/jest/bin/jest.js --ci --json --outputFile="$REPORT/jest.json" \\
  --testTimeout=30000
"""
# The custom target of the same build would run the tests with a report for people only.
_CPP = """
cmake -S . -B build -DEXERCISM_RUN_ALL_TESTS=1 >build.log 2>&1 || { cat build.log; exit 1; }
name=$(basename "$PWD")
cmake --build build --target "$name" 2>&1 || exit 1
build/"$name" -r junit -o "$REPORT/junit.xml"
code=$?
[ $code = 0 ] || build/"$name"
exit $code
"""
_JAVA = f"""
jars={":".join(f"/usr/share/java/{name}.jar" for name in _JARS)}
mkdir build
find src/main src/test -name '*.java' >build/sources
javac -encoding UTF-8 -nowarn -d build/classes -cp "$jars" @build/sources || exit 1
exec java -cp "$jars:build/classes" org.junit.platform.console.ConsoleLauncher \\
  --disable-banner --disable-ansi-colors --scan-classpath build/classes --reports-dir "$REPORT"
"""


@dataclass(frozen=True, slots=True)
class Track:
    """One language. `more` are patterns of new source files that an agent may add.

    With `folder` the exercise lies in a directory of its name, which its build asks for. `unskip`
    are patterns and what takes their place in test files; `places` where reference files go.
    """

    grader: Grader
    more: tuple[str, ...] = ()
    folder: bool = False
    unskip: Mapping[str, str] = field(default_factory=dict[str, str])
    places: Mapping[str, str] = field(default_factory=dict[str, str])

    def unskipped(self, data: bytes) -> bytes:
        """A test file in which nothing is skipped."""
        for pattern, instead in self.unskip.items():
            data = re.sub(pattern.encode(), instead.encode(), data)
        return data


TRACKS: Mapping[str, Track] = {
    "cpp": Track(
        Grader(_CPP, "junit", (("cmake --version && c++ --version", "install cmake and g++"),)),
        folder=True,
    ),
    "go": Track(Grader(_GO, "go", (("go version", "install go"),))),
    "java": Track(
        Grader(
            _JAVA,
            "junit",
            (
                ("javac -version", "install a JDK"),
                (
                    f"cd /usr/share/java && ls {' '.join(f'{name}.jar' for name in _JARS)}",
                    "apt install junit5 libassertj-core-java libandroid-json-org-java",
                ),
            ),
        ),
        more=("src/main/java/*.java",),
        unskip={r"@Disabled\b(\s*\(\s*\"(?:[^\"\\]|\\.)*\"\s*\))?": ""},
        places={".meta/src/reference/java/": "src/main/java/"},
    ),
    "javascript": Track(
        Grader(
            _JAVASCRIPT,
            "jest",
            (
                (
                    "ls $(npm root -g)/jest $(npm root -g)/@exercism/babel-preset-javascript",
                    "npm install -g the packages that `benchmarks/README.md` names",
                ),
            ),
        ),
        unskip={
            r"\bx(test|it|describe)\b(?=[.(])": r"\1",
            r"\b(test|it|describe)\.skip\b": r"\1",
        },
    ),
    "python": Track(
        Grader(_PYTHON, "junit", (("python3 -m pytest --version", "pip install pytest"),)),
    ),
    "rust": Track(
        Grader(_RUST, "libtest", (("cargo --version", "install rust"),)),
        more=("src/*.rs",),
    ),
}
