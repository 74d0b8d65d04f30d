"""All checks, in the order in which a person would look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colo.check import deployment, machine, memory, network, qemu

if TYPE_CHECKING:
    from colo.check.finding import Finding
    from colo.config import Config


async def check(config: Config | None, qemu_program: str = "qemu-system-x86_64") -> tuple[Finding, ...]:
    """Look at this machine; with `config`, also at what that VM needs, and whether its witness answers."""
    findings = [machine.kernel(), machine.clock()]
    findings += await qemu.findings(config, qemu_program)
    findings += [machine.dirty_tracking(), machine.userfaultfd()]
    findings += [memory.huge_pages(), memory.swap()]
    findings += network.tap(config)
    if config is None or any(nic.has_offloads for nic in config.vm.nic):
        findings.append(await network.cable(needed=config is not None))
    if config is None:
        findings.append(memory.largest())
    if config is not None:
        findings += deployment.files(config)
        if agent := deployment.running_agent(config):
            findings.append(agent)
        else:
            findings += [await qemu.machine(config), memory.room(config), network.port(config)]
        findings.append(await deployment.witness(config))
    return tuple(findings)
