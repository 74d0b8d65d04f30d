"""A sparse file as bytes: only the pages that hold something.

Layout, little endian: total size u64, number of pieces u32, per piece offset u64 and length u32, then the
pieces' bytes. A VM's device state is about 0.7 MB in a file of some MiB, the rest holes and zeros.
"""

from __future__ import annotations

import errno
import os
import struct

PAGE = 4096
MAX_BYTES = 256 << 20
_ZERO = bytes(PAGE)
_HEAD = struct.Struct("<QI")
_PIECE = struct.Struct("<QI")


def pack(fd: int) -> bytes:
    """Read the whole file `fd`. Raises `ValueError` when it is larger than 256 MiB."""
    size = os.fstat(fd).st_size
    if size > MAX_BYTES:
        raise ValueError(f"a device state of {size} bytes is larger than {MAX_BYTES}")
    pieces: list[tuple[int, bytes]] = []
    for begin, end in _data(fd, size):
        pieces.extend(_without_zeros(begin, os.pread(fd, end - begin, begin)))
    head = [_HEAD.pack(size, len(pieces)), *(_PIECE.pack(offset, len(piece)) for offset, piece in pieces)]
    return b"".join([*head, *(piece for _, piece in pieces)])


def unpack(packed: bytes, fd: int) -> None:
    """Write the file into the empty file `fd`. Raises `ValueError` for bytes that `pack` cannot have made."""
    try:
        size, count = _HEAD.unpack_from(packed)
        table = list(_PIECE.iter_unpack(packed[_HEAD.size : _HEAD.size + count * _PIECE.size]))
    except struct.error as error:
        raise ValueError("the packed device state is cut off") from error
    position = _HEAD.size + count * _PIECE.size
    if (
        size > MAX_BYTES
        or len(table) != count
        or position + sum(length for _, length in table) != len(packed)
    ):
        raise ValueError("the packed device state contradicts itself")
    os.ftruncate(fd, size)
    view = memoryview(packed)
    for offset, length in table:
        if offset + length > size:
            raise ValueError("a piece of the packed device state lies outside of the file")
        if os.pwrite(fd, view[position : position + length], offset) != length:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        position += length


def _data(fd: int, size: int) -> list[tuple[int, int]]:
    """Begin and end of every extent that is not a hole (lseek(2), SEEK_DATA)."""
    extents = []
    end = 0
    while end < size:
        try:
            begin = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:  # ENXIO: only a hole up to the end
            break
        end = os.lseek(fd, begin, os.SEEK_HOLE)
        extents.append((begin, end))
    return extents


def _without_zeros(begin: int, data: bytes) -> list[tuple[int, bytes]]:
    """Offset and bytes of the runs of pages that are not all zero."""
    runs: list[tuple[int, bytes]] = []
    start: int | None = None
    for at in range(0, len(data), PAGE):
        page = data[at : at + PAGE]
        empty = page == _ZERO[: len(page)]
        if empty and start is not None:
            runs.append((begin + start, data[start:at]))
            start = None
        elif not empty and start is None:
            start = at
    if start is not None:
        runs.append((begin + start, data[start:]))
    return runs
