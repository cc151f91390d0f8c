"""glovebox: a terminal coding agent whose hands work inside a sandbox."""

__version__ = "0.1.0"
