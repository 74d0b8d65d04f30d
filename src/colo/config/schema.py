"""The configuration of one host: the keys, ranges and defaults of `docs/configuration.md`.

Times are in milliseconds and sizes in MiB, as the names say. Paths are absolute once loaded.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING

import attrs

from colo.config.checks import (
    NODE_NAME,
    Address,
    Choice,
    FilePath,
    Flag,
    HostPort,
    Integer,
    MacAddress,
    Text,
)
from colo.config.refused import ExtraArguments, refused_word
from colo.config.tables import OneOfTables, Table, Tables, key
from colo.model import timing
from colo.model.policy.figures import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from colo.model.checkpoint.primary_table import Resume
    from colo.model.compression import Encoding
    from colo.model.policy.figures import Wanted

MAX_NICS = 8
# A unix socket's path holds 107 bytes (unix(7)), and the longest name that we put into the folder has 12.
_RUN_DIR = FilePath(max_bytes=90, expected="path of a folder, at most 90 bytes")
_DEVICE_NAME = Text("name of a network device, at most 15 characters", r"[A-Za-z0-9_.-]{1,15}")
_HOUR_MS = 3_600_000
_POLICY = Limits()


@attrs.frozen
class AgentConfig:
    """`[agent]`: this host's half of the pair."""

    node: str = attrs.field(metadata=key(NODE_NAME))
    peer_node: str = attrs.field(metadata=key(NODE_NAME))
    run_dir: Path = attrs.field(metadata=key(_RUN_DIR))
    state_dir: Path = attrs.field(metadata=key(FilePath(expected="path of a folder")))
    listen: Address = attrs.field(metadata=key(HostPort()))
    peer: Address = attrs.field(metadata=key(HostPort()))

    def inconsistencies(self) -> Iterator[tuple[str, str]]:
        """Two nodes and two folders that are not one."""
        if self.node == self.peer_node:
            yield "peer_node", f"{self.peer_node!r} is this node itself; name the other host's node"
        if self.run_dir == self.state_dir:
            yield "state_dir", "is the same folder as run_dir; what survives a crash needs its own"
        if self.listen == self.peer:
            yield "peer", f"{self.peer} is where this agent itself listens; give the other host's address"


@attrs.frozen
class TlsConfig:
    """`[tls]`: who we are, and whose word about the others we take. PEM files."""

    ca: Path = attrs.field(metadata=key(FilePath(expected="path of a PEM file")))
    cert: Path = attrs.field(metadata=key(FilePath(expected="path of a PEM file")))
    key: Path = attrs.field(metadata=key(FilePath(expected="path of a PEM file")))


@attrs.frozen
class WitnessConfig:
    """`[witness]`: the third host, which decides who may run."""

    address: Address = attrs.field(metadata=key(HostPort()))
    node: str = attrs.field(default="witness", metadata=key(NODE_NAME))


@attrs.frozen
class TapUplink:
    """An uplink through a tap device of ours on a bridge of the host."""

    tap: str = attrs.field(metadata=key(_DEVICE_NAME))
    bridge: str = attrs.field(metadata=key(_DEVICE_NAME))


@attrs.frozen
class UnixUplink:
    """An uplink through a unix stream socket: frames with a 4-byte big-endian length before each."""

    unix: Path = attrs.field(
        metadata=key(FilePath(max_bytes=107, expected="path of a unix socket, at most 107 bytes"))
    )


class Backend(StrEnum):
    """How QEMU hands over a card's frames."""

    STREAM = "stream"
    """Over a unix socket, each frame whole: works everywhere."""
    TAP = "tap"
    """Over a cable of two taps, with offloads: the guest leaves cutting and checksums to the host."""


@attrs.frozen
class NicConfig:
    """`[[vm.nic]]`: one network card, the same MAC address on both hosts."""

    mac: str = attrs.field(metadata=key(MacAddress()))
    uplink: TapUplink | UnixUplink = attrs.field(
        metadata=key(OneOfTables({"tap": TapUplink, "unix": UnixUplink}))
    )
    backend: str = attrs.field(default=Backend.STREAM, metadata=key(Choice(tuple(Backend))))

    @property
    def has_offloads(self) -> bool:
        """Frames of up to 64 KiB, with checksums to be completed, go both ways."""
        return self.backend == Backend.TAP

    def inconsistencies(self) -> Iterator[tuple[str, str]]:
        """What the guest leaves to the host, a tap can do; a socket cannot."""
        if self.has_offloads and isinstance(self.uplink, UnixUplink):
            yield "backend", "'tap' needs an uplink that is a tap on a bridge; 'stream' works with any"


@attrs.frozen
class VmConfig:
    """`[vm]`: the virtual machine, alike on both hosts."""

    name: str = attrs.field(
        metadata=key(Text("name: letters, digits, _ . -, at most 63", r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"))
    )
    memory_mib: int = attrs.field(metadata=key(Integer(16, 1_048_576)))
    nic: tuple[NicConfig, ...] = attrs.field(metadata=key(Tables(NicConfig, 1, MAX_NICS)))
    cpus: int = attrs.field(default=1, metadata=key(Integer(1, 64)))
    machine: str = attrs.field(
        default="q35",
        metadata=key(
            Text(
                "pc, q35, microvm or a pinned one like pc-q35-7.2",
                r"pc|q35|microvm|pc-(i440fx|q35)-\d{1,2}\.\d{1,2}",
            )
        ),
    )
    accel: str = attrs.field(default="auto", metadata=key(Choice(("auto", "kvm", "tcg"))))
    cpu: str = attrs.field(
        default="qemu64",
        metadata=key(
            Text("CPU model and flags (model,+flag,flag=off)", r"[A-Za-z0-9][A-Za-z0-9_.,=+-]{0,255}")
        ),
    )
    firmware: Path | None = attrs.field(
        default=None, metadata=key(FilePath(expected="path of a flash image (OVMF_CODE)"))
    )
    firmware_vars: Path | None = attrs.field(
        default=None, metadata=key(FilePath(expected="path of a flash image that can be written (OVMF_VARS)"))
    )
    kernel: Path | None = attrs.field(default=None, metadata=key(FilePath(expected="path of a bzImage")))
    initrd: Path | None = attrs.field(default=None, metadata=key(FilePath(expected="path of an initramfs")))
    append: str = attrs.field(default="", metadata=key(Text("kernel command line", r".{0,2047}")))
    qemu: str = attrs.field(
        default="qemu-system-x86_64", metadata=key(Text("program name or absolute path", r".+"))
    )
    extra: tuple[str, ...] = attrs.field(default=(), metadata=key(ExtraArguments()))

    def inconsistencies(self) -> Iterator[tuple[str, str]]:
        """Cards that are told apart, CPU flags that can be carried, a kernel with its arguments, flash."""
        for what, count in Counter(nic.mac for nic in self.nic).items():
            if count > 1:
                yield "nic", f"{count} cards have the MAC address {what}"
        taps = Counter(nic.uplink.tap for nic in self.nic if isinstance(nic.uplink, TapUplink))
        for what, count in taps.items():
            if count > 1:
                yield "nic", f"{count} cards use the tap device {what}"
        for flag in self.cpu.split(",")[1:]:
            if reason := refused_word(flag):
                yield "cpu", f"{flag!r} is refused: {reason}"
        if self.kernel is None and (self.initrd or self.append):
            yield "kernel", "is missing, but initrd or append is given"
        if self.firmware is None and self.firmware_vars:
            yield "firmware", "is missing, but firmware_vars is given"
        if self.firmware and self.machine == "microvm":
            yield "firmware", "is flash, which microvm does not have; use pc or q35"


@attrs.frozen
class CheckpointConfig:
    """`[checkpoint]`: when to take one, and what may wait for it."""

    period_ms: int = attrs.field(default=10_000, metadata=key(Integer(0, _HOUR_MS)))
    period_mib: int = attrs.field(default=64, metadata=key(Integer(0, 1_048_576)))
    hold_limit_ms: int = attrs.field(default=1000, metadata=key(Integer(1, 60_000)))
    max_staging_mib: int = attrs.field(default=1024, metadata=key(Integer(1, 1_048_576)))
    held_mib: int = attrs.field(default=64, metadata=key(Integer(1, 4096)))
    resume: Resume = attrs.field(default="early", metadata=key(Choice(("early", "together"))))
    mode: Wanted = attrs.field(default=_POLICY.mode, metadata=key(Choice(("auto", "lockstep", "epoch"))))
    forced_percent: int = attrs.field(default=_POLICY.forced_percent, metadata=key(Integer(2, 100)))
    paused_percent: int = attrs.field(default=_POLICY.paused_percent, metadata=key(Integer(2, 100)))
    wait_percent: int = attrs.field(default=_POLICY.wait_percent, metadata=key(Integer(2, 1000)))
    lag_ms: int = attrs.field(default=_POLICY.lag_ms, metadata=key(Integer(2, 60_000)))
    trial_s: int = attrs.field(default=_POLICY.trial_s, metadata=key(Integer(1, 3600)))
    epoch_min_ms: int = attrs.field(default=_POLICY.epoch_min_ms, metadata=key(Integer(0, 10_000)))
    epoch_max_ms: int = attrs.field(default=_POLICY.epoch_max_ms, metadata=key(Integer(5, 60_000)))
    encoding: Encoding = attrs.field(default="auto", metadata=key(Choice(("auto", "lz4", "delta", "none"))))
    precopy_max_mib_s: int = attrs.field(default=0, metadata=key(Integer(0, 1_048_576)))
    verify: bool = attrs.field(default=False, metadata=key(Flag()))

    @property
    def period_bytes(self) -> int:
        """`period_mib`, in bytes."""
        return self.period_mib << 20

    @property
    def max_staging_bytes(self) -> int:
        """`max_staging_mib`, in bytes."""
        return self.max_staging_mib << 20

    def limits(self) -> Limits:
        """The policy's part."""
        return Limits(**{field.name: getattr(self, field.name) for field in attrs.fields(Limits)})

    def inconsistencies(self) -> Iterator[tuple[str, str]]:
        """A time between checkpoints that has a shortest and a longest."""
        if self.epoch_max_ms < self.epoch_min_ms:
            yield "epoch_max_ms", f"must be at least epoch_min_ms ({self.epoch_min_ms})"


@attrs.frozen
class TimingConfig:
    """`[timing]`: deadlines. `colo.model.timing` says how they must fit each other."""

    heartbeat_ms: int = attrs.field(default=100, metadata=key(Integer(10, 10_000)))
    peer_timeout_ms: int = attrs.field(default=700, metadata=key(Integer(30, 60_000)))
    stall_timeout_ms: int = attrs.field(default=2000, metadata=key(Integer(100, 120_000)))
    lease_ttl_ms: int = attrs.field(default=2000, metadata=key(Integer(200, 120_000)))
    lease_renew_ms: int = attrs.field(default=500, metadata=key(Integer(20, 60_000)))
    clock_margin_ms: int = attrs.field(default=200, metadata=key(Integer(1, 10_000)))
    qmp_timeout_ms: int = attrs.field(default=2000, metadata=key(Integer(50, 60_000)))
    pause_timeout_ms: int = attrs.field(default=2500, metadata=key(Integer(50, 60_000)))
    checkpoint_timeout_ms: int = attrs.field(default=5000, metadata=key(Integer(100, 600_000)))

    def inconsistencies(self) -> Iterator[tuple[str, str]]:
        """The inequalities of the timing table."""
        for sentence in timing.problems(timing.Timing(**attrs.asdict(self))):
            yield "", sentence


@attrs.frozen
class Config:
    """The whole file."""

    agent: AgentConfig = attrs.field(metadata=key(Table(AgentConfig)))
    tls: TlsConfig = attrs.field(metadata=key(Table(TlsConfig)))
    witness: WitnessConfig = attrs.field(metadata=key(Table(WitnessConfig)))
    vm: VmConfig = attrs.field(metadata=key(Table(VmConfig)))
    checkpoint: CheckpointConfig = attrs.field(
        factory=CheckpointConfig, metadata=key(Table(CheckpointConfig))
    )
    timing: TimingConfig = attrs.field(factory=TimingConfig, metadata=key(Table(TimingConfig)))

    def inconsistencies(self) -> Iterator[tuple[str, str]]:
        """The witness is a third node."""
        if self.witness.node in (self.agent.node, self.agent.peer_node):
            yield "witness.node", f"{self.witness.node!r} is one of the pair; the witness must be a third"
