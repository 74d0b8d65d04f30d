"""The library's QMP client, by the hooks that it has for its subclasses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qemu.qmp import Message, QMPClient

if TYPE_CHECKING:
    from collections.abc import Callable


class Client(QMPClient):
    """Makes no text of each message for a log, as the library does whether somebody reads it or not, and
    tells when a command is on its way.
    """

    def __init__(self) -> None:
        super().__init__()
        self._leaving: dict[str, Callable[[], None]] = {}

    def tell(self, command: str, on_way: Callable[[], None]) -> None:
        """Has `on_way` called once, when the next such command is written to the socket."""
        self._leaving[command] = on_way

    def _cb_outbound(self, msg: Message) -> Message:
        on_way = self._leaving.pop(str(msg.get("execute")), None)
        if on_way is not None:
            on_way()
        return msg

    def _cb_inbound(self, msg: Message) -> Message:
        return msg
