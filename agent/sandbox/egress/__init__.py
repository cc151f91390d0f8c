"""The way out of a sandbox: what it may reach, decided by name on the host. See `gate.Gate`."""
