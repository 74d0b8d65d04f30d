"""Every error that reaches a person: what is wrong, where, what to do, and the exit code of the command."""

from __future__ import annotations

from typing import ClassVar


class ColoError(Exception):
    """Base of all errors of colo. `message` says what and where, `hint` what to do about it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(ColoError):
    """The configuration file is wrong; every problem it has is in the message."""

    exit_code = 3


class AgentUnreachableError(ColoError):
    """No agent answers on the socket of the run directory."""

    exit_code = 4


class QemuError(ColoError):
    """QEMU is missing, too old, refused to start, or died."""

    exit_code = 5


class PeerUnreachableError(ColoError):
    """The other agent cannot be reached, or went away."""

    exit_code = 6


class PeerIncompatibleError(ColoError):
    """The other agent runs another version, or describes another VM."""

    exit_code = 7


class AddressInUseError(ColoError):
    """A port or socket that we should listen on is taken."""

    exit_code = 8


class StateFolderError(ColoError):
    """The state or run folder cannot be written: missing, no permission, disk full."""

    exit_code = 9


class LeaseError(ColoError):
    """The witness refused the lease or cannot be reached."""

    exit_code = 10


class CapabilityError(ColoError):
    """Something is missing on this machine: a tap device, a right, a kernel feature."""

    exit_code = 11


class RefusedError(ColoError):
    """The request does not fit the state that the VM is in."""

    exit_code = 12
