"""Sandboxes at Daytona: a machine elsewhere that is reached over HTTP only."""
