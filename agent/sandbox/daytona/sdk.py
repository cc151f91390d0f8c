"""The border to the `daytona` package: the only module that imports it, and late.

Every method is one request and its waiting, and raises `Trouble` (or `SandboxUnavailable` when the
account is not good) and nothing else. No request is repeated here. Importing the package costs
about two seconds, so it happens in a thread at the first use.
"""

from __future__ import annotations

import asyncio
import re
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from agent.core.errors import SandboxUnavailable
from agent.core.limits import MESSAGE_MAX_BYTES
from agent.core.text import one_line, terminal_safe
from agent.host import env
from agent.sandbox.daytona.account import Account
from agent.sandbox.daytona.trouble import Kind, Trouble

ANSWER_MAX_BYTES = 2 * MESSAGE_MAX_BYTES
REQUEST_SECONDS = 60.0
SAID_MAX_CHARS = 300
_NO_DOTENV = (
    "DAYTONA_JWT_TOKEN",
    "DAYTONA_ORGANIZATION_ID",
    "DAYTONA_TARGET",
    "DAYTONA_HAPPY_EYEBALLS_DELAY",
    "DAYTONA_USE_DEPRECATED_POLLING",
    "DAYTONA_OTEL_ENABLED",
    "DAYTONA_EXPERIMENTAL_OTEL_ENABLED",
)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_KINDS = {
    401: Kind.DENIED,
    403: Kind.DENIED,
    404: Kind.ABSENT,
    409: Kind.CONFLICT,
    410: Kind.ABSENT,
    429: Kind.LIMIT,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make. Intervals are in minutes; 0 or "" leaves a thing to the service."""

    name: str
    labels: Mapping[str, str]
    auto_stop: int
    auto_archive: int
    auto_delete: int
    image: str = ""
    snapshot: str = ""
    resources: Mapping[str, int] = field(default_factory=dict[str, int])
    network: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Service:
    """A client of the control plane; belongs to the event loop it was made in."""

    def __init__(self, package: Any, client: Any, account: Account) -> None:
        self._package = package
        self._client = client
        self._account = account

    async def close(self) -> None:
        await self._client.close()

    async def create(self, plan: Plan, seconds: float) -> Box:
        """Make a sandbox and wait until it runs; see `Trouble.box` for one that came too late."""
        async with self.translated():
            return self._box(await self._client.create(self._parameters(plan), timeout=seconds))

    def _parameters(self, plan: Plan) -> Any:
        common: dict[str, Any] = {
            "name": plan.name,
            "labels": dict(plan.labels),
            "public": False,
            "auto_stop_interval": plan.auto_stop,
            "auto_archive_interval": plan.auto_archive,
            "auto_delete_interval": plan.auto_delete,
            **plan.network,
        }
        if not plan.image:
            return self._package.CreateSandboxFromSnapshotParams(
                snapshot=plan.snapshot or None, **common
            )
        return self._package.CreateSandboxFromImageParams(
            image=plan.image,
            resources=self._package.Resources(**plan.resources) if plan.resources else None,
            **common,
        )

    async def get(self, name: str) -> Box:
        """The sandbox with this id or name, in whatever state."""
        async with self.translated():
            return self._box(await self._client.get(name, request_timeout=REQUEST_SECONDS))

    async def find(self, labels: Mapping[str, str]) -> list[str]:
        """The ids of what the service lists under these labels; its list may lag behind."""
        query = self._package.ListSandboxesQuery(labels=dict(labels), limit=100)
        found: list[str] = []
        async with self.translated():
            async for box in self._client.list(query, request_timeout=REQUEST_SECONDS):
                if _ID.fullmatch(box.id):
                    found.append(box.id)  # noqa: PERF401 - an async comprehension hides the border
        return found

    async def has_snapshot(self, name: str) -> bool:
        """Whether a snapshot of that name can be used."""
        try:
            async with self.translated():
                snapshot = await self._client.snapshot.get(name)
        except Trouble as trouble:
            if trouble.kind is Kind.ABSENT:
                return False
            raise
        return str(snapshot.state.value) == "active"

    def _box(self, handle: Any) -> Box:
        if not _ID.fullmatch(str(handle.id)):
            raise Trouble(Kind.UNSURE, "Daytona answered with a sandbox that has no proper id")
        return Box(self, handle, self._account)

    def box(self, handle: Any) -> Box:
        """A handle of the library as ours."""
        return self._box(handle)

    def request(self, command: str) -> Any:
        """A command for a session, not waited for."""
        return self._package.SessionExecuteRequest(
            command=command, run_async=True, suppress_input_echo=True
        )

    def uploads(self, files: Mapping[str, bytes]) -> list[Any]:
        """Files as the library wants them: a source that is text would be a path of ours."""
        make = self._package.FileUpload
        return [make(source=bytes(data), destination=path) for path, data in files.items()]

    @asynccontextmanager
    async def translated(self) -> AsyncGenerator[None]:
        """Everything the library raises, as `Trouble`. Cancellation passes through."""
        try:
            yield
        except self._package.DaytonaError as error:
            raise self._trouble(error) from error
        except _strays() as error:
            raise Trouble(Kind.UNSURE, self._said(error)) from error

    def _trouble(self, error: Any) -> Trouble | SandboxUnavailable:
        status, said = error.status_code, self._said(error)
        if status == 401:
            return SandboxUnavailable(
                f"Daytona refused the API key: {said}", "check DAYTONA_API_KEY and DAYTONA_API_URL"
            )
        box = getattr(error, "sandbox_id", None) or ""
        if status is None:
            # A refused log stream or download carries its status in the text only.
            found = re.search(r"(?:status[=: ']+|\b)(4\d\d)\b", said)
            status = int(found[1]) if found else None
        kind = _KINDS.get(status or 0, Kind.REFUSED if status and status < 500 else Kind.UNSURE)
        if status == 408:
            kind = Kind.UNSURE
        return Trouble(kind, said, wait=_wait(error.headers), box=box)

    def _said(self, error: BaseException) -> str:
        # Before anything is cut: half a key would not be recognised.
        text = str(error).replace(self._account.key, "[secret]")
        text = re.sub(r"(?<=://)[^/\s@]+@", "[secret]@", text)
        if "<html" in text.lower():
            text = "an HTML page"
        said = one_line(terminal_safe(text), SAID_MAX_CHARS).strip().rstrip(":").strip()
        return said or type(error).__name__


class Box:
    """One sandbox at the service."""

    def __init__(self, service: Service, handle: Any, account: Account) -> None:
        self._service = service
        self._handle = handle
        self._account = account

    @property
    def id(self) -> str:
        return str(self._handle.id)

    @property
    def state(self) -> str:
        """The state as of the last request."""
        state = self._handle.state
        return str(getattr(state, "value", state) or "unknown")

    @property
    def labels(self) -> Mapping[str, str]:
        return dict(self._handle.labels or {})

    @property
    def recoverable(self) -> bool:
        return bool(self._handle.recoverable)

    @property
    def problem(self) -> str:
        """Why it is in the state `error`."""
        return one_line(terminal_safe(str(self._handle.error_reason or "")), SAID_MAX_CHARS)

    def network(self) -> Mapping[str, Any]:
        """The network settings that the service says it applies."""
        box = self._handle
        return {
            "network_block_all": box.network_block_all,
            "network_allow_list": box.network_allow_list,
            "domain_allow_list": box.domain_allow_list,
        }

    async def set_network(self, settings: Mapping[str, Any]) -> None:
        """Change the network settings of one that exists."""
        async with self._service.translated():
            await self._handle.update_network_settings(**settings)

    # The machine.

    async def refresh(self) -> None:
        """Read the state, which alone is the truth."""
        async with self._service.translated():
            await self._handle.refresh_data(request_timeout=REQUEST_SECONDS)

    async def start(self, seconds: float) -> None:
        async with self._service.translated():
            await self._handle.start(timeout=seconds)

    async def recover(self, seconds: float) -> None:
        async with self._service.translated():
            await self._handle.recover(timeout=seconds)

    async def wait_started(self, seconds: float) -> None:
        """Wait until one that is being made runs."""
        async with self._service.translated():
            await self._handle.wait_for_sandbox_start(timeout=seconds)

    async def stop(self, seconds: float) -> None:
        async with self._service.translated():
            await self._handle.stop(timeout=seconds)

    async def delete(self, seconds: float) -> None:
        """Delete it and wait until it is gone."""
        async with self._service.translated():
            await self._handle.delete(timeout=seconds, wait=True)

    async def label(self, labels: Mapping[str, str]) -> None:
        """Set these labels besides those it has."""
        async with self._service.translated():
            await self._handle.set_labels({**self.labels, **labels})

    async def fork(self, name: str, seconds: float) -> Box:
        """A copy of it, memory included; only some classes of machines can."""
        async with self._service.translated():
            return self._service.box(await self._handle.fork(name=name, timeout=seconds))

    async def snapshot(self, name: str, seconds: float) -> None:
        async with self._service.translated():
            await self._handle.create_snapshot(name, timeout=seconds)

    async def preview(self, port: int, seconds: int) -> str:
        """A signed address of a port that ends by itself."""
        async with self._service.translated():
            made = await self._handle.create_signed_preview_url(port, expires_in_seconds=seconds)
        parts = urlsplit(str(made.url))
        plain = parts.scheme == "http" and self._account.is_local
        if not (parts.scheme == "https" or plain) or not parts.hostname:
            raise Trouble(Kind.REFUSED, "Daytona answered with an address that is no web address")
        return str(made.url)

    # Programs.

    async def run(self, command: str, seconds: float) -> str:
        """Run one short command in the daemon's own shell; everything it wrote."""
        async with self._service.translated():
            done = await self._handle.process.exec(command, timeout=round(seconds))
        return str(done.result)

    async def open_session(self, session: str) -> None:
        async with self._service.translated():
            await self._handle.process.create_session(session, request_timeout=REQUEST_SECONDS)

    async def send(self, session: str, command: str) -> str:
        """Start a command in a session, and nothing else; its id."""
        request = self._service.request(command)
        async with self._service.translated():
            sent = await self._handle.process.execute_session_command(
                session, request, timeout=round(REQUEST_SECONDS)
            )
        return str(sent.cmd_id)

    async def commands(self, session: str) -> Mapping[str, int | None]:
        """The commands that a session was sent, each with its exit code once it has ended."""
        async with self._service.translated():
            found = await self._handle.process.get_session(session, request_timeout=REQUEST_SECONDS)
        return {str(command.id): command.exit_code for command in found.commands or ()}

    async def log(self, session: str, command: str) -> str:
        """What a command has written to stdout so far."""
        async with self._service.translated():
            logs = await self._handle.process.get_session_command_logs(
                session, command, request_timeout=REQUEST_SECONDS
            )
        return str(logs.stdout or "")

    async def follow(self, session: str, command: str, take: Callable[[str], None]) -> None:
        """What a command writes to stdout, from its beginning until the service ends the stream.

        That the stream ends says nothing of the command. `take` must not block.
        """
        async with self._service.translated():
            await self._handle.process.get_session_command_logs_async(
                session, command, take, _ignore
            )

    async def tell(self, session: str, command: str, text: str) -> None:
        """Write to a running command's stdin."""
        async with self._service.translated():
            await self._handle.process.send_session_command_input(session, command, text)

    async def end_session(self, session: str) -> None:
        """End a session with everything that belongs to it."""
        async with self._service.translated():
            await self._handle.process.delete_session(session, request_timeout=REQUEST_SECONDS)

    # Files.

    async def upload(self, files: Mapping[str, bytes]) -> None:
        """Write files, by path inside, in one request."""
        uploads = self._service.uploads(files)
        async with self._service.translated():
            await self._handle.fs.upload_files(uploads)

    async def upload_stream(self, path: str, pieces: AsyncIterator[bytes]) -> None:
        async with self._service.translated():
            await self._handle.fs.upload_file_stream(pieces, path)

    async def download(self, path: str, take: Callable[[bytes], None]) -> None:
        """A file in pieces; `take` may raise to end it."""
        async with self._service.translated():
            stream = await self._handle.fs.download_file_stream(path)
        while True:
            async with self._service.translated():
                piece = await anext(stream, None)
            if piece is None:
                return
            take(piece)


async def connect(account: Account) -> Service:
    """A client for `account`. Raises `SandboxUnavailable` when the package is not there."""
    package = await asyncio.to_thread(_load)
    # Named but empty in the environment means: not set, and not to be looked for in `.env` files.
    for name in _NO_DOTENV:
        if name not in env.variables("DAYTONA_"):
            env.set_variable(name, "")
    with warnings.catch_warnings():
        # A `.env` that names another service is ignored anyway and not worth a warning to people.
        warnings.simplefilter("ignore", UserWarning)
        # The library's event stream is a second connection that we have no use for: every state is
        # read before it is believed. 0.226 leaves its client session open when it cannot connect.
        warnings.simplefilter("ignore", DeprecationWarning)
        client = package.AsyncDaytona(
            package.DaytonaConfig(
                api_key=account.key,
                api_url=account.url,
                target=account.target or None,
                use_deprecated_polling=True,
            )
        )
    _bound_answers(client)
    return Service(package, client, account)


def _load() -> Any:
    try:
        import daytona
    except ImportError as error:
        raise SandboxUnavailable(
            "the daytona sandbox needs the Python package `daytona`", "pip install 'daytona>=0.226'"
        ) from error
    # Touched here, in a thread: the package imports its parts when they are first asked for.
    for name in ("AsyncDaytona", "DaytonaConfig", "DaytonaError", "FileUpload", "Resources"):
        hasattr(daytona, name)
    return daytona


def _bound_answers(client: Any) -> None:
    """Read no answer beyond a limit: whatever runs inside can make them as long as it likes.

    The library reads all of an answer into memory and has no setting for it.
    """
    try:
        for api in (client._api_client, client._toolbox_api_client):
            api.rest_client.request = _bounded(api.rest_client.request)
    except AttributeError as error:
        raise SandboxUnavailable(
            "this version of the Python package `daytona` is not known to glovebox",
            "pip install 'daytona==0.226.1'",
        ) from error


def _bounded(request: Any) -> Any:
    async def bounded(*args: Any, **kwargs: Any) -> Any:
        answer = await request(*args, **kwargs)
        data = bytearray()
        async for piece in answer.response.content.iter_any():
            data += piece
            if len(data) > ANSWER_MAX_BYTES:
                answer.response.close()
                raise ValueError("the answer is longer than any may be")
        answer.data = bytes(data)
        return answer

    return bounded


def _strays() -> tuple[type[Exception], ...]:
    """What the library lets through untranslated in places, of the packages below it."""
    import aiohttp

    return (aiohttp.ClientError, OSError, TimeoutError)


def _wait(headers: Mapping[str, Any]) -> float:
    """The seconds that a refusal for too many requests asks for, under any of its names."""
    for name, value in headers.items():
        if name.lower().startswith("retry-after"):
            try:
                return max(0.0, float(value))
            except ValueError:
                continue
    return 0.0


def _ignore(_: str) -> None:
    """Output that is nobody's."""
