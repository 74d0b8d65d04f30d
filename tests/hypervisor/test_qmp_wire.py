"""QMP's wire against a socket of ours: lines cut anywhere, descriptors, what is no QMP."""

from __future__ import annotations

import json
import os
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colo.hypervisor.qmp_wire import Command, ErrorReply, Wire, WireLostError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

pytestmark = pytest.mark.anyio

_PATIENCE_S = 5.0
_GREETING = (
    b'{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}}, "capabilities": ["oob"]}}\r\n'
)


@asynccontextmanager
async def _session() -> AsyncIterator[tuple[Wire, socket.socket, list[Mapping[str, Any]]]]:
    """A wire that has begun, the other end, and the events that come."""
    events: list[Mapping[str, Any]] = []
    ours, theirs = socket.socketpair()
    theirs.settimeout(_PATIENCE_S)
    wire = Wire(events.append)
    with theirs:
        theirs.send(_GREETING)
        with anyio.fail_after(_PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wire.connect, ours)
                asked = json.loads(await anyio.to_thread.run_sync(theirs.recv, 4096))
                assert asked == {"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}, "id": 1}
                theirs.send(b'{"return": {}, "id": 1}\r\n')
        assert wire.version == (10, 0, 2)
        yield wire, theirs, events
        wire.close()


async def test_commands_go_out_together_with_a_descriptor_when_send_returns() -> None:
    async with _session() as (wire, qemu, _):
        reader, writer = os.pipe()
        try:
            wire.send([Command("getfd", {"fdname": "x"}), Command("stop", oob=True)], [writer])
            data, fds, _, _ = socket.recv_fds(qemu, 4096, 1)
            os.write(fds[0], b"!")
            assert os.read(reader, 1) == b"!"
        finally:
            for fd in (reader, writer, *fds):
                os.close(fd)
        lines = [json.loads(line) for line in data.splitlines()]
        assert lines == [
            {"execute": "getfd", "id": 2, "arguments": {"fdname": "x"}},
            {"exec-oob": "stop", "id": 3},
        ]


async def test_answers_find_their_commands_in_any_order_and_events_come_in_theirs() -> None:
    async with _session() as (wire, qemu, events):
        one, two = wire.send([Command("one"), Command("two")])
        text = (
            b'{"event": "STOP"}\r\n{"error": {"class": "GenericError", "desc": "no"}, "id": 3}\r\n'
            b'{"event": "RESUME"}\r\n{"return": [1], "id": 2}\r\n'
        )
        for byte in text:  # a stream socket may cut anywhere
            qemu.send(bytes([byte]))
            await anyio.lowlevel.checkpoint()
        with anyio.fail_after(_PATIENCE_S):
            assert await one == [1]
            with pytest.raises(ErrorReply, match="no"):
                await two
        assert [event["event"] for event in events] == ["STOP", "RESUME"]


async def test_more_than_the_socket_takes_goes_out_as_it_is_read() -> None:
    async with _session() as (wire, qemu, _):
        wire.send([Command("long", {"text": "x" * (4 << 20)})])
        (last,) = wire.send([Command("last")])
        qemu.settimeout(0)
        data = b""
        with anyio.fail_after(_PATIENCE_S):
            while data.count(b"\n") < 2:
                try:
                    data += qemu.recv(1 << 20)
                except BlockingIOError:
                    await anyio.lowlevel.checkpoint()
            assert [json.loads(line)["execute"] for line in data.splitlines()] == ["long", "last"]
            qemu.send(b'{"return": 7, "id": 3}\n')
            assert await last == 7


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"hello\n",
        b"[" * 100_000 + b"\n",
        b'{"return": 1}\n',
        b'{"return": 1, "id": 99}\n',
        b'{"error": {"desc": 5}, "id": 2}\n',
        b'{"QMP": {}}\n',
        b"\xff\xfe\n",
    ],
)
async def test_the_end_of_it_and_what_is_no_qmp_end_all_that_wait(text: bytes) -> None:
    async with _session() as (wire, qemu, _):
        (reply,) = wire.send([Command("stop")])
        if text:
            qemu.send(text)
        else:
            qemu.close()
        with anyio.fail_after(_PATIENCE_S), pytest.raises(WireLostError):
            await reply
        with pytest.raises(WireLostError):
            wire.send([Command("stop")])


async def test_an_answer_that_nobody_waits_for_any_more_is_no_fault() -> None:
    async with _session() as (wire, qemu, _):
        late, next_ = wire.send([Command("late"), Command("next")])
        late.cancel()
        qemu.send(b'{"return": {}, "id": 2}\n{"return": {}, "id": 3}\n')
        with anyio.fail_after(_PATIENCE_S):
            assert await next_ == {}


@pytest.mark.parametrize("greeting", [b'{"QMP": []}', b'{"QMP": {"version": {}, "capabilities": []}}'])
async def test_what_is_no_greeting_begins_no_session(greeting: bytes) -> None:
    ours, theirs = socket.socketpair()
    with theirs, anyio.fail_after(_PATIENCE_S):
        theirs.send(greeting + b"\n")
        wire = Wire(lambda _: None)
        with pytest.raises(WireLostError, match="no greeting"):
            await wire.connect(ours)
        wire.close()


async def test_a_qemu_that_ends_before_its_greeting_is_lost() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with anyio.fail_after(_PATIENCE_S), pytest.raises(WireLostError):
        await Wire(lambda _: None).connect(ours)


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_whatever_comes_is_understood_or_ends_it(pieces: list[bytes]) -> None:
    async def feed() -> None:
        async with _session() as (wire, qemu, _):
            (reply,) = wire.send([Command("stop")])
            with suppress(BrokenPipeError):  # it was ended before the last piece
                for piece in pieces:
                    qemu.send(piece)
                    await anyio.lowlevel.checkpoint()
            qemu.close()
            with anyio.fail_after(_PATIENCE_S), pytest.raises(WireLostError):
                await reply

    anyio.run(feed)
