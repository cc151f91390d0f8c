"""Machines for the agent's hands, and where they come from. None can fall back to the host."""
