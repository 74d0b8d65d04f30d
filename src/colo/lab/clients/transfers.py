"""Large transfers: down, up, and both at once."""

from __future__ import annotations

import hashlib
import http.client
import socket
import threading
import time
from typing import TYPE_CHECKING

import click

from colo.guest.protocol import BULK_PORT, HTTP_PORT, MIB, LargeCheck, large_file
from colo.lab.clients.report import PATIENCE_S, Pace, answer, broken, count_option, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PIECE = 65536


@click.command()
@click.argument("host")
@count_option
@click.option("--mib", default=16, help="Size of one download.")
def download(host: str, count: int, mib: int) -> None:
    """Large downloads, each compared with what the guest must have sent."""
    expected = _sha256(mib)

    def once() -> None:
        if _fetch(host, mib) != expected:
            raise broken(f"another sha256 than that of the {mib} MiB the guest must send")

    _repeat("download", count, mib, once)


@click.command()
@click.argument("host")
@count_option
@click.option("--mib", default=16, help="Size of one upload.")
def upload(host: str, count: int, mib: int) -> None:
    """Large uploads; the guest answers with the sha256 of what has come."""
    expected = f"{mib * MIB} {_sha256(mib)}\n".encode()

    def once() -> None:
        if (got := _send(host, mib)) != expected:
            raise broken(f"the guest has {got!r} instead of {expected!r}")

    _repeat("upload", count, mib, once)


@click.command()
@click.argument("host")
@count_option
@click.option("--down", default=16, help="MiB from the guest.")
@click.option("--up", default=16, help="MiB to the guest.")
def bulk(host: str, count: int, down: int, up: int) -> None:
    """Raw throughput of one connection, both directions at once; both ends check every byte."""
    _repeat("bulk", count, down + up, lambda: _exchange(host, down, up))


def _repeat(kind: str, count: int, mib: int, transfer: Callable[[], None]) -> None:
    """So many transfers, and how fast each was."""
    for turn in Pace(count, 0).turns():
        began = time.monotonic()
        with answer(turn):
            transfer()
        say(kind=kind, mib=mib, mib_per_s=round(mib / (time.monotonic() - began), 3))
    say(verdict="whole")


def _sha256(mib: int) -> str:
    expected = hashlib.sha256()
    for piece in large_file(mib):
        expected.update(piece)
    return expected.hexdigest()


def _fetch(host: str, mib: int) -> str:
    """The sha256 of one download; says how far it is after each MiB."""
    got, size = hashlib.sha256(), 0
    connection = http.client.HTTPConnection(host, HTTP_PORT, timeout=PATIENCE_S)
    connection.request("GET", f"/large?mib={mib}")
    response = connection.getresponse()
    while piece := response.read1(_PIECE):
        got.update(piece)
        if (size + len(piece)) // MIB > size // MIB:
            say(kind="progress", bytes=size + len(piece))
        size += len(piece)
    connection.close()
    return got.hexdigest()


def _send(host: str, mib: int) -> bytes:
    """What the guest says about one upload."""
    connection = http.client.HTTPConnection(host, HTTP_PORT, timeout=PATIENCE_S)
    headers = {"Content-Length": str(mib * MIB)}
    connection.request("POST", "/upload", _said(large_file(mib)), headers)
    said = connection.getresponse().read()
    connection.close()
    return said


def _said(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces; says how far it is after each."""
    size = 0
    for piece in pieces:
        yield piece
        size += len(piece)
        say(kind="progress", bytes=size)


def _exchange(host: str, down: int, up: int) -> None:
    with socket.create_connection((host, BULK_PORT), PATIENCE_S) as connection:
        connection.sendall(f"{down} {up}\n".encode())
        # Ends with the connection, which the receiver closes when something is wrong.
        sender = threading.Thread(target=_upload, args=(connection, up), daemon=True)
        sender.start()
        answers = connection.makefile("rb")
        check = LargeCheck()
        while left := down * MIB - check.position:
            piece = answers.read1(min(left, _PIECE))
            if not piece:
                raise broken(f"the guest ended after {check.position} bytes of {down} MiB")
            try:
                check.feed(piece)
            except ValueError as error:
                raise broken(str(error)) from error
        verdict = answers.readline()
        if verdict != b"right\n":
            raise broken(f"the guest says of the {up} MiB: {verdict!r}")
        sender.join(PATIENCE_S)


def _upload(connection: socket.socket, mib: int) -> None:
    try:
        for piece in large_file(mib):
            connection.sendall(piece)
    except OSError as error:
        say(kind="sender", why=repr(error))  # the verdict of the guest will be missing
