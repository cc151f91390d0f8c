"""Promises of backends: what is kept, what is gone, and what is apart."""

from __future__ import annotations

from dataclasses import replace

from agent.core.errors import SandboxError, SandboxLost, SandboxUnavailable, UserError
from agent.sandbox.protocol import Backend, Sandbox, SandboxSpec
from agent.testing import chores, programs
from agent.testing.contracts.promise import done, error_of, of_backend, raised, running


async def _environment(sandbox: Sandbox) -> dict[str, str]:
    pairs = (await done(sandbox, ["env", "-0"])).split("\0")
    return dict(pair.split("=", 1) for pair in pairs if pair)


async def _places(sandbox: Sandbox) -> list[str]:
    """Where a sandbox keeps files of its own."""
    home = (await _environment(sandbox))["HOME"]
    return [sandbox.workdir, home, "/tmp"]


@of_backend
async def closing_and_attaching_keeps_files_and_ends_programs(
    backend: Backend, spec: SandboxSpec
) -> None:
    sandbox = await backend.create(spec)
    try:
        kept = [f"{place}/file" for place in await _places(sandbox)]
        for path in kept:
            await done(sandbox, chores.write_line("kept", path))
        await done(sandbox, programs.leave_running("86393"))
        await sandbox.close()
        await sandbox.close()
        raised(await error_of(sandbox.exec(["true"])), SandboxLost)
        again = await backend.attach(sandbox.ref, spec)
        assert again.ref == sandbox.ref
        assert await done(again, ["cat", *kept]) == "kept\nkept\nkept\n"
        assert not await running(again, "86393")
    finally:
        await backend.destroy(sandbox.ref)


@of_backend
async def destroy_frees_everything_and_may_come_twice(backend: Backend, spec: SandboxSpec) -> None:
    sandbox = await backend.create(spec)
    await done(sandbox, chores.make_folder("a/b"))
    await done(sandbox, chores.write_line("x", "a/b/c"))
    await done(sandbox, chores.set_mode("000", "a/b"))
    await done(sandbox, chores.set_mode("000", "a"))
    await done(sandbox, programs.leave_running("86388"))
    await backend.destroy(sandbox.ref)
    raised(await error_of(sandbox.exec(["true"])), SandboxLost)
    raised(await error_of(backend.attach(sandbox.ref, spec)), SandboxLost)
    await backend.destroy(sandbox.ref)
    fresh = await backend.create(spec)
    try:
        for place in await _places(fresh):
            assert await done(fresh, chores.list_folder(place)) == ""
        assert not await running(fresh, "86388")
    finally:
        await backend.destroy(fresh.ref)


@of_backend
async def two_sandboxes_share_nothing(backend: Backend, spec: SandboxSpec) -> None:
    first = await backend.create(spec)
    second = await backend.create(replace(spec, session=spec.session + "b"))
    try:
        await done(first, programs.leave_running("86392"))
        for place in (*await _places(first), "/var/tmp", "/dev/shm"):
            await done(first, chores.write_line("secret", f"{place}/from-first"))
            assert "from-first" not in await done(second, chores.list_folder(place))
        assert not await running(second, "86392")
        assert await running(first, "86392")
    finally:
        await backend.destroy(first.ref)
        await backend.destroy(second.ref)


@of_backend
async def one_session_cannot_be_made_twice(backend: Backend, spec: SandboxSpec) -> None:
    sandbox = await backend.create(spec)
    try:
        await done(sandbox, chores.write_line("mine", "file"))
        raised(await error_of(backend.create(spec)), SandboxError)
        assert await done(sandbox, ["cat", "file"]) == "mine\n"
    finally:
        await backend.destroy(sandbox.ref)


@of_backend
async def a_sandbox_is_found_by_its_labels_until_it_is_destroyed(
    backend: Backend, spec: SandboxSpec
) -> None:
    labels = {**spec.labels, "glovebox.session": spec.session}
    sandbox = await backend.create(replace(spec, labels=labels))
    try:
        own = {"glovebox.session": spec.session}
        assert await backend.find(own) == (sandbox.ref,)
        assert await backend.find({**own, "glovebox.project": "another"}) == ()
        await sandbox.close()
        assert await backend.find(labels) == (sandbox.ref,)
    finally:
        await backend.destroy(sandbox.ref)
    assert await backend.find(own) == ()


@of_backend
async def a_network_policy_that_nobody_knows_is_an_error(
    backend: Backend, spec: SandboxSpec
) -> None:
    labels = {**spec.labels, "glovebox.session": spec.session}
    asked = replace(spec, labels=labels, network="unheard-of")
    raised(await error_of(backend.create(asked)), (SandboxUnavailable, UserError))
    assert await backend.find(labels) == ()


@of_backend
async def the_environment_of_the_spec_is_visible(backend: Backend, spec: SandboxSpec) -> None:
    given = {"LANG": "C", "MINE": "a b"}
    sandbox = await backend.create(replace(spec, environment=given))
    try:
        assert given.items() <= (await _environment(sandbox)).items()
    finally:
        await backend.destroy(sandbox.ref)


@of_backend
async def facts_are_true(backend: Backend, spec: SandboxSpec) -> None:
    facts = backend.facts(spec)
    sandbox = await backend.create(spec)
    try:
        assert facts.workdir == sandbox.workdir
        for program in facts.programs:
            assert await done(sandbox, chores.find_program(program))
    finally:
        await backend.destroy(sandbox.ref)


@of_backend
async def a_port_can_be_reached_or_the_error_says_why(backend: Backend, spec: SandboxSpec) -> None:
    sandbox = await backend.create(spec)
    try:
        for port in (0, -1, 65_536):
            raised(await error_of(sandbox.expose(port)), SandboxError)
        if backend.capabilities.expose:
            endpoint = await sandbox.expose(8_000)
            assert endpoint.port == 8_000
            assert endpoint.url.startswith(("http://", "https://"))
        else:
            raised(await error_of(sandbox.expose(8_000)), SandboxError)
    finally:
        await backend.destroy(sandbox.ref)
