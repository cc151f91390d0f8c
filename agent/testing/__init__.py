"""Fakes we ship and verify: typed like the real ones and held to the same contracts."""
