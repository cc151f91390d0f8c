"""The entry point. Answers `--version` before anything is imported."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from agent import __version__

        sys.stdout.write(f"glovebox {__version__}\n")
        return
    from agent.cli.main import last

    last()


if __name__ == "__main__":
    main()
