"""One line of `colo check`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from colo.errors import ColoError


class Level(StrEnum):
    """OK; WARN: it works, but worse; FAIL: it does not work."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@frozen
class Finding:
    """`name`: what was looked at. `message`: what was found. `hint`: what to do about it."""

    name: str
    level: Level
    message: str
    hint: str = ""


def ok(name: str, message: str) -> Finding:
    """All is well."""
    return Finding(name, Level.OK, message)


def warn(name: str, message: str, hint: str) -> Finding:
    """It works, but worse."""
    return Finding(name, Level.WARN, message, hint)


def fail(name: str, message: str, hint: str) -> Finding:
    """It does not work."""
    return Finding(name, Level.FAIL, message, hint)


def failed(name: str, error: ColoError) -> Finding:
    """An error that was met, as a line."""
    return fail(name, error.message, error.hint)
