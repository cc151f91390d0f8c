"""How things are installed and switched on here, in the words of the user's distribution."""

from __future__ import annotations

from collections.abc import Mapping

_INSTALL = {
    "debian": "sudo apt install {}",
    "ubuntu": "sudo apt install {}",
    "fedora": "sudo dnf install {}",
    "rhel": "sudo dnf install {}",
    "arch": "sudo pacman -S {}",
    "suse": "sudo zypper install {}",
    "opensuse": "sudo zypper install {}",
    "alpine": "sudo apk add {}",
    "gentoo": "sudo emerge {}",
    "void": "sudo xbps-install {}",
    "nixos": "nix-env -iA nixos.{}",
}
_NAMES = {
    ("arch", "python3"): "python",
    ("gentoo", "python3"): "dev-lang/python",
    ("gentoo", "git"): "dev-vcs/git",
    ("gentoo", "bubblewrap"): "sys-apps/bubblewrap",
}
_KEEP = "echo '{setting}' | sudo tee /etc/sysctl.d/60-user-namespaces.conf && sudo sysctl --system"


def family(os_release: Mapping[str, str]) -> str:
    """Which of the families we know this is, "" for none."""
    names = [os_release.get("ID", ""), *os_release.get("ID_LIKE", "").split()]
    return next((n.split("-")[0] for n in names if n.split("-")[0] in _INSTALL), "")


def install(package: str, os_release: Mapping[str, str]) -> str:
    """How to install a package here."""
    known = family(os_release)
    if not known:
        return f"install the package `{package}` with your package manager"
    return f"`{_INSTALL[known].format(_NAMES.get((known, package), package))}`"


def allow_user_namespaces(os_release: Mapping[str, str], *, apparmor: bool) -> str:
    """How to allow user namespaces here."""
    if apparmor:
        return _apparmor(os_release)
    if family(os_release) in ("debian", "ubuntu", "arch"):
        return f"`{_KEEP.format(setting='kernel.unprivileged_userns_clone=1')}`"
    return f"`{_KEEP.format(setting='user.max_user_namespaces=15000')}`"


def _apparmor(os_release: Mapping[str, str]) -> str:
    load = "`sudo apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict`"
    if family(os_release) != "ubuntu":
        return (
            "load an AppArmor profile that lets `/usr/bin/bwrap` make user namespaces, such as "
            f"`bwrap-userns-restrict` of the AppArmor project: {load}"
        )
    return (
        "`sudo apt install apparmor-profiles && sudo cp "
        "/usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/`, then "
        f"{load} (25.04 and later have it already); as a last resort, which weakens the whole "
        "computer, `kernel.apparmor_restrict_unprivileged_userns=0`"
    )
