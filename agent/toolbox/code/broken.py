"""Where the syntax of a text breaks, told from its tree."""

from __future__ import annotations

from typing import Any, List, Tuple

ERRORS_MAX = 50
_CLOSES = {")": "(", "]": "[", "}": "{"}


def errors_of(root: Any, source: bytes) -> List[Tuple[int, str]]:
    """The first syntax errors of a tree, by line."""
    found: List[Tuple[int, str]] = []
    if not root.has_error:
        return found
    waiting = [root]
    while waiting and len(found) < ERRORS_MAX:
        node = waiting.pop()
        if node.is_missing and node.type[:1] == "_":
            continue  # a line's end that some grammars want
        if node.is_missing:
            found.append((node.start_point[0] + 1, "missing `%s`" % node.type))
        elif node.is_error:
            found.append(_error(node, source))
        else:
            waiting += [child for child in reversed(node.children) if child.has_error]
    return sorted(found)


def _error(node: Any, source: bytes) -> Tuple[int, str]:
    """A part that fits nowhere: most often a bracket in it was never closed."""
    opened: List[Any] = []
    if node.start_point[0] != node.end_point[0]:
        for child in node.children[:2_000]:
            if child.type in "([{":
                opened.append(child)
            elif opened and _CLOSES.get(child.type) == opened[-1].type:
                opened.pop()
    if opened:
        return opened[-1].start_point[0] + 1, "`%s` is never closed" % opened[-1].type
    text = source[node.start_byte : min(node.end_byte, node.start_byte + 200)].split(b"\n")[0]
    return node.start_point[0] + 1, "unexpected `%s`" % words(text)[:60]


def words(data: bytes) -> str:
    """A piece of a text on one line."""
    return " ".join(data.decode("utf-8", "replace").split())
