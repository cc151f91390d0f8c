"""What goes wrong with a container engine, and what to do about it, for a person."""

from __future__ import annotations

import re
from collections.abc import Mapping

from agent.core.errors import SandboxUnavailable
from agent.core.text import one_line

INSTALL = {
    "debian": "sudo apt install docker.io",
    "ubuntu": "sudo apt install docker.io",
    "fedora": "sudo dnf install podman",
    "rhel": "sudo dnf install podman",
    "arch": "sudo pacman -S docker",
    "suse": "sudo zypper install docker",
    "opensuse": "sudo zypper install docker",
    "alpine": "sudo apk add docker",
    "gentoo": "sudo emerge app-containers/docker",
    "void": "sudo xbps-install docker",
    "nixos": "set `virtualisation.docker.enable = true`",
}
START = {
    "alpine": "sudo rc-service docker start",
    "gentoo": "sudo rc-service docker start",
    "void": "sudo ln -s /etc/sv/docker /var/service/",
}

_DENIED = (
    "join the group with `sudo usermod -aG docker $USER` and log in again (whoever is in it is as "
    "good as root on this machine), or use podman, which needs no such group"
)
_WARNING = re.compile(r"^WARNING:|level=warning")
_LIMITS = "on a machine without systemd or with rootless docker, delegate the cgroup controllers"

# What an engine says, in the order in which to look.
_KNOWN = (
    ("permission denied while trying to connect", "you may not use the engine", _DENIED),
    ("no space left on device", "the engine's disk is full", "try `docker system df`"),
    ("exec: \"/bin/sh\"", "the image has no `sh`", "choose an image with a shell"),
    ("seccomp", "the engine does not take a system call filter", "update the engine"),
)  # fmt: skip


def missing(os_release: Mapping[str, str]) -> SandboxUnavailable:
    """There is neither docker nor podman."""
    command = _of(INSTALL, os_release)
    return SandboxUnavailable(
        "the docker sandbox needs docker or podman, and neither is installed",
        f"install one: `{command}`" if command else "install one with your package manager",
    )


def not_running(said: str, os_release: Mapping[str, str]) -> SandboxUnavailable:
    """docker is installed and its daemon does not answer."""
    command = _of(START, os_release) or "sudo systemctl start docker"
    return SandboxUnavailable(
        f"the docker daemon does not answer: {one_line(said, 300)}", f"start it: `{command}`"
    )


def remote(host: str) -> SandboxUnavailable:
    """The engine that is set up is on another machine."""
    return SandboxUnavailable(
        f"docker is set up to run on another machine: `{host}`; the repository would go there",
        f"if that is meant, say `engine: {host}` in the configuration; otherwise unset DOCKER_HOST "
        "or type `docker context use default`",
    )


def no_image(engine: str, image: str) -> SandboxUnavailable:
    """The image is not there; it is never pulled behind the user's back."""
    return SandboxUnavailable(
        f"the image `{image}` is not on this machine",
        f"type `{engine} pull {image}`, or name another one with `image:` in the configuration",
    )


def lacking(image: str, programs: str) -> SandboxUnavailable:
    """The image has not what is needed inside."""
    return SandboxUnavailable(
        f"the image `{image}` lacks {programs}",
        "choose one that has git and sh, and for all tools Python 3.8 or newer, such as"
        " `python:3.12-bookworm`",
    )


def unbounded(what: str) -> SandboxUnavailable:
    """The engine cannot limit something that every sandbox must be limited in."""
    return SandboxUnavailable(f"the container engine cannot limit {what} here", _LIMITS)


def failed(said: str) -> SandboxUnavailable:
    """A command of the engine failed."""
    said = "\n".join(line for line in said.splitlines() if not _WARNING.search(line))
    for sign, message, hint in _KNOWN:
        if sign in said:
            text = f"the docker sandbox cannot start: {message} (`{one_line(said, 300)}`)"
            return SandboxUnavailable(text, hint)
    return SandboxUnavailable(
        f"the docker sandbox cannot start: {one_line(said, 500) or 'the engine said nothing'}",
        "try `docker run --rm hello-world` by hand: what it prints says what is missing",
    )


def _of(table: Mapping[str, str], os_release: Mapping[str, str]) -> str:
    names = [os_release.get("ID", ""), *os_release.get("ID_LIKE", "").split()]
    return next((table[n.split("-")[0]] for n in names if n.split("-")[0] in table), "")
