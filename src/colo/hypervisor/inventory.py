"""What QEMU made of a VM's description: asked, not read out of arguments.

A state fits into another QEMU only if these are the same there; QEMU itself compares little of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from colo.config.refused import DIRECT_IO, refused_word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colo.hypervisor.qmp import Qmp

_GUEST_RAM = "ram"
_DEVICES = ("/machine/peripheral", "/machine/peripheral-anon")
_OBJECTS = "/objects"
_BLOCK = re.compile(r"^ *(\S+) .*? 0x[0-9a-f]+ +0x[0-9a-f]+ +0x([0-9a-f]+)", re.MULTILINE)


@attrs.frozen
class Inventory:
    """Each as one line of text, in an order that depends on nothing."""

    machine: str
    """The machine type that an alias stands for: `pc-q35-7.2` for `q35`."""
    cpuid: str
    """The features that the guest's CPUs show, by leaf and register: `1.EDX:178bfbfd`."""
    devices: str
    """Types of the devices that the command line names."""
    memory: str
    """Sizes in KiB of what is memory besides the guest's RAM: `system.flash0:3568`."""


async def take_inventory(qmp: Qmp) -> Inventory:
    """Ask a QEMU that has its machine; it need not run."""
    machine = await qmp.execute("qom-get", {"path": "/machine", "property": "type"})
    cpus = await qmp.execute("query-cpus-fast")
    words = await qmp.execute("qom-get", {"path": cpus[0]["qom-path"], "property": "feature-words"})
    types = [kind for folder in _DEVICES for _, kind in await _children(qmp, folder)]
    blocks = await qmp.execute("human-monitor-command", {"command-line": "info ramblock"})
    return Inventory(
        machine=str(machine).removesuffix("-machine"),
        cpuid=" ".join(sorted(_word(word) for word in words if word["features"])),
        devices=" ".join(sorted(types)),
        memory=" ".join(
            f"{name}:{int(size, 16) >> 10}"
            for name, size in sorted(_BLOCK.findall(blocks))
            if name != _GUEST_RAM
        ),
    )


async def objections(qmp: Qmp) -> tuple[str, ...]:
    """A sentence for each part of the machine that no checkpoint can carry.

    The words of `vm.extra` are looked at when the configuration is read; this finds what they bring in
    without saying so.
    """
    found = [name_kind for folder in _DEVICES for name_kind in await _children(qmp, folder)]
    found += [(name, kind) for name, kind in await _children(qmp, _OBJECTS) if name != _GUEST_RAM]
    sentences = [f"{name} ({kind}): {reason}" for name, kind in found if (reason := refused_word(kind))]
    nodes = await qmp.execute("query-named-block-nodes")
    return (*sentences, *(sentence for node in nodes for sentence in _of_disk(node)))


def _of_disk(node: dict[str, Any]) -> Iterator[str]:
    if reason := refused_word(f"driver={node['drv']}"):
        yield f"{node['node-name']}: {reason}"
    if node["cache"]["direct"]:
        yield f"{node['node-name']}: {DIRECT_IO}"


async def _children(qmp: Qmp, path: str) -> list[tuple[str, str]]:
    """Name and type of what is below a path of QEMU's object tree."""
    listed = await qmp.execute("qom-list", {"path": path})
    kinds = ((entry["name"], re.fullmatch(r"child<(.+)>", entry["type"])) for entry in listed)
    return [(name, kind[1]) for name, kind in kinds if kind]


def _word(word: dict[str, Any]) -> str:
    leaf = f"{word['cpuid-input-eax']:x}"
    if "cpuid-input-ecx" in word:
        leaf += f".{word['cpuid-input-ecx']:x}"
    return f"{leaf}.{word['cpuid-register']}:{word['features'] & 0xFFFFFFFF:x}"
