"""The daemon inside a box: shells, sessions and files, told over stdin what to do.

Written after the behaviour of the real one, odd parts included: a command is text on a shell's
stdin, output is labelled line by line, an exit code is there when both pipes are closed, a
session's end takes everything with it that belongs to it. Runs as one file on any Python 3.8.
"""

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

PLACE = "/var/tmp/.daytona"
PIECE = 65536
out_lock = threading.Lock()
sessions = {}


def say(value):
    data = json.dumps(value).encode("ascii") + b"\n"
    with out_lock:
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]


def shell():
    with open("/etc/shells") as file:
        listed = file.read().split()
    for name in ("zsh", "bash"):
        for place in ("/usr/bin/", "/bin/", "/usr/local/bin/"):
            if place + name in listed and os.path.exists(place + name):
                return place + name
    return os.environ.get("SHELL") or "sh"


def execute(ask):
    if not ask["command"].strip():
        return {"status": 400, "message": "empty command"}
    cwd = ask.get("cwd") or os.getcwd()
    if not os.path.isdir(cwd):
        return {"exit": -1, "out": base64.b64encode(b"chdir " + cwd.encode()).decode()}
    process = subprocess.Popen(
        [shell()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env=dict(os.environ, **(ask.get("envs") or {})),
        start_new_session=True,
    )
    late = []

    def kill():
        late.append(True)
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(ask.get("timeout") or 1e6, kill)
    timer.daemon = True
    timer.start()
    try:
        output, _ = process.communicate(ask["command"].encode("utf-8", "replace"))
    finally:
        timer.cancel()
    if late:
        return {"status": 408, "message": "command execution timeout"}
    code = process.returncode if process.returncode >= 0 else -1
    return {"exit": code, "out": base64.b64encode(output).decode("ascii")}


class Command:
    def __init__(self, number, text, interactive):
        self.id = f"cmd-{number}"
        self.text = text
        self.place = os.path.join(PLACE, self.id)
        self.log = bytearray()
        self.code = None
        self.changed = threading.Condition()
        self.input = None
        self.interactive = interactive
        os.makedirs(self.place)
        for name in ("out", "err", "in"):
            os.mkfifo(os.path.join(self.place, name))
        with open(os.path.join(self.place, "text"), "w", errors="replace") as file:
            file.write(text)

    def wrapped(self):
        p = self.place
        return (
            ". %s/text >%s/out 2>%s/err <%s/in; echo $? >%s/code.new; mv %s/code.new %s/code\n"
            % ((p,) * 7)
        )

    def collect(self, session):
        readers = [
            threading.Thread(target=self.label, args=("out", b"\1\1\1"), daemon=True),
            threading.Thread(target=self.label, args=("err", b"\2\2\2"), daemon=True),
        ]
        for reader in readers:
            reader.start()
        threading.Thread(target=self.hold_input, daemon=True).start()
        for reader in readers:
            reader.join()
        path = os.path.join(self.place, "code")
        while not os.path.exists(path) and session.shell.poll() is None:
            time.sleep(0.005)
        code = -1
        if os.path.exists(path):
            with open(path) as file:
                code = int(file.read())
        elif session.shell.poll() is not None:
            code = session.shell.returncode
        with self.changed:
            self.code = code
            self.changed.notify_all()

    def hold_input(self):
        self.input = os.open(os.path.join(self.place, "in"), os.O_WRONLY)
        if not self.interactive:
            os.close(self.input)

    def label(self, name, mark):
        rest = b""
        descriptor = os.open(os.path.join(self.place, name), os.O_RDONLY)
        while True:
            piece = os.read(descriptor, PIECE)
            *lines, rest = (rest + piece).split(b"\n")
            if not piece and rest:
                lines, rest = [*lines, rest], b""
            self.add(b"".join(mark + line.replace(b"\0", b"") + b"\n" for line in lines))
            if not piece:
                os.close(descriptor)
                return

    def add(self, data):
        if data:
            with self.changed:
                self.log += data
                self.changed.notify_all()


class Session:
    def __init__(self):
        self.commands = {}
        self.turn = threading.Lock()
        self.shell = subprocess.Popen(
            [shell()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def run(self, command):
        with self.turn:
            try:
                self.shell.stdin.write(command.wrapped().encode())
                self.shell.stdin.flush()
            except OSError:
                return
            command.collect(self)

    def end(self):
        victims = tree(self.shell.pid)
        for pid in victims:
            kill(pid, signal.SIGTERM)
        kill_group(self.shell.pid, signal.SIGTERM)
        until = time.monotonic() + 5
        while time.monotonic() < until and any(alive(pid) for pid in victims):
            self.shell.poll()
            time.sleep(0.01)
        for pid in victims:
            kill(pid, signal.SIGKILL)
        kill_group(self.shell.pid, signal.SIGKILL)
        self.shell.stdin.close()
        self.shell.wait()


def tree(root):
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill(pid, number):
    with contextlib.suppress(OSError):
        os.kill(pid, number)


def kill_group(pid, number):
    with contextlib.suppress(OSError):
        os.killpg(pid, number)


def session_of(ask):
    return sessions.get(ask["session"])


def create_session(ask):
    if ask["session"] in sessions:
        return {"status": 409, "message": "session already exists"}
    sessions[ask["session"]] = Session()
    return {}


def described(name, session):
    commands = [
        dict({"id": c.id, "command": c.text}, **({} if c.code is None else {"exitCode": c.code}))
        for c in session.commands.values()
    ]
    return {"sessionId": name, "commands": commands}


def send(ask):
    session = session_of(ask)
    if session is None:
        return {"status": 404, "message": "session not found"}
    if session.shell.poll() is not None:
        return {"status": 410, "message": "session has ended", "code": "SESSION_ENDED"}
    command = Command(ask["number"], ask["command"], ask["async"])
    session.commands[command.id] = command
    threading.Thread(target=session.run, args=(command,), daemon=True).start()
    if not ask["async"]:
        with command.changed:
            command.changed.wait_for(lambda: command.code is not None)
    return {"cmdId": command.id, "exit": command.code, "log": b64(command.log)}


def logs(ask):
    session = session_of(ask)
    command = session.commands.get(ask["command"]) if session else None
    if command is None:
        return {"status": 404, "message": "command not found"}
    with command.changed:
        if ask.get("wait"):
            command.changed.wait_for(
                lambda: len(command.log) > ask["offset"] or command.code is not None, 0.5
            )
        log = bytes(command.log[ask["offset"] :])
        return {"log": b64(log), "ended": command.code is not None, "code": command.code}


def give_input(ask):
    session = session_of(ask)
    command = session.commands.get(ask["command"]) if session else None
    if command is None:
        return {"status": 404, "message": "command not found"}
    if command.code is not None or command.input is None:
        return {"status": 410, "message": "done", "code": "COMMAND_ALREADY_COMPLETED"}
    data = ask["data"] if ask["data"].endswith("\n") else ask["data"] + "\n"
    try:
        os.write(command.input, data.encode())
    except OSError:
        return {"status": 410, "message": "done", "code": "COMMAND_ALREADY_COMPLETED"}
    return {}


def delete_session(ask):
    session = sessions.pop(ask["session"], None)
    if session is None:
        return {"status": 404, "message": "session not found"}
    session.end()
    return {}


def list_sessions(ask):
    if "session" in ask:
        session = session_of(ask)
        if session is None:
            return {"status": 404, "message": "session not found"}
        return described(ask["session"], session)
    return {"sessions": [described(name, s) for name, s in sessions.items()]}


def upload(ask):
    path = os.path.join(os.getcwd(), ask["path"])
    try:
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        with open(path, "ab" if ask["more"] else "wb") as file:
            file.write(base64.b64decode(ask["data"]))
    except OSError as error:
        return {"status": 400, "message": f"{path}: {error.strerror}"}
    return {}


def download(ask):
    path = os.path.join(os.getcwd(), ask["path"])
    if os.path.isdir(path):
        return {"status": 400, "message": "path is a directory", "code": "INVALID_FILE_PATH"}
    try:
        with open(path, "rb") as file:
            file.seek(ask["offset"])
            return {"data": b64(file.read(262144)), "size": os.fstat(file.fileno()).st_size}
    except FileNotFoundError:
        return {"status": 404, "message": "file not found", "code": "FILE_NOT_FOUND"}
    except OSError as error:
        return {"status": 403, "message": error.strerror, "code": "FILE_ACCESS_DENIED"}


def where(ask):
    return {"work": os.getcwd(), "home": os.environ.get("HOME", "/")}


def b64(data):
    return base64.b64encode(bytes(data)).decode("ascii")


OPERATIONS = {
    "execute": execute,
    "session.create": create_session,
    "session.list": list_sessions,
    "session.delete": delete_session,
    "session.exec": send,
    "session.logs": logs,
    "session.input": give_input,
    "upload": upload,
    "download": download,
    "where": where,
}


def answer(ask):
    try:
        done = OPERATIONS[ask["op"]](ask)
    except Exception as error:  # noqa: BLE001 - a bug in here must show and not hang the test
        done = {"status": 500, "message": repr(error)}
    say(dict(done, id=ask["id"]))


def main():
    os.makedirs(PLACE, exist_ok=True)
    os.environ["DAYTONA_SANDBOX_ID"] = sys.argv[1]
    os.environ["DAYTONA_SANDBOX_USER"] = "daytona"
    os.environ["PATH"] = sys.argv[2] or os.environ["PATH"]
    say({"id": 0})
    for line in sys.stdin.buffer:
        threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()


main()
