"""The first words on a link: both sides say who they are and what VM they mean, before all else."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from attrs import define

from colo import __version__
from colo.errors import PeerIncompatibleError, RefusedError
from colo.model import messages

if TYPE_CHECKING:
    from colo.agent.seen_token import SeenToken
    from colo.config import Config
    from colo.hypervisor import Platform

_HINT = (
    "both hosts need the same version of colo, the same [vm] but for paths and uplinks, and the same QEMU,"
    " or a pinned vm.machine (pc-q35-7.2)"
)


class Side(Enum):
    """Who connected is the primary."""

    PRIMARY = "primary"
    SECONDARY = "secondary"


@define
class Handshake:
    """One link's. `theirs` is None until their Hello came and was found to fit."""

    side: Side
    theirs: messages.Hello | None = None


def hello(config: Config, platform: Platform, token: int) -> messages.Hello:
    """What this agent says of itself."""
    vm = config.vm
    made = platform.inventory
    shape = messages.VmShape(
        name=vm.name,
        memory_mib=vm.memory_mib,
        cpus=vm.cpus,
        machine=made.machine,
        cpu=vm.cpu,
        nics=tuple(nic.mac.lower() for nic in vm.nic),
        backends=tuple(str(nic.backend) for nic in vm.nic),
        qemu_version=platform.qemu_version,
        accel=platform.accel,
        cpuid=made.cpuid,
        devices=made.devices,
        memory=made.memory,
    )
    return messages.Hello(messages.PROTOCOL, __version__, config.agent.node, token, shape)


def check(mine: messages.Hello, theirs: messages.Hello) -> None:
    """PeerIncompatibleError with every difference."""
    if problems := messages.incompatibilities(mine, theirs):
        raise PeerIncompatibleError(f"{theirs.node} does not fit: {'; '.join(problems)}", _HINT)


def check_token(seen: SeenToken, theirs: messages.Hello) -> None:
    """RefusedError for a primary that was deposed: somebody has had a higher token since."""
    if theirs.token < seen.highest:
        raise RefusedError(
            f"{theirs.node} shows token {theirs.token} of the lease, but {seen.highest} was seen here: it"
            f" was deposed (or the witness has lost its records: then remove {seen.path})"
        )


def strange(peer: str, why: str) -> PeerIncompatibleError:
    """The error for a peer that is heard but not understood."""
    return PeerIncompatibleError(f"{peer} is not understood: {why}", _HINT)


def as_error(refused: messages.Refused, peer: str) -> PeerIncompatibleError | RefusedError:
    """What the peer refused us with, as the operator here should see it."""
    text = f"{peer} refused: {refused.reason}"
    if refused.code == PeerIncompatibleError.exit_code:
        return PeerIncompatibleError(text, _HINT)
    return RefusedError(text, f"see `colo status` at {peer}")
