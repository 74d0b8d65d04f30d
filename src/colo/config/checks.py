"""Checks of single values of a configuration file.

Each is total: a value of any type in; a good one, or a `TypeError` or `ValueError` with the reason, out.
A check says in `expected` what it takes, in the words of docs/configuration.md; errors repeat it.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol, TypeVar

import attrs

T_co = TypeVar("T_co", covariant=True)

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_HOST = re.compile(r"(?!-)[A-Za-z0-9.-]{1,253}(?<!-)")
_MULTICAST_BIT = 0x01
_MAX_PORT = 65535
MAX_TEXT = 4096


class Check(Protocol[T_co]):
    """What a key takes. `expected` is the wording for people, `read` the check itself."""

    @property
    def expected(self) -> str:
        """What is allowed, as a phrase: `integer, 1 to 64`."""

    def read(self, raw: object, base: Path) -> T_co:
        """Give the checked value; a relative path is one in the folder `base`."""


@attrs.frozen
class Address:
    """A TCP endpoint. `str()` gives the form of the file again, an IPv6 host in brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError("is not a string")
    if len(raw) > MAX_TEXT:
        raise ValueError(f"is longer than {MAX_TEXT} characters")
    if not raw.isprintable():
        raise ValueError("holds a control character")
    return raw


@attrs.frozen
class Text:
    """A string that matches `pattern` as a whole; `expected` says in words what that is."""

    expected: str
    pattern: str = r".*"

    def read(self, raw: object, base: Path) -> str:  # noqa: ARG002
        """Refuse all but such a string."""
        text = _text(raw)
        if not re.fullmatch(self.pattern, text):
            raise ValueError("does not have this form")
        return text


@attrs.frozen
class Integer:
    """An integer of `low` to `high`, both included."""

    low: int
    high: int

    @property
    def expected(self) -> str:
        """The range in words."""
        return f"integer, {self.low} to {self.high}"

    def read(self, raw: object, base: Path) -> int:  # noqa: ARG002
        """Refuse all but an integer in the range; TOML's true and false are none."""
        if not isinstance(raw, int) or isinstance(raw, bool):
            raise TypeError("is not an integer")
        if not self.low <= raw <= self.high:
            raise ValueError("is out of range")
        return raw


@attrs.frozen
class Flag:
    """Yes or no."""

    expected: str = "true or false"

    def read(self, raw: object, base: Path) -> bool:  # noqa: ARG002
        """Refuse all but TOML's true and false."""
        if not isinstance(raw, bool):
            raise TypeError("is neither")
        return raw


@attrs.frozen
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        """The words."""
        return "one of " + ", ".join(self.words)

    def read(self, raw: object, base: Path) -> str:  # noqa: ARG002
        """Refuse all but the words."""
        if raw not in self.words:
            raise ValueError("is none of them")
        return str(raw)


@attrs.frozen
class MacAddress:
    """An Ethernet address of one station (IEEE 802: the lowest bit of the first byte is clear)."""

    expected: str = "MAC address like 52:54:00:c0:10:01"

    def read(self, raw: object, base: Path) -> str:  # noqa: ARG002
        """Give it in lower case; refuse group addresses and all zeros."""
        mac = _text(raw).lower()
        if not _MAC.fullmatch(mac):
            raise ValueError("does not have this form")
        if int(mac[:2], 16) & _MULTICAST_BIT:
            raise ValueError("is a multicast address: the first byte must be even")
        if mac == "00:00:00:00:00:00":
            raise ValueError("is the null address")
        return mac


@attrs.frozen
class HostPort:
    """A TCP endpoint, `host:port` or `[IPv6]:port`."""

    expected: str = "host:port or [IPv6]:port"

    def read(self, raw: object, base: Path) -> Address:  # noqa: ARG002
        """Refuse it unless host and port can be told apart and both are possible."""
        host, colon, port = _text(raw).rpartition(":")
        if not colon:
            raise ValueError("has no port")
        # The length first: int() of a very long string is slow, and refused by Python with another error.
        if not (
            port.isascii()
            and port.isdigit()
            and len(port) <= len(str(_MAX_PORT))
            and 1 <= int(port) <= _MAX_PORT
        ):
            raise ValueError(f"has a port that is not 1 to {_MAX_PORT}")
        if host.startswith("[") and host.endswith("]"):
            return Address(str(ip_address(host[1:-1])), int(port))
        if not _HOST.fullmatch(host):
            raise ValueError("has no proper host; an IPv6 address needs brackets")
        return Address(host, int(port))


@attrs.frozen
class FilePath:
    """A path, relative to the folder of the configuration file; whether it exists is seen by `check_files`.

    `max_bytes` is for unix sockets, whose paths hold at most 107 bytes (unix(7)).
    """

    max_bytes: int = 1024
    expected: str = "path"

    def read(self, raw: object, base: Path) -> Path:
        """Give the absolute path."""
        text = _text(raw)
        if not text:
            raise ValueError("is empty")
        path = base / Path(text).expanduser() if text.startswith("~/") else base / text
        if len(str(path).encode()) > self.max_bytes:
            raise ValueError(f"is longer than {self.max_bytes} bytes")
        return path


_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
NODE_NAME = Text(
    "node name in lower case, like alpha or host-2.example",
    rf"(?=.{{1,253}}$)(?!(.*\.)?[0-9]+$){_LABEL}(\.{_LABEL})*",
)
"""A DNS name, as in certificates (RFC 1123, section 2.1); none that reads like an IPv4 address."""
