from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from colo.config import (
    Address,
    AgentConfig,
    Config,
    NicConfig,
    TlsConfig,
    UnixUplink,
    VmConfig,
    WitnessConfig,
)
from colo.pki import create_authority, issue_node

if TYPE_CHECKING:
    from pathlib import Path


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A host whose deployment is all there, except for the witness."""
    pki = tmp_path / "pki"
    create_authority(pki)
    for node in ("alpha", "witness"):
        issue_node(pki, node)
    for file in ("vmlinuz", "initramfs"):
        (tmp_path / file).touch()
    nic = NicConfig("52:54:00:c0:10:01", UnixUplink(tmp_path / "uplink"))
    return Config(
        agent=AgentConfig(
            "alpha",
            "beta",
            tmp_path / "run",
            tmp_path / "state",
            Address("127.0.0.1", free_port()),
            Address("127.0.0.1", 7700),
        ),
        tls=TlsConfig(pki / "ca.pem", pki / "alpha.pem", pki / "alpha.key"),
        witness=WitnessConfig(Address("127.0.0.1", free_port()), "witness"),
        vm=VmConfig("web", 64, (nic,), kernel=tmp_path / "vmlinuz", initrd=tmp_path / "initramfs"),
    )
