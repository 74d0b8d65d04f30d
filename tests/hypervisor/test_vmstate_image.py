"""The image of a device state, read back by a reader that follows the pointers of the format."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colo.hypervisor.vmstate_image import TAG, write_image

_OFFSET = 0x00FF_FFFF_FFFF_FE00
"""Bits of an L1 or L2 entry that are the offset."""


class _Image:
    """As much of docs/interop/qcow2.txt as an internal snapshot takes."""

    def __init__(self, path: Path) -> None:
        self.bytes = path.read_bytes()
        self.cluster = 1 << self.u32(20)
        self.snapshots, self.table = self.u32(60), self.u64(64)

    def u16(self, at: int) -> int:
        return int(struct.unpack_from(">H", self.bytes, at)[0])

    def u32(self, at: int) -> int:
        return int(struct.unpack_from(">I", self.bytes, at)[0])

    def u64(self, at: int) -> int:
        return int(struct.unpack_from(">Q", self.bytes, at)[0])

    def name(self) -> str:
        extra, id_length, length = (
            self.u32(self.table + 36),
            self.u16(self.table + 12),
            self.u16(self.table + 14),
        )
        begin = self.table + 40 + extra + id_length
        return self.bytes[begin : begin + length].decode()

    def state(self) -> bytes:
        """The VM state lies behind the disk, where the second entry of the snapshot's L1 table begins."""
        l2 = self.u64(self.u64(self.table) + 8) & _OFFSET
        size, state = self.u64(self.table + 40), b""
        for number in range(-(-size // self.cluster)):
            at = self.u64(l2 + 8 * number) & _OFFSET
            state += self.bytes[at : at + self.cluster]
        return state[:size]

    def counted(self) -> int:
        """Clusters with a reference, all from the first on."""
        block = self.u64(self.u64(48))
        number = 0
        while self.u16(block + 2 * number):
            number += 1
        return number


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.integers(1, 3 << 20), fill=st.binary(min_size=1, max_size=9))
def test_the_stream_is_found_where_the_snapshot_says(tmp_path: Path, size: int, fill: bytes) -> None:
    stream = (fill * (size // len(fill) + 1))[:size]
    image = _written(tmp_path / "image", stream)
    assert (image.snapshots, image.name(), image.state()) == (1, TAG, stream)
    assert image.counted() * image.cluster == len(image.bytes)


def test_without_a_stream_there_is_no_snapshot(tmp_path: Path) -> None:
    image = _written(tmp_path / "image", b"")
    assert image.snapshots == 0
    assert image.counted() * image.cluster == len(image.bytes)


def test_a_full_disk_is_an_error() -> None:
    with pytest.raises(OSError, match="No space left"), Path("/dev/full").open("wb") as full:
        write_image(full.fileno(), b"QEVM")


def _written(path: Path, stream: bytes) -> _Image:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        write_image(fd, stream)
    finally:
        os.close(fd)
    return _Image(path)
