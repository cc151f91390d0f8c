"""The only room that touches this machine: its processes, its files, its environment."""
