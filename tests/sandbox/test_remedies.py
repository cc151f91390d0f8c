"""Why a sandbox cannot start, in words for a person."""

from __future__ import annotations

import pytest

from agent.sandbox import remedies


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ({"ID": "debian"}, "sudo apt install bubblewrap"),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "sudo apt install bubblewrap"),
        ({"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, "sudo dnf install bubblewrap"),
        (
            {"ID": "opensuse-tumbleweed", "ID_LIKE": "opensuse suse"},
            "sudo zypper install bubblewrap",
        ),
        ({"ID": "arch"}, "sudo pacman -S bubblewrap"),
        ({"ID": "alpine"}, "sudo apk add bubblewrap"),
        ({"ID": "other"}, "the package `bubblewrap`"),
        ({}, "the package `bubblewrap`"),
    ],
)
def test_a_missing_bubblewrap_comes_with_the_command_to_type(
    release: dict[str, str], command: str
) -> None:
    error = remedies.missing(release)
    assert "not installed" in error.message
    assert command in error.hint


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        ("bwrap: setting up uid map: Permission denied", "AppArmor", "bwrap-userns-restrict"),
        (
            "bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted",
            "AppArmor",
            "bwrap-userns-restrict",
        ),
        (
            "bwrap: No permissions to create new namespace, likely because the kernel does not",
            "not allowed",
            "unprivileged_userns_clone",
        ),
        (
            "bwrap: Creating new namespace failed: Resource temporarily unavailable",
            "not allowed",
            "chroot",
        ),
        (
            "bwrap: Can't mount proc on /newroot/proc: Operation not permitted",
            "/proc",
            "systempaths=unconfined",
        ),
        ("bwrap: Unknown option --disable-userns", "too old", "0.8.0"),
        ("glovebox toolbox: python 3.8 or newer is needed", "too old", "Python 3.8"),
        ("bwrap: something new", "something new", "by hand"),
        ("", "status 3", "by hand"),
    ],
)
def test_what_bubblewrap_says_is_put_in_words_with_the_next_step(
    said: str, message: str, hint: str
) -> None:
    error = remedies.failed(said, 3)
    assert message in error.message
    assert said in error.message
    assert hint in error.hint
    assert "setuid" not in error.hint
    assert "share-net" not in error.hint
