"""Many connections at once."""

from __future__ import annotations

import anyio
import anyio.abc
import click
from anyio.streams.buffered import BufferedByteReceiveStream

from colo.guest.protocol import COUNTER_PORT, CounterCheck
from colo.lab.clients.report import PATIENCE_S, broken, say

_LONGEST = 64


@click.command()
@click.argument("host")
@click.option("--connections", default=500)
@click.option("--rounds", default=5, help="Requests on each, all connections being open.")
def crowd(host: str, connections: int, rounds: int) -> None:
    """Counters, all open at once: what one client says must not come back to another."""
    try:
        anyio.run(_crowd, host, connections, rounds)
    except* (OSError, TimeoutError, anyio.IncompleteRead, ValueError) as errors:
        raise broken(f"{len(errors.exceptions)} connections: {errors.exceptions[0]!r}") from errors
    say(kind="answer", n=connections * rounds, ms=0)
    say(verdict="whole")


async def _crowd(host: str, connections: int, rounds: int) -> None:
    gate = _Gate(connections)
    async with anyio.create_task_group() as tasks:
        for number in range(connections):
            tasks.start_soon(_one, host, number, rounds, gate)


class _Gate:
    """Opens when as many have come."""

    def __init__(self, wanted: int) -> None:
        self._missing, self._open = wanted, anyio.Event()

    async def pass_(self) -> None:
        self._missing -= 1
        if not self._missing:
            say(kind="open")
            self._open.set()
        await self._open.wait()


async def _one(host: str, number: int, rounds: int, gate: _Gate) -> None:
    check = CounterCheck()
    with anyio.fail_after(PATIENCE_S):
        stream = await anyio.connect_tcp(host, COUNTER_PORT)
        async with stream:
            answers = BufferedByteReceiveStream(stream)
            for turn in range(rounds):
                await _ask(stream, answers, check, f"{number} {turn}".encode())
                await gate.pass_() if turn == 0 else None


async def _ask(
    stream: anyio.abc.SocketStream, answers: BufferedByteReceiveStream, check: CounterCheck, line: bytes
) -> None:
    expected = check.expect(line)
    await stream.send(line + b"\n")
    got = await answers.receive_until(b"\n", _LONGEST) + b"\n"
    if got != expected:
        raise ValueError(f"answered {got!r}, expected {expected!r}")
