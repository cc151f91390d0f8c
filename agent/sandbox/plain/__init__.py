"""Sandboxes without a Python that our toolbox can use: what a shell alone can do, said honestly."""
