"""Attempts to get out of a sandbox, sent inside by the self-test and by tests."""
