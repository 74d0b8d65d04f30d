"""How QEMU fails. All are `QemuError`; the classes tell apart what the agent must do."""

from __future__ import annotations

from colo.errors import QemuError


class QemuDiedError(QemuError):
    """The process is gone: nothing of this VM is left here."""


class QmpTimeoutError(QemuError):
    """QEMU did not answer in time. It has been killed, since nobody can know what state it is in."""


class QmpRefusedError(QemuError):
    """QEMU answered a command with an error, and goes on."""

    def __init__(self, command: str, reason: str) -> None:
        super().__init__(f"QEMU refused {command}: {reason}")
        self.command = command
        self.reason = reason
