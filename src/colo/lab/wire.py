"""The bad cable as a program between two taps: `python -m colo.lab.wire FD FD --loss 0.01 --delay-ms 20`."""

from __future__ import annotations

import errno
import json
import os
import select
import sys
import time
from contextlib import suppress
from typing import Any

import click

from colo.lab.impairment import Impairment, Line

_STDIN = 0
_FRAME = (1 << 16) + 256
_TRANSIENT = {errno.EAGAIN, errno.EIO, errno.ENOBUFS}
"""A tap that is down or full loses frames; so does a cable."""


@click.command()
@click.argument("one", type=int)
@click.argument("other", type=int)
@click.option("--loss", default=0.0)
@click.option("--delay-ms", default=0.0)
@click.option("--reorder", default=0.0)
@click.option("--rate-mbit", default=0.0)
@click.option("--offloads", default=False)
@click.option("--seed", default=1)
def main(one: int, other: int, **impaired: Any) -> None:  # noqa: ANN401 - fields of `Impairment`
    """Carries frames until standard input ends, then says how many were lost."""
    impairment = Impairment(**impaired)
    ways = {one: (Line(impairment, 0), other), other: (Line(impairment, 1), one)}
    with suppress(PermissionError):  # its delays then also depend on what else runs
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    while _turn(ways):
        pass
    lines = [line for line, _ in ways.values()]
    counts = {"passed": [line.passed for line in lines], "lost": [line.lost for line in lines]}
    sys.stdout.write(json.dumps(counts) + "\n")


def _turn(ways: dict[int, tuple[Line, int]]) -> bool:
    """Whether to go on."""
    times = [at for line, _ in ways.values() if (at := line.next_time()) is not None]
    patience = max(min(times) - time.monotonic(), 0) if times else None
    ready, _, _ = select.select([_STDIN, *ways], [], [], patience)
    if _STDIN in ready:
        return False  # nobody writes to it: this is its end
    for tap in ready:
        _read(tap, ways[tap][0])
    for line, out in ways.values():
        for frame in line.take(time.monotonic()):
            _write(out, frame)
    return True


def _read(tap: int, line: Line) -> None:
    try:
        while True:
            line.put(os.read(tap, _FRAME), time.monotonic())
    except OSError as error:
        if error.errno not in _TRANSIENT:
            raise


def _write(tap: int, frame: bytes) -> None:
    try:
        os.write(tap, frame)
    except OSError as error:
        if error.errno not in _TRANSIENT:
            raise


if __name__ == "__main__":
    main()
