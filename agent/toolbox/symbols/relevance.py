"""Which of many files are likely to be meant: those people wrote for others to run."""

from __future__ import annotations

import re

_LATER = (
    re.compile(
        r"(^|/)(tests?|testing|__tests__|spec|specs|testdata|fixtures|examples?|samples?|docs?|"
        r"benchmarks?|locale|i18n|migrations|CHANGELOG[^/]*|CHANGES[^/]*)(/|$)"
        r"|(^|/)(test_[^/]*|conftest\.py)$|[._-](test|spec)s?\.\w+$|\.(md|rst|txt|po|pot)$"
    ),
    re.compile(
        r"(^|/)(vendor|vendored|third_party|node_modules|site-packages|dist|build|target|out|"
        r"generated|gen|\.venv|venv|\.git)(/|$)"
        r"|\.min\.\w+$|[._-](generated|pb2?|g)\.\w+$|\.(lock|snap|map|svg|csv|jsonl|ipynb)$"
        r"|(^|/)package-lock\.json$"
    ),
)


def remoteness(path: str) -> int:
    """0 for sources, 1 for tests and texts, 2 for what others or programs wrote."""
    return 2 if _LATER[1].search(path) else 1 if _LATER[0].search(path) else 0
