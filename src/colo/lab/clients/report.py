"""What clients print, and how often they ask."""

from __future__ import annotations

import http.client
import json
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 60.0
"""How long a client waits for one answer before it calls the connection dead."""

count_option = click.option("--count", default=0, help="How often; 0: until SIGTERM.")
interval_option = click.option(
    "--interval", default=0.0, help="Seconds between an answer and the next request."
)


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


def say(**fields: str | float) -> None:
    """Prints one line."""
    print(json.dumps({"at": round(time.clock_gettime(time.CLOCK_BOOTTIME), 6), **fields}), flush=True)


def broken(why: str) -> SystemExit:
    """Prints the verdict of a client that found something wrong; to be raised."""
    say(verdict="broken", why=why)
    return SystemExit(1)


@contextmanager
def answer(turn: int) -> Iterator[None]:
    """Reports how long the block took, which asks once and checks the answer."""
    began = time.monotonic()
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise broken(f"turn {turn}: {error!r}") from error
    say(kind="answer", n=turn, ms=round((time.monotonic() - began) * 1000, 3))
