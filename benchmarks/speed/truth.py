"""Definitions and references against a real language server, on a real Python code base.

The server's answers are taken for the truth, which they are not always: it is blind where types are
not known, so that the precision of ours is a lower bound. Measured by the toolbox as it is shipped,
with and without the server's help; the server comes from an environment of its own.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agent.core.errors import UserError
from agent.host import env, files, process
from agent.sandbox import grammars
from agent.sandbox.toolbox import bundle

SERVER = "ty==0.0.105"
SECONDS = 3_600.0

_ASK = """
import json, random, sys, time
sys.path.insert(0, sys.argv[1])
root, folder, count = sys.argv[2], sys.argv[3], int(sys.argv[4])
from agent.toolbox.code import parsing
from agent.toolbox.symbols import build, store, lsp as symbols, servers, consult
from agent.toolbox.symbols.index import Index
from agent.toolbox.symbols.lookup import Lookup
from agent.toolbox.symbols.question import spot_of
from agent.toolbox.symbols.rows import name_id
parsing.use_grammars(folder)
build.build(root, store.database(), folder)
index = Index(root); index.refresh()
lookup = Lookup(index)
alone = lambda *_: None
helped = servers.find
chance = random.Random(7)

def ask(operation, target):
    limits = {"workdir": root, "file_max": 10_000_000}
    return symbols.lsp({"operation": operation, "target": target}, limits)

def every(found):
    return {(path, line) for path, lines in found.items() for line in lines}

# References: classes, functions and methods that at least three files use.
names = [name for (name,) in index.store.rows("SELECT text FROM name ORDER BY text")]
chance.shuffle(names)
kinds = {"class": [], "function": [], "method": []}
for name in names:
    if all(len(kept) >= count for kept in kinds.values()):
        break
    found = [one for one in lookup.definitions(name) if one.language == "python"]
    kept = [one for one in found if one.definition.kind in kinds and "tests/" not in one.path]
    if kept and len(name) > 3 and not name.startswith("__") and len(lookup.references(name)) >= 3:
        one = kept[0]
        if len(kinds[one.definition.kind]) < count:
            kinds[one.definition.kind].append((one, len(found)))
rows = []
cost = {"index": 0.0, "server": 0.0}
for kind, kept in kinds.items():
    for one, definitions in kept:
        begun = time.perf_counter()
        said = consult.references(lookup, spot_of(lookup, one), "python")
        cost["server"] += time.perf_counter() - begun
        if said is None:
            continue
        truth = {(spot.path, spot.line) for spot in said.value} - {(one.path, one.line)}
        if not truth:
            continue
        servers.find = alone
        begun = time.perf_counter()
        named = every(lookup.references(one.name))
        cost["index"] += time.perf_counter() - begun
        tied, open_ = symbols._sorted_out(
            symbols.Question(lookup, "", {}, {"workdir": root}), one, lookup.references(one.name)
        )
        if definitions == 1:
            tied = symbols._both(tied, open_)
        servers.find = helped
        rows.append([kind, definitions, len(truth), len(named), len(named & truth),
                     len(every(tied)), len(every(tied) & truth),
                     len((every(tied) | every(open_)) & truth), one.qualified])

# Definitions: from places where a name is used.
uses = []
paths = sorted(path for path in lookup.paths if path.endswith(".py"))
while len(uses) < 8 * count:
    path = chance.choice(paths)
    file = lookup.file(path)
    lines = len(lookup.text(path).split("\\n"))
    if lines < 5:
        continue
    line = chance.randrange(1, lines)
    known = [name for name in lookup.names_on(path, line) if lookup.defined(name)]
    if known:
        uses.append((path, line, chance.choice(known)))
first = three = listed = asked = 0
sure = {}
for path, line, name in uses:
    said = consult.definitions(lookup, symbols.Question(lookup, "", {}, {}).spot(
        symbols.Target(name, "", symbols.use_of(lookup, path, line, name)), None), "python")
    truth = {(spot.path, spot.line) for spot in said.value} if said else set()
    every_one = {(one.path, one.line) for one in lookup.definitions(name)}
    if not truth & every_one:
        continue
    servers.find = alone
    answer = ask("definition", "%s:%d:%s" % (path, line, name))
    servers.find = helped
    if not answer["ok"]:
        continue
    asked += 1
    found = [(g["path"], r[0]) for g in answer["groups"] for r in g["rows"]]
    best = found[0]
    first += best in truth
    three += bool(truth & set(found[:3]))
    listed += bool(truth & every_one)
    right, all_ = sure.get(answer["sure"], (0, 0))
    sure[answer["sure"]] = right + (best in truth), all_ + 1
servers.end_all()
print(json.dumps({"rows": rows, "first": first, "three": three, "listed": listed,
                  "asked": asked, "sure": sure, "cost": cost}))
"""


async def measure_truth(repository: Path, count: int) -> None:
    """Measure `count` symbols of each kind and print precision and recall."""
    program = await _server()
    with files.temporary_dir("glovebox-truth-") as folder:
        archive = folder / "toolbox.zip"
        files.write_whole(archive, bundle())
        given = {
            "PATH": f"{program.parent}:{env.variable('PATH')}",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "XDG_CACHE_HOME": str(folder / "cache"),
        }
        argv = [sys.executable, "-I", "-S", "-c", _ASK, str(archive), str(repository)]
        argv += [grammars.for_local(sys.executable), str(count)]
        done = await process.run(argv, env=given, seconds=SECONDS)
    if done.exit_code:
        raise UserError("the measurement failed", done.stderr.decode("utf-8", "replace")[-3_000:])
    _print(json.loads(done.stdout.splitlines()[-1]))


def _print(said: dict[str, Any]) -> None:
    """Means over the symbols: one that is used everywhere counts like any other."""
    rows: list[Sequence[Any]] = said["rows"]
    print(f"{'references':<20} {'symbols':>8} {'by name alone':>16} {'as answered':>16}")
    print(f"{'':<20} {'':>8} {'prec.':>8} {'recall':>7} {'prec.':>8} {'recall':>7} {'+ maybe':>8}")
    groups: dict[str, Callable[[Sequence[Any]], bool]] = {
        "all": lambda row: True,
        "one definition": lambda row: row[1] == 1,
        "several": lambda row: row[1] > 1,
        "classes": lambda row: row[0] == "class",
        "functions": lambda row: row[0] == "function",
        "methods": lambda row: row[0] == "method",
    }
    for label, fits in groups.items():
        kept = [row for row in rows if fits(row)]
        if kept:
            shares = [
                (both / named, both / truth, right / (tied or 1), right / truth, maybe / truth)
                for _, _, truth, named, both, tied, right, maybe, _ in kept
            ]
            numbers = [f"{statistics.mean(column):.2f}" for column in zip(*shares, strict=True)]
            shown = " ".join(f"{n:>{w}}" for n, w in zip(numbers, (8, 7, 8, 7, 8), strict=True))
            print(f"{label:<20} {len(kept):>8} {shown}")
    asked = said["asked"] or 1
    print(f"\ndefinitions from {asked} uses, without a server:", end=" ")
    print(", ".join(f"{key} {said[key] / asked:.2f}" for key in ("first", "three", "listed")))
    for sure, (right, every) in said["sure"].items():
        print(f"  said to be {sure}: {right} of {every} right")
    print("seconds for all references:", said["cost"])


async def _server() -> Path:
    """The server's program, from an environment that is made when it is absent."""
    place = env.state_dir() / "benchmarks" / SERVER
    if not files.exists(place / "complete"):
        print(f"installing {SERVER} into {place}", file=sys.stderr, flush=True)
        python = str(place / "bin" / "python")
        for argv in ([sys.executable, "-m", "venv", str(place)],
                     [python, "-m", "pip", "install", "-q", SERVER]):  # fmt: skip
            done = await process.run(argv, env=env.variables(), seconds=SECONDS)
            if done.exit_code:
                raise UserError(f"{SERVER} cannot be installed", done.stderr.decode()[-2_000:])
        files.write_whole(place / "complete", b"")
    return place / "bin" / "ty"
