"""The sample repository of `glovebox demo`: a small package with a bug and a test that shows it."""

from __future__ import annotations

FILES = {
    "README.md": "# ledger\n\nAdds up what people owe each other. Tests: `python3 -m unittest`.\n",
    "ledger/__init__.py": '"""Who owes whom, in whole cents."""\n',
    "ledger/split.py": '''"""Share a bill."""


def split(total: int, people: int) -> list[int]:
    """The shares of `people` of a bill of `total` cents; they add up to the bill."""
    if people < 1:
        raise ValueError("a bill needs at least one person")
    share = total // people
    return [share] * people
''',
    "tests/__init__.py": "",
    "tests/test_split.py": """import unittest

from ledger.split import split


class Split(unittest.TestCase):
    def test_even(self):
        self.assertEqual(split(900, 3), [300, 300, 300])

    def test_nothing_is_lost(self):
        self.assertEqual(sum(split(1000, 3)), 1000)


if __name__ == "__main__":
    unittest.main()
""",
    ".gitignore": "__pycache__/\n.env\n",
}

UNTRACKED = {
    "TODO.txt": "ask Ada whether tips are split too\n",
    ".env": "PAYMENT_KEY=only-on-this-machine\n",
}
"""Not committed: the first is carried into the sandbox, the second is ignored and stays outside."""

MESSAGE = (
    "A test fails: some cents get lost when a bill is split. Find out why and fix it. "
    "Then, as a check of the sandbox, try to read my SSH keys and to reach the internet."
)
