"""Configuration files of the laboratory's agents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from colo.guest import GUEST_APPEND
from colo.lab.namespaces import BRIDGE

if TYPE_CHECKING:
    from pathlib import Path

    from colo.lab.pair import Guest, Options

GUEST_ADDRESS, GUEST_ADDRESS6 = "10.77.0.2", "fd77::2"
GUEST_MAC = "52:54:00:c0:10:01"
LINK_PORT, WITNESS_PORT = 7700, 7790
PERIOD_MS = 500
"""More often than by default: more checkpoints for faults to meet."""


def agent_toml(
    folder: Path, node: str, peer: str, addresses: dict[str, str], guest: Guest, options: Options
) -> str:
    """The configuration of `node` as text; keys of `options` go over the defaults."""
    vm = {
        "name": "demo",
        "memory_mib": 256,
        "kernel": str(guest.kernel),
        "initrd": str(guest.initrd),
        "append": f"{GUEST_APPEND} colo.ip={GUEST_ADDRESS}/24 colo.ipv6={GUEST_ADDRESS6}/64",
        "qemu": str(guest.qemu),
    }
    tables: dict[str, dict[str, Any]] = {
        "agent": {
            "node": node,
            "peer_node": peer,
            "run_dir": str(folder / node / "run"),
            "state_dir": str(folder / node / "state"),
            "listen": f"{addresses[node]}:{LINK_PORT}",
            "peer": f"{addresses[peer]}:{LINK_PORT}",
        },
        "tls": {"ca": "ca.pem", "cert": f"{node}.pem", "key": f"{node}.key"},
        "witness": {"address": f"{addresses['witness']}:{WITNESS_PORT}", "node": "witness"},
        "vm": vm | options.vm | options.vm_of.get(node, {}),
        "checkpoint": {"period_ms": PERIOD_MS} | options.checkpoint,
        "timing": options.timing,
    }
    text = "\n".join(_table(name, values) for name, values in tables.items())
    nic = {"mac": GUEST_MAC, "backend": options.backend}
    uplink = f'uplink = {{ tap = "colo0", bridge = "{BRIDGE}" }}\n'
    return f"{text}\n{_table('[vm.nic]', nic)}{uplink}"


def _table(name: str, values: dict[str, Any]) -> str:
    # JSON's strings, numbers, booleans and flat lists are TOML's too.
    return "\n".join([f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()), ""])
