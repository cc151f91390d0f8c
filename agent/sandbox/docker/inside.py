"""What a container is told: flags, places, accounts. See row K of the threat model for each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.core import limits
from agent.sandbox.bubblewrap import ENVIRONMENT, HOME, TOOLBOX, WORKDIR
from agent.sandbox.docker.engine import Machine
from agent.sandbox.egress.passage import SOCKET
from agent.sandbox.protocol import Limits

OWN = "/run/agent"
"""Where what is ours lies inside; nobody in there can write it."""

# Each keeps its content when the container stops, and goes with it.
VOLUMES = (WORKDIR, HOME, "/tmp", OWN)
# A copy of the image's, in which the account can be entered although the root is read-only.
ETC = "/etc"

FIRST_USER_ID, USER_IDS = 20_000, 40_000
OPEN_FILES = 16_384
CPU_SHARES = 512  # half of what everything else on the machine gets when it is short

# Variables of an image without which its toolchains do not work and that cannot be a secret.
KEPT = ("PATH", "JAVA_HOME", "GOROOT", "RUSTUP_HOME", "DOTNET_ROOT", "NVM_DIR", "PYENV_ROOT")

TOOLBOX_COMMAND = ("-I", "-S", "-X", "utf8", TOOLBOX, "init")


@dataclass(frozen=True, slots=True)
class Plan:
    """What differs between containers."""

    name: str
    image: str
    user: int
    labels: Mapping[str, str]
    limits: Limits
    machine: Machine
    filter_file: str
    socket: Path | None = None
    podman: bool = False
    plain: bool = False


def user_of(session: str) -> int:
    """The user id of a session's programs: one that no account of the host is likely to have.

    Without a user namespace it is the id outside as well, where processes are counted by it. It
    lies below 65536 because rootless engines have no more.
    """
    number = int(hashlib.sha256(session.encode()).hexdigest()[:8], 16)
    return FIRST_USER_ID + number % USER_IDS


def flags(plan: Plan) -> list[str]:
    """The arguments of `create`; the container's main process is the toolbox."""
    return [
        *("--name", plan.name, "--interactive", "--user", f"{plan.user}:{plan.user}"),
        *_locked(plan),
        *_bounded(plan),
        *_placed(plan.podman),
        *_reached(plan.socket),
        *(word for key, value in plan.labels.items() for word in ("--label", f"{key}={value}")),
        *("--workdir", WORKDIR, *_main(plan)),
    ]


def _main(plan: Plan) -> list[str]:
    """What the container runs: the toolbox, or where that cannot run a shell that waits."""
    if not plan.plain:
        return ["--entrypoint", "python3", plan.image, *TOOLBOX_COMMAND]
    size = limits.SANDBOX_FILE_MAX_BYTES  # elsewhere the toolbox sees to that
    return [
        *("--ulimit", f"fsize={size}:{size}"),
        *("--entrypoint", "/bin/sh", plan.image, *PLAIN_COMMAND),
    ]


def preparing(plan: Plan) -> list[str]:
    """The arguments of `run` for what must be done once, before anything else is inside.

    It is root, which may give a directory away and nothing else, and runs only what is in the
    image.
    """
    return [
        *("--rm", "--interactive", "--name", f"{plan.name}-setup", "--user", "0:0"),
        *("--volumes-from", plan.name, "--cap-add", "CHOWN"),
        *_locked(plan),
        *_bounded(plan),
        *("--workdir", "/", "--entrypoint", "/bin/sh", plan.image),
        *("-c", PREPARE, "sh", str(plan.user)),
    ]


def environment(image: Iterable[str], given: Mapping[str, str]) -> dict[str, str]:
    """All that is visible inside; `image` holds the variables of the image, as `NAME=VALUE`."""
    pairs = (line.partition("=") for line in image)
    kept = {name: value for name, _, value in pairs if name in KEPT and value[:1] == "/"}
    if "PATH" in kept:
        kept["PATH"] = f"{HOME}/.local/bin:{kept['PATH']}"
    return {**ENVIRONMENT, **kept, **given}


def _locked(plan: Plan) -> list[str]:
    return [
        *("--pull", "never", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--security-opt", f"seccomp={plan.filter_file}", "--read-only", "--network", "none"),
        *("--ipc", "private", "--log-driver", "none", "--hostname", "sandbox"),
        "--no-healthcheck",
        # Otherwise it is a copy of the host's, with the names of its networks in it.
        *(() if plan.podman else ("--dns", "127.0.0.1", "--dns-search", ".")),
        # Its own idea of what may be written in a read-only root is larger than ours.
        *(("--read-only-tmpfs=false",) if plan.podman else ()),
    ]


def _bounded(plan: Plan) -> list[str]:
    machine, wanted = plan.machine, plan.limits
    memory = wanted.memory_bytes or int(machine.memory_bytes * limits.SANDBOX_MEMORY_SHARE)
    cpus = min(wanted.cpus or machine.cpus, machine.cpus)
    return [
        *("--pids-limit", str(wanted.processes or limits.SANDBOX_PROCESSES_MAX)),
        # The same number twice: no swap besides.
        *("--memory", str(memory), "--memory-swap", str(memory)),
        *("--cpus", f"{cpus:g}", "--cpu-shares", str(CPU_SHARES)),
        *("--shm-size", str(limits.SANDBOX_SHM_BYTES), "--ulimit", "core=0:0"),
        *("--ulimit", f"nofile={OPEN_FILES}:{OPEN_FILES}"),
        *("--ulimit", f"nproc={limits.SANDBOX_PROCESSES_MAX}:{limits.SANDBOX_PROCESSES_MAX}"),
    ]


def _placed(podman: bool) -> list[str]:
    nocopy = "" if podman else ",volume-nocopy"
    words = [f"type=volume,dst={path}{nocopy}" for path in VOLUMES]
    words.append(f"type=volume,dst={ETC}")
    return [
        *(word for mount in words for word in ("--mount", mount)),
        *("--tmpfs", f"/var/tmp:size={limits.SANDBOX_VAR_TMP_BYTES},mode=1777"),
        # Nothing of the machine's hardware, and no place to write that nobody counts.
        *(("--security-opt", "mask=/sys") if podman else ("--tmpfs", "/sys:ro,size=4096")),
        *("--tmpfs", "/dev/mqueue:ro,size=4096"),
    ]


def _reached(socket: Path | None) -> list[str]:
    """The only thing of the host in there, and only where the policy lets something be reached."""
    if socket is None:
        return []
    source = f"src={socket}".replace('"', '""')  # a field of a CSV line, commas and all
    return ["--mount", f'type=bind,"{source}",dst={SOCKET},readonly']


# In the image's own shell: what is looked at first is whether there is a Python, and which.
PREPARE = f"""
user=$1
command -v git >/dev/null 2>&1 || {{ echo "lacks git" >&2; exit 1; }}
prepared() {{ chmod "$2" "$1" && chown "$3:$3" "$1" || exit 1; }}
prepared {WORKDIR} 755 $user
prepared {HOME} 700 $user
prepared /tmp 1777 0
prepared {OWN} 755 0
named() {{
  kept=$(grep -v '^agent:' "{ETC}/$1" 2>/dev/null)
  printf '%s\\n' ${{kept:+"$kept"}} "$2" >"{ETC}/$1" || exit 1
}}
named passwd "agent:x:$user:$user:agent:{HOME}:/bin/sh"
named group "agent:x:$user:"
found=$(python3 -I -S -c 'import sys; print("python %d.%d" % sys.version_info[:2])' 2>/dev/null)
python3 -I -S -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null ||
  echo "@plain ${{found:-no Python}}"
"""
# Process 1 of a container without Python: ends with its stdin, and with each line on it waits for a
# child, which makes a shell take in all that have ended and nobody else waits for.
PLAIN_COMMAND = ("-c", "while read -r line; do (:); done")
