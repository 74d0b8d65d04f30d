"""The small ones, and the list of all; see the package."""

from __future__ import annotations

import http.client
import socket
import time

import click

from colo.guest.protocol import COUNTER_PORT, HTTP_PORT, CounterCheck
from colo.lab.clients import crowd, flood, transfers
from colo.lab.clients.report import PATIENCE_S, Pace, answer, broken, count_option, interval_option, say

_BOOT_TRY_S = 0.5
_BOOT_RETRY_S = 0.1
_SHOWN = 100


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
            socket.create_connection((host, HTTP_PORT), _BOOT_TRY_S).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise broken(f"no answer within {seconds} s: {error!r}") from error
            time.sleep(_BOOT_RETRY_S)
        else:
            say(verdict="whole")
            return


@main.command()
@click.argument("host")
@count_option
@interval_option
def counter(host: str, count: int, interval: float) -> None:
    """One connection to the counter service, held open: no number missing, repeated or out of order."""
    check = CounterCheck()
    with socket.create_connection((host, COUNTER_PORT), PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers = connection.makefile("rb")
        for turn in Pace(count, interval).turns():
            line = f"request {turn}".encode()
            expected = check.expect(line)
            with answer(turn):
                connection.sendall(line + b"\n")
                got = answers.readline()
            if got != expected:
                raise broken(f"answered {got!r}, expected {expected!r}")
    say(verdict="whole")


@main.command()
@click.argument("host")
@count_option
@interval_option
@click.option("--path", default="/small")
@click.option("--any-body", is_flag=True, help="Bodies may differ from each other.")
@click.option("--expect", default="", help="What every body must be, but for the end of its line.")
@click.option("--keep", is_flag=True, help="All on one connection.")
def gets(
    host: str, count: int, interval: float, path: str, expect: str, *, any_body: bool, keep: bool
) -> None:
    """HTTP GETs, a connection each unless it is kept; every body must be the same."""
    first = f"{expect}\n".encode() if expect else b""
    connection = http.client.HTTPConnection(host, HTTP_PORT, timeout=PATIENCE_S)
    for turn in Pace(count, interval).turns():
        with answer(turn):
            connection.request("GET", path)
            body = connection.getresponse().read()
            if not keep:
                connection.close()
        first = first or body
        if not body or (body != first and not any_body):
            raise broken(f"turn {turn}: {_shown(body)} instead of {_shown(first)}")
    say(verdict="whole")


def _shown(body: bytes) -> str:
    """Enough of it for a person."""
    return f"{body[:_SHOWN]!r}" if len(body) <= _SHOWN else f"{body[:_SHOWN]!r}... ({len(body)} bytes)"


for command in (transfers.download, transfers.upload, transfers.bulk, crowd.crowd, flood.flood):
    main.add_command(command)

if __name__ == "__main__":
    main()
