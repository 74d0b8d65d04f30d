"""What the demo guest's services say, for clients that check every byte. The guest's side is crates/guest."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HTTP_PORT = 80
ECHO_PORT = 7  # TCP and UDP
COUNTER_PORT = 7000
BULK_PORT = 5001

MIB = 1 << 20
CHUNK = 4096  # bytes

_MASK = (1 << 64) - 1
_FNV_OFFSET = 0xCBF29CE484222325
_FNV_PRIME = 0x00000100000001B3


class CounterCheck:
    """What the counter service must answer on one connection: `N HASH` for every line.

    N counts the connection's lines from 1; HASH is FNV-1a (64 bits, 16 hexadecimal digits) over all bytes of
    the connection up to this line's newline, which counts. (draft-eastlake-fnv)
    """

    def __init__(self) -> None:
        self.lines = 0
        self.hash = _FNV_OFFSET

    def expect(self, line: bytes) -> bytes:
        """The answer, with its newline, to a line that is given without (at most 4095 bytes)."""
        self.lines += 1
        for byte in line + b"\n":
            self.hash = ((self.hash ^ byte) * _FNV_PRIME) & _MASK
        return f"{self.lines} {self.hash:016x}\n".encode()


class LargeCheck:
    """Checks the content of `/large` as it comes in, in pieces of any size.

    The file is a row of chunks of 4096 bytes: the chunk's number from 0 (8 bytes, little endian), then words
    1 to 511 of splitmix64 with seed 0 (8 bytes each, little endian), the same in every chunk.
    """

    def __init__(self) -> None:
        self.position = 0

    def feed(self, data: bytes) -> None:
        """Takes what follows; ValueError names the first byte (its offset in the file) that is wrong."""
        expected = large_bytes(self.position, len(data))
        if data != expected:
            at = next(at for at, (one, other) in enumerate(zip(data, expected, strict=True)) if one != other)
            raise ValueError(
                f"byte {self.position + at} is {data[at]:#04x} and should be {expected[at]:#04x}"
            )
        self.position += len(data)


def large_file(mib: int) -> Iterator[bytes]:
    """The large file in pieces of 1 MiB."""
    return (large_bytes(number * MIB, MIB) for number in range(mib))


def large_bytes(offset: int, length: int) -> bytes:
    """Any part of the large file."""
    first, skipped = divmod(offset, CHUNK)
    last = (offset + length + CHUNK - 1) // CHUNK
    chunks = b"".join(struct.pack("<Q", number) + _NOISE for number in range(first, last))
    return chunks[skipped : skipped + length]


def splitmix64(index: int) -> int:
    """Word `index`, from 0, of the generator with seed 0 (Steele, Lea, Flood 2014)."""
    z = (index + 1) * 0x9E3779B97F4A7C15 & _MASK
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK
    return z ^ (z >> 31)


_NOISE = b"".join(struct.pack("<Q", splitmix64(word)) for word in range(1, CHUNK // 8))
