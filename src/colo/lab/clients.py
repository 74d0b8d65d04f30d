"""Clients that check every byte they get, as programs: `python -m colo.lab.clients counter 10.77.0.2`.

Each prints one JSON object per line: what happened, when (CLOCK_BOOTTIME, s), how long it took; the last one
is its verdict. They end by themselves or at SIGTERM. Plain blocking sockets: what a client of the service
would do, and nothing that repairs.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import signal
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from colo.guest.protocol import COUNTER_PORT, HTTP_PORT, MIB, CounterCheck, large_file

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 60.0
"""How long a client waits for one answer before it calls the connection dead."""
_BOOT_RETRY_S = 0.2


class Pace:
    """How often and how long: `turns` yields the number of each turn, from 1, until enough or SIGTERM."""

    def __init__(self, count: int, interval: float) -> None:
        self._count, self._interval = count, interval
        self._stopped = False
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopped = True

    def turns(self) -> Iterator[int]:
        """The client's own pace: it sleeps between its turns because a person would."""
        turn = 0
        while not self._stopped and (not self._count or turn < self._count):
            turn += 1
            yield turn
            time.sleep(self._interval)


def _say(**fields: str | float) -> None:
    print(json.dumps({"at": round(time.clock_gettime(time.CLOCK_BOOTTIME), 6), **fields}), flush=True)


def _broken(why: str) -> SystemExit:
    _say(verdict="broken", why=why)
    return SystemExit(1)


@contextmanager
def _answer(turn: int) -> Iterator[None]:
    """Reports how long the block took, which asks once and checks the answer."""
    began = time.monotonic()
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise _broken(f"turn {turn}: {error!r}") from error
    _say(kind="answer", n=turn, ms=round((time.monotonic() - began) * 1000, 3))


_count = click.option("--count", default=0, help="How often; 0: until SIGTERM.")
_interval = click.option("--interval", default=0.0, help="Seconds between an answer and the next request.")


@click.group()
def main() -> None:
    """Clients of the demonstration guest that check every byte."""


@main.command()
@click.argument("host")
@click.option("--seconds", default=60.0, help="How long the guest may take to boot.")
def await_guest(host: str, seconds: float) -> None:
    """Wait until the guest's services answer."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, HTTP_PORT), 1.0).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise _broken(f"no answer within {seconds} s: {error!r}") from error
            time.sleep(_BOOT_RETRY_S)
        else:
            _say(verdict="whole")
            return


@main.command()
@click.argument("host")
@_count
@_interval
def counter(host: str, count: int, interval: float) -> None:
    """One connection to the counter service, held open: no number missing, repeated or out of order."""
    check = CounterCheck()
    with socket.create_connection((host, COUNTER_PORT), PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers = connection.makefile("rb")
        for turn in Pace(count, interval).turns():
            line = f"request {turn}".encode()
            expected = check.expect(line)
            with _answer(turn):
                connection.sendall(line + b"\n")
                answer = answers.readline()
            if answer != expected:
                raise _broken(f"answered {answer!r}, expected {expected!r}")
    _say(verdict="whole")


@main.command()
@click.argument("host")
@_count
@_interval
@click.option("--path", default="/small")
@click.option("--any-body", is_flag=True, help="Bodies may differ from each other.")
@click.option("--expect", default="", help="What every body must be, but for the end of its line.")
def gets(host: str, count: int, interval: float, path: str, expect: str, *, any_body: bool) -> None:
    """HTTP GETs, a connection each; every body must be the same."""
    first = f"{expect}\n".encode() if expect else b""
    for turn in Pace(count, interval).turns():
        with _answer(turn):
            connection = http.client.HTTPConnection(host, timeout=PATIENCE_S)
            connection.request("GET", path)
            body = connection.getresponse().read()
            connection.close()
        first = first or body
        if not body or (body != first and not any_body):
            raise _broken(
                f"turn {turn}: {len(body)} bytes that differ from the first answer or what is expected"
            )
    _say(verdict="whole")


@main.command()
@click.argument("host")
@_count
@click.option("--mib", default=16, help="Size of one download.")
def download(host: str, count: int, mib: int) -> None:
    """Large downloads, each compared with what the guest must have sent."""
    expected = hashlib.sha256()
    for piece in large_file(mib):
        expected.update(piece)
    for turn in Pace(count, 0).turns():
        began = time.monotonic()
        with _answer(turn):
            got = _fetch(host, mib)
        if got != expected.digest():
            raise _broken(f"download {turn}: another sha256 than that of the {mib} MiB the guest must send")
        _say(kind="download", mib=mib, mib_per_s=round(mib / (time.monotonic() - began), 3))
    _say(verdict="whole")


def _fetch(host: str, mib: int) -> bytes:
    """The sha256 of one download; says how far it is after each MiB."""
    got, size = hashlib.sha256(), 0
    connection = http.client.HTTPConnection(host, timeout=PATIENCE_S)
    connection.request("GET", f"/large?mib={mib}")
    response = connection.getresponse()
    while piece := response.read1(65536):
        got.update(piece)
        if (size + len(piece)) // MIB > size // MIB:
            _say(kind="progress", bytes=size + len(piece))
        size += len(piece)
    connection.close()
    return got.digest()


if __name__ == "__main__":
    main()
