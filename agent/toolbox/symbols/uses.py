"""Which uses of a name are uses of one definition of it, and which are calls."""

from __future__ import annotations

import re
from typing import Dict, List, Tuple

from agent.toolbox.symbols import rows
from agent.toolbox.symbols.lookup import Found, Lookup
from agent.toolbox.symbols.ranking import MAYBE, NO, YES, Place, uses_of

OTHERS_MAX = 12

Lines = Dict[str, List[int]]
"""Numbers of lines, by the path of the file they are in."""


def sorted_out(lookup: Lookup, best: Found, uses: Lines) -> Tuple[Lines, Lines, Lines]:
    """Uses that imports or the place tie to `best`, bare names, and members of something unknown.

    What speaks for another definition is in none of them.
    """
    tied: Lines = {}
    bare: Lines = {}
    members: Lines = {}
    others = [one for one in lookup.definitions(best.name) if one != best]
    for path, lines in uses.items():
        for line in lines:
            used = uses_of(lookup, path, line, best.name)
            places = [Place(lookup, use) for use in used]
            said = {place.says(best) for place in places}
            if YES in said:
                tied.setdefault(path, []).append(line)
            elif MAYBE in said and not any(
                place.says(other) == YES for place in places for other in others[:OTHERS_MAX]
            ):
                into = members if any(use.member for use in used) else bare
                into.setdefault(path, []).append(line)
    return tied, bare, members


def may_be_others(lookup: Lookup, best: Found, uses: Lines) -> Lines:
    """The uses that may not mean `best`, although nothing else here has its name.

    Those are members of what nobody knows, which may be of the language or of a library, and names
    that imports say are from elsewhere.
    """
    found: Lines = {}
    for path, lines in uses.items():
        for line in lines:
            for use in uses_of(lookup, path, line, best.name):
                said = Place(lookup, use).says(best)
                if said == NO or (said == MAYBE and use.member):
                    found.setdefault(path, []).append(line)
                    break
    return found


def both(one: Lines, other: Lines) -> Lines:
    return {
        path: sorted({*one.get(path, ()), *other.get(path, ())})
        for path in dict.fromkeys((*one, *other))
    }


def is_call(lookup: Lookup, path: str, line: int, name: str) -> bool:
    """Whether a line calls a name, as far as its text tells."""
    text = lookup.line(path, line)
    if re.search(rows.whole(name) + r"\s*(?:(?:<[^<>()]*>|::<[^()]*>)\s*)?!?\(", text):
        return True
    if re.search(r"@" + r"(?:[\w.]*\.)?" + re.escape(name) + r"(?![\w$])", text):
        return True
    if path.endswith((".rb", ".rake")):  # a name with one colon before it is a symbol
        return bool(re.search(r"(?<!(?<!:):)" + rows.whole(name), text))
    return path.endswith((".sh", ".bash")) and bool(re.search(rows.whole(name), text))
