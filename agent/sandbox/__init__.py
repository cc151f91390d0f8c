"""Machines for the agent's hands, and where they come from. No backend can fall back to the host."""
