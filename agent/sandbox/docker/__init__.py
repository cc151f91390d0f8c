"""Sandboxes in containers of docker or podman, driven through their command lines."""
