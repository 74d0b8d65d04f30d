"""Checks that need a configuration: files, certificates, ports, memory, bridges, the witness."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import anyio
import pytest
from attrs import evolve

from colo.api.endpoint import claim_run_dir
from colo.check import Finding, Level, deployment, memory, network
from colo.config import Address, Config, NicConfig, TapUplink, TlsConfig
from colo.lock import WitnessServer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


def levels(findings: list[Finding]) -> dict[str, Level]:
    return {finding.name: finding.level for finding in findings}


async def test_a_complete_deployment_is_fine(config: Config) -> None:
    assert levels(list(deployment.files(config))) == {"files": Level.OK, "certificate": Level.OK}


async def test_a_missing_kernel_and_a_wrong_certificate_are_both_told(config: Config) -> None:
    assert config.vm.kernel
    config.vm.kernel.unlink()
    stranger = evolve(config, agent=evolve(config.agent, node="gamma"))
    files, certificate = deployment.files(stranger)
    assert (files.level, certificate.level) == (Level.FAIL, Level.FAIL)
    assert "vmlinuz" in files.message
    assert certificate.hint == "colo cert node gamma"


async def test_what_a_card_with_offloads_needs_fails_only_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("colo.network.tap._TUN", tmp_path / "tun")
    finding = await network.cable(needed=True)
    assert (finding.level, "modprobe tun" in finding.hint) == (Level.FAIL, True)
    optional = await network.cable(needed=False)
    assert (optional.level, 'backend = "tap"' in optional.hint) == (Level.WARN, True)


async def test_a_free_port_and_a_taken_one(config: Config) -> None:
    assert network.port(config).level is Level.OK
    with socket.socket() as sock:
        sock.bind((config.agent.listen.host, config.agent.listen.port))
        sock.listen()
        taken = network.port(config)
    assert taken.level is Level.FAIL
    assert "ss -ltnp" in taken.hint


async def test_an_address_of_another_host_is_told(config: Config) -> None:
    elsewhere = evolve(config, agent=evolve(config.agent, listen=Address("192.0.2.1", 7700)))
    finding = network.port(elsewhere)
    assert (finding.level, finding.hint) == (Level.FAIL, "give an address of this host")


async def test_memory_counts_the_copy_and_what_is_aside(config: Config, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "mountinfo").write_text("30 23 0:26 / /dev/shm rw - tmpfs tmpfs rw\n")
    (proc / "meminfo").write_text(f"MemAvailable: {192 * 1024} kB\n")
    enough = memory.room(config, proc)
    assert enough.message.startswith("192 MiB may be needed, 192 MiB are available")
    assert enough.level is Level.OK
    (proc / "meminfo").write_text(f"MemAvailable: {191 * 1024} kB\n")
    assert memory.room(config, proc).level is Level.FAIL


async def test_a_machine_without_tmpfs_is_told(config: Config, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "mountinfo").write_text("")
    (proc / "meminfo").write_text("MemAvailable: 99999999 kB\n")
    assert "tmpfs" in memory.room(config, proc).message


async def test_a_missing_bridge_fails_only_where_it_is_needed(config: Config) -> None:
    assert "bridge br-none" not in levels(list(network.tap(config)))
    nic = NicConfig("52:54:00:c0:10:01", TapUplink("colo0", "br-none"))
    bridged = evolve(config, vm=evolve(config.vm, nic=(nic,)))
    assert levels(list(network.tap(bridged)))["bridge br-none"] is Level.FAIL


async def test_a_device_that_is_no_bridge_fails(config: Config) -> None:
    nic = NicConfig("52:54:00:c0:10:01", TapUplink("colo0", "lo"))
    bridged = evolve(config, vm=evolve(config.vm, nic=(nic,)))
    assert levels(list(network.tap(bridged)))["bridge lo"] is Level.FAIL


async def test_taps_that_cannot_be_made_matter_only_to_who_needs_them(
    config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("colo.network.tap._TUN", tmp_path / "tun")
    assert levels(list(network.tap(config)))["tap devices"] is Level.WARN
    assert levels(list(network.tap(None)))["tap devices"] is Level.FAIL


async def test_a_witness_that_answers_and_one_that_does_not(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("colo.check.deployment._DEADLINE_S", 0.3)
    assert (await deployment.witness(config)).level is Level.FAIL
    folder = tmp_path / "witness"
    folder.mkdir()
    tls = TlsConfig(
        config.tls.ca, config.tls.ca.with_name("witness.pem"), config.tls.ca.with_name("witness.key")
    )
    async with anyio.create_task_group() as tasks:
        await tasks.start(WitnessServer(folder, tls, "witness").serve, config.witness.address)
        finding = await deployment.witness(config)
        tasks.cancel_scope.cancel()
    assert (finding.level, "not known yet" in finding.message) == (Level.OK, True)


async def test_a_running_agent_is_noticed(config: Config) -> None:
    assert deployment.running_agent(config) is None
    with claim_run_dir(config.agent.run_dir):
        found = deployment.running_agent(config)
    assert found
    assert found.level is Level.OK
