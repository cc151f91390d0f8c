"""Why a local sandbox cannot start on this machine, and what to do about it, for a person."""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.errors import SandboxUnavailable

INSTALL = {
    "debian": "sudo apt install bubblewrap",
    "ubuntu": "sudo apt install bubblewrap",
    "fedora": "sudo dnf install bubblewrap",
    "rhel": "sudo dnf install bubblewrap",
    "arch": "sudo pacman -S bubblewrap",
    "suse": "sudo zypper install bubblewrap",
    "opensuse": "sudo zypper install bubblewrap",
    "alpine": "sudo apk add bubblewrap",
    "gentoo": "sudo emerge sys-apps/bubblewrap",
    "void": "sudo xbps-install bubblewrap",
    "nixos": "nix-env -iA nixos.bubblewrap",
}

_APPARMOR = (
    "on Ubuntu 24.04: `sudo apt install apparmor-profiles`, copy "
    "`/usr/share/apparmor/extra-profiles/bwrap-userns-restrict` to `/etc/apparmor.d/` and load it "
    "with `sudo apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict` (25.04 has it already). "
    "As a last resort the administrator can set "
    "`kernel.apparmor_restrict_unprivileged_userns=0`, which weakens the whole computer"
)
# What a container needs was found with docker 20.10, without AppArmor.
_NEST = (
    "start it with `--security-opt seccomp=unconfined --security-opt systempaths=unconfined` "
    "(where AppArmor is on, `--security-opt apparmor=unconfined` too)"
)
_NAMESPACES = (
    "ask the administrator to set `kernel.unprivileged_userns_clone=1` and "
    f"`user.max_user_namespaces` to some thousands. In a docker container: {_NEST}. "
    "In a chroot the kernel allows none; `systemd-nspawn` enters it in a way that may"
)
_CONTAINER = f"run glovebox on the host; or, in a docker container, which masks `/proc`, {_NEST}"
_OLD = "glovebox needs bubblewrap 0.8.0 or newer; update it with your package manager"

# What bubblewrap says, in the order in which to look.
_KNOWN = (
    ("setting up uid map: Permission denied", "AppArmor forbids user namespaces", _APPARMOR),
    ("Failed RTM_NEWADDR", "AppArmor forbids what a network namespace needs", _APPARMOR),
    ("No permissions to creat", "user namespaces are not allowed here", _NAMESPACES),
    ("Creating new namespace failed", "user namespaces are not allowed here", _NAMESPACES),
    ("Can't mount proc", "a fresh `/proc` cannot be mounted here", _CONTAINER),
    ("Unknown option", "the installed bubblewrap is too old", _OLD),
    ("start new thread", "the limit of processes of your user is reached", "raise it: `ulimit -u`"),
    ("toolbox: python", "the Python inside the sandbox is too old", "install Python 3.8 or newer"),
)


def missing(os_release: Mapping[str, str]) -> SandboxUnavailable:
    """bubblewrap is not installed."""
    names = [os_release.get("ID", ""), *os_release.get("ID_LIKE", "").split()]
    command = next(
        (INSTALL[name.split("-")[0]] for name in names if name.split("-")[0] in INSTALL), ""
    )
    return SandboxUnavailable(
        "the local sandbox needs bubblewrap, which is not installed",
        f"install it with `{command}`"
        if command
        else "install the package `bubblewrap` (program `bwrap`) with your package manager",
    )


def refuses_to_forbid(error: SandboxUnavailable) -> bool:
    """Whether all that failed was to forbid user namespaces inside, as kernels like RHEL's do."""
    return "max_user_namespaces" in error.message


def failed(said: str, exit_code: int | None) -> SandboxUnavailable:
    """bubblewrap was started and did not get as far as the toolbox."""
    for sign, message, hint in _KNOWN:
        if sign in said:
            return SandboxUnavailable(f"the local sandbox cannot start: {message} (`{said}`)", hint)
    what = said or f"it ended with status {exit_code} and said nothing"
    return SandboxUnavailable(
        f"the local sandbox cannot start: {what}",
        "try `bwrap --unshare-all --ro-bind / / true` by hand: what it prints says what is missing",
    )


def late(said: str, seconds: float) -> SandboxUnavailable:
    """bubblewrap was started, and the toolbox did not answer in time."""
    what = f"it did not answer within {seconds:g} s" + (f" (`{said}`)" if said else "")
    return SandboxUnavailable(
        f"the local sandbox cannot start: {what}",
        "try again when this machine is less busy; `glovebox doctor` tries each part of it",
    )
