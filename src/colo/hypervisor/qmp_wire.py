"""The wire of QMP: JSON objects, one to a line, on a connected UNIX socket.

https://www.qemu.org/docs/master/interop/qmp-spec.html. A command is on the socket when `send` returns, and
what QEMU says is handed on in the turn of the event loop that reads it: a checkpoint is a chain of these,
with a VM that stands still and a client that waits (docs/decisions/0034-a-quicker-commit.md).
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_CHUNK = 1 << 16
_LONGEST = 16 << 20
"""Bytes of one line of QEMU's."""


class WireLostError(Exception):
    """The connection has ended, or what came over it is no QMP."""


class ErrorReply(Exception):  # noqa: N818 - it is QEMU's answer
    """QEMU's own error, in its words."""


@attrs.frozen
class Command:
    """What QEMU is to do; `oob`: at once, whatever else it is doing."""

    name: str
    arguments: Mapping[str, object] | None = None
    oob: bool = False

    def line(self, number: int) -> bytes:
        """As it goes over the wire; the answer names the number."""
        message: dict[str, object] = {"exec-oob" if self.oob else "execute": self.name, "id": number}
        if self.arguments is not None:
            message["arguments"] = self.arguments
        return json.dumps(message, separators=(",", ":")).encode() + b"\n"


@attrs.define(eq=False)
class Wire:
    """`connect` first. `on_event` gets the events as they come: name, data, timestamp."""

    on_event: Callable[[Mapping[str, Any]], None]
    version: tuple[int, int, int] = (0, 0, 0)
    """QEMU's, as it says at the beginning."""
    _socket: socket.socket | None = None
    _lost: str = "it was not begun"
    _number: int = 0
    _replies: dict[int, asyncio.Future[Any]] = attrs.field(factory=dict)
    _greeting: asyncio.Future[Any] = attrs.field(init=False)
    _line: bytearray = attrs.field(factory=bytearray)
    _unsent: deque[tuple[memoryview, tuple[int, ...]]] = attrs.field(factory=deque)

    async def connect(self, connected: socket.socket) -> None:
        """Take over the socket, wait for the greeting, and begin the session. Raises `WireLostError`."""
        loop = asyncio.get_running_loop()
        connected.settimeout(0)
        self._socket, self._greeting = connected, loop.create_future()
        loop.add_reader(connected, self._readable)
        offered = self._read_greeting(await self._greeting)
        enable = [capability for capability in offered if capability == "oob"]
        try:
            await self.send([Command("qmp_capabilities", {"enable": enable})])[0]
        except ErrorReply as error:
            raise WireLostError(f"QMP cannot begin: {error}") from error

    def _read_greeting(self, greeting: object) -> list[object]:
        match greeting:
            case {
                "version": {"qemu": {"major": int(major), "minor": int(minor), "micro": int(micro)}},
                "capabilities": list(offered),
            }:
                self.version = major, minor, micro
                return offered
        raise WireLostError("what came is no greeting of QEMU's")

    def send(self, commands: Sequence[Command], fds: Iterable[int] = ()) -> list[asyncio.Future[Any]]:
        """Send these in one go, and file descriptors with them; their answers, each a value, `ErrorReply` or
        `WireLostError`. QEMU carries them out in this order. Raises `WireLostError`.
        """
        if self._socket is None:
            raise WireLostError(self._lost)
        loop = asyncio.get_running_loop()
        lines, replies = bytearray(), []
        for command in commands:
            self._number += 1
            replies.append(loop.create_future())
            self._replies[self._number] = replies[-1]
            lines += command.line(self._number)
        self._unsent.append((memoryview(bytes(lines)), tuple(fds)))
        if len(self._unsent) == 1:
            self._flush()
        return replies

    def close(self, why: str = "it was closed") -> None:
        """End it; who waits is told. Harmless when it has ended."""
        if self._socket is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        loop.remove_writer(self._socket)
        self._socket.close()
        self._socket, self._lost = None, why
        self._unsent.clear()
        waiting, self._replies = [self._greeting, *self._replies.values()], {}
        for reply in waiting:
            if not reply.done():
                reply.set_exception(WireLostError(why))
                reply.exception()  # who waits gets it; that nobody does is no fault

    def _flush(self) -> None:
        """Send what waits, as far as the socket takes it, and the rest when it takes more."""
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        try:
            while self._unsent:
                data, fds = self._unsent[0]
                sent = socket.send_fds(self._socket, [data], list(fds)) if fds else self._socket.send(data)
                if sent < len(data):
                    self._unsent[0] = (data[sent:], ())
                else:
                    self._unsent.popleft()
        except BlockingIOError:
            loop.add_writer(self._socket, self._flush)
        except OSError as error:
            self.close(str(error))
        else:
            loop.remove_writer(self._socket)

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(str(error))
            return
        if not data:
            self.close("QEMU closed it")
            return
        self._line += data
        if b"\n" in data:
            *lines, rest = self._line.split(b"\n")
            self._line = rest
            for line in lines:
                self._take(bytes(line))
        elif len(self._line) > _LONGEST:
            self.close(f"a line of more than {_LONGEST} bytes")

    def _take(self, line: bytes) -> None:
        if self._socket is None or not line.strip():
            return
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            self.close(f"no JSON: {error}")
            return
        match message:
            case {"event": str(), **_rest}:
                self.on_event(message)
            case {"return": value, "id": int(number)}:
                self._settle(number, value)
            case {"error": {"desc": str(why)}, "id": int(number)}:
                self._settle(number, ErrorReply(why))
            case {"QMP": greeting} if not self._greeting.done():
                self._greeting.set_result(greeting)
            case _:
                self.close(f"not understood: {line[:200]!r}")

    def _settle(self, number: int, outcome: object) -> None:
        reply = self._replies.pop(number, None)
        if reply is None:
            self.close(f"an answer to nothing: {number}")
        elif reply.done():
            pass  # nobody waits any more
        elif isinstance(outcome, ErrorReply):
            reply.set_exception(outcome)
            reply.exception()
        else:
            reply.set_result(outcome)
