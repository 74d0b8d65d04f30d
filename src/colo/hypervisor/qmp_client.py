"""The library's QMP client, by the hooks that it has for its subclasses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from qemu.qmp import ExecuteError, Message, QMPClient, Runstate
from qemu.qmp.models import ErrorResponse
from qemu.qmp.qmp_client import BadReplyError

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Client(QMPClient):
    """Makes no text of each message for a log, as the library does whether somebody reads it or not, and has
    a command sent at once where a VM waits for it.
    """

    def begin(self, command: str) -> Coroutine[Any, Any, object]:
        """As `execute`, but the command is on the socket when this returns, not when the library's queue and
        its writing task have had their turns. What it returned, or its error, comes from what this gives.
        """
        if self.runstate is not Runstate.RUNNING:
            return self.execute(command)  # which tells so
        message = self.make_execute_msg(command)
        message["id"] = name = self._get_exec_id()
        self._pending[name] = asyncio.Queue(maxsize=1)
        self._do_send(message)
        return self._answer(name, message)

    async def _answer(self, name: str, message: Message) -> object:
        reply = await self._reply(name)
        try:
            if "error" in reply:
                raise ExecuteError(ErrorResponse(reply), message, reply)
            return reply["return"]
        except (KeyError, TypeError) as error:
            raise BadReplyError("the answer is malformed", reply, message) from error

    def _cb_outbound(self, msg: Message) -> Message:
        return msg

    def _cb_inbound(self, msg: Message) -> Message:
        return msg
