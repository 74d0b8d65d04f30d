"""Peers that cannot be paired with. One primary meets them one after the other: each is told at once, with
its own exit code, and the VM runs on, unprotected. The last peer fits, and finds it as the first one did.
"""

from __future__ import annotations

import json
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
from outside import Said, colo, processes, sockets, tmpfs

from colo.errors import AgentUnreachableError
from colo.lab.pair import Guest, Host, Options, Pair
from colo.lab.process import HostProcess
from colo.lab.settings import LINK_PORT
from colo.model.messages import PROTOCOL
from colo.pki import create_authority, issue_node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from colo.guest import GuestImage

pytestmark = [pytest.mark.anyio, pytest.mark.live]

QEMU = "qemu/7.2/qemu-system-x86_64"
PATCHED = """
import sys
import colo
colo.__version__ = {version!r}
import colo.model.messages
colo.model.messages.PROTOCOL = {protocol}
from colo.cli import main
main(sys.argv[1:])
"""
FAKE_QEMU = """#!/bin/sh
case "$1" in
--version | -accel) exec {qemu} "$@" ;;
esac
if [ ! -e "$0.tried" ]; then  # the trial at the agent's start
    touch "$0.tried"
    exec {qemu} "$@"
fi
echo "this machine is haunted" >&2
exit 1
"""


@pytest.fixture(scope="module")
async def pair(
    tmp_path_factory: pytest.TempPathFactory, cache: Path, guest: GuestImage
) -> AsyncIterator[Pair]:
    """Alpha runs the VM; beta does not run yet. RAM files are in the run folders, where they can be seen."""
    lab = Guest(guest.kernel, guest.initramfs, cache / QEMU)
    with tmpfs(tmp_path_factory.mktemp("pair"), "1g") as folder:
        async with Pair(folder, lab, Options(vm={"memory_mib": 128, "cpus": 1}), boot=True) as pair:
            assert (await command("stop", pair.hosts["beta"].config)).code == 0
            pair.hosts["beta"].agent.wait(20)
            await pair.until("alpha", "unprotected")
            yield pair
        assert not processes(folder)


async def command(*arguments: object) -> Said:
    return await anyio.to_thread.run_sync(colo, *arguments)


@asynccontextmanager
async def beta(pair: Pair, *program: str, **changes: str) -> AsyncIterator[None]:
    """Beta's agent, run by `program` (by default, colo), `changes` made in its configuration."""
    config = pair.folder / "beta-changed.toml"
    text = (pair.folder / "beta.toml").read_text()
    for key, value in changes.items():
        (line,) = (line for line in text.splitlines() if line.startswith(f"{key} = "))
        text = text.replace(line, f"{key} = {value}")
    config.write_text(text)
    argv = (sys.executable, *(program or ("-m", "colo")), "agent", str(config))
    with HostProcess(pair.network, "beta", argv, pair.folder / "beta-changed.log") as process:
        pair.hosts["beta"] = Host("beta", config, process)
        await answering(pair, "beta")
        yield


async def answering(pair: Pair, name: str) -> None:
    with anyio.fail_after(20):
        while pair.hosts[name].agent.ended() is None:
            with suppress(AgentUnreachableError):
                await pair.status(name)
                return
            await anyio.sleep(0.05)
    pytest.fail(pair.hosts[name].agent.log.read_text())


async def protect(pair: Pair, *options: str, left: str | None = None) -> Said:
    """Has alpha protect its VM, which must not come to harm when that fails. `left` is the state afterwards;
    None for that of before.
    """
    before = await pair.status("alpha")
    said = await command("protect", pair.hosts["alpha"].config, *options)
    if said.code:
        after = await pair.status("alpha")
        assert after.state == (left or before.state)
        assert (after.qemu_pid, after.token) == (before.qemu_pid, before.token)
    return said


async def lease(pair: Pair) -> dict[str, Any]:
    argv = ("-m", "colo", "lease", "show", "--format", "json", str(pair.hosts["alpha"].config))
    log = pair.folder / "lease.log"
    log.unlink(missing_ok=True)
    with HostProcess(pair.network, "alpha", (sys.executable, *argv), log) as process:
        assert await anyio.to_thread.run_sync(process.wait, 20.0) == 0
    record: dict[str, Any] = json.loads(log.read_text())["record"]
    assert record["holder"] == "alpha"
    return record


async def beta_is_untouched(pair: Pair) -> None:
    """No replica, and nothing left of one that was begun."""
    status = await pair.until("beta", "idle")
    run = pair.folder / "beta" / "run"
    assert status.qemu_pid is None
    assert sockets(run) == [run / "agent.sock"]
    assert not [*run.rglob("colo-vm-*"), *run.rglob("qemu.pid")]


async def test_a_peer_that_is_not_there(pair: Pair) -> None:
    said = await protect(pair)
    assert said.code == 6
    assert f"10.99.0.2:{LINK_PORT}" in said.message
    assert "is `colo agent` running there?" in said.hint


@pytest.mark.parametrize(
    ("what", "message"), [("checkpoint", "no checkpoint can be taken: "), ("failover", "no failover now: ")]
)
async def test_what_only_a_protected_vm_can_do_is_refused(pair: Pair, what: str, message: str) -> None:
    said = await command(what, pair.hosts["alpha"].config)
    assert (said.code, said.out) == (12, "")
    assert said.message.startswith(message)
    assert "protected" in said.hint


@pytest.mark.parametrize(
    ("version", "protocol", "message"),
    [
        ("0.0.9", PROTOCOL, "beta does not fit: version: '0.1.0' here, '0.0.9' at the peer"),
        (
            "9.0.0",
            PROTOCOL + 1,
            f"beta is not understood: the peer speaks protocol '{PROTOCOL + 1}', this agent {PROTOCOL}",
        ),
    ],
)
async def test_a_peer_of_another_version(pair: Pair, version: str, protocol: int, message: str) -> None:
    script = pair.folder / "patched.py"
    script.write_text(PATCHED.format(version=version, protocol=protocol))
    async with beta(pair, str(script)):
        said = await protect(pair)
        await beta_is_untouched(pair)
    assert (said.code, said.message) == (7, message)
    assert "same version of colo" in said.hint


async def test_a_peer_that_describes_another_vm(pair: Pair) -> None:
    async with beta(pair, memory_mib="64", cpus="2"):
        said = await protect(pair, "--format", "json")
        await beta_is_untouched(pair)
    told = json.loads(said.err)
    assert (said.code, told["exit_code"]) == (7, 7)
    assert told["error"] == (
        "beta does not fit: vm.memory_mib: 128 here, 64 at the peer; vm.cpus: 1 here, 2 at the peer"
    )


async def test_a_peer_with_a_certificate_of_another_authority(pair: Pair) -> None:
    foreign = pair.folder / "foreign"
    foreign.mkdir()
    create_authority(foreign)
    issue_node(foreign, "beta")
    files = {name: f'"foreign/{file}"' for name, file in (("ca", "ca.pem"), ("cert", "beta.pem"))}
    async with beta(pair, **files, key='"foreign/beta.key"'):
        said = await protect(pair)
        await beta_is_untouched(pair)
    assert said.code == 6
    assert said.message.startswith("the link to beta failed: ")
    assert "same authority" in said.hint


async def test_a_peer_that_cannot_run_the_vm(pair: Pair, cache: Path) -> None:
    fake = pair.folder / "qemu-system-fake"
    fake.write_text(FAKE_QEMU.format(qemu=cache / QEMU))
    fake.chmod(0o700)
    async with beta(pair, qemu=f'"{fake}"'):
        said = await protect(pair, left="degraded")  # the first copy had begun
        await beta_is_untouched(pair)
    assert said.code == 6
    assert "beta made no replica" in said.message
    assert "this machine is haunted" in said.message


async def test_a_peer_that_has_seen_a_higher_token(pair: Pair) -> None:
    token = pair.folder / "beta" / "state" / "token.json"
    seen = token.read_bytes()
    token.write_bytes(json.dumps(json.loads(seen) | {"token": 9}).encode())
    async with beta(pair):
        said = await protect(pair)
        await beta_is_untouched(pair)
    assert said.code == 12
    assert "alpha shows token 1 of the lease, but 9 was seen here" in said.message
    assert str(token) in said.message
    token.write_bytes(seen)


async def test_a_peer_that_fits_is_taken_after_all_of_them(pair: Pair) -> None:
    assert (await lease(pair))["standby"] is None
    async with beta(pair):
        said = await protect(pair)
        assert (said.code, said.err) == (0, "")
        assert (await lease(pair))["standby"] == "beta"
        token = pair.folder / "beta" / "state" / "token.json"
        assert json.loads(token.read_bytes())["token"] == 1
        assert token.parent.stat().st_mode & 0o777 == 0o700
