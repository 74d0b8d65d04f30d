"""A device state as the qcow2 image that `snapshot-load` reads.

QEMU's `migrate` writes the same stream as `snapshot-save` does, only faster; to load one again and again
there is but `snapshot-load`, which wants it inside of an internal snapshot. So the stream is put into the
smallest image that holds one. Format: QEMU's docs/interop/qcow2.txt; all integers are big-endian.

The clusters of the image, in order: header, refcount table, refcount block, the disk's own (empty) L1
table, snapshot table, the snapshot's L1 table, its L2 table, and then the stream.
"""

from __future__ import annotations

import errno
import os
import struct

MAX_BYTES = 256 << 20
"""Of a device state; a VGA card's memory is in it."""
TAG = "colo"

_CLUSTER_BITS = 19
_CLUSTER = 1 << _CLUSTER_BITS
_REFCOUNT_TABLE, _REFCOUNT_BLOCK, _DISK_L1, _SNAPSHOTS, _SNAPSHOT_L1, _L2, _STREAM = (
    number * _CLUSTER for number in range(1, 8)
)
_DISK_BYTES = 1 << 16
_L1_ENTRIES = 2
"""One for the disk, which is smaller than what one covers, and one for the state, which comes after it."""
_COPIED = 1 << 63
"""Of an entry: nobody else refers to that cluster."""

_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQIIQ")
_VERSION, _REFCOUNT_ORDER, _HEADER_BYTES = 3, 4, 104
_SNAPSHOT = struct.Struct(">QIHHIIQIIQQ")
_EXTRA_BYTES = 16


def write_image(fd: int, stream: bytes) -> None:
    """Write an image with the snapshot `TAG` that holds `stream` into the empty file `fd`.

    An empty stream makes an image without a snapshot. Raises `OSError`.
    """
    clusters = -(-len(stream) // _CLUSTER)
    end = _STREAM + clusters * _CLUSTER if stream else _SNAPSHOTS
    _write(fd, 0, _header(1 if stream else 0))
    _write(fd, _REFCOUNT_TABLE, struct.pack(">Q", _REFCOUNT_BLOCK))
    _write(fd, _REFCOUNT_BLOCK, struct.pack(">H", 1) * (end // _CLUSTER))
    if stream:
        _write(fd, _SNAPSHOTS, _snapshot(len(stream)))
        _write(fd, _SNAPSHOT_L1, struct.pack(">QQ", 0, _L2 | _COPIED))
        entries = [_STREAM + number * _CLUSTER | _COPIED for number in range(clusters)]
        _write(fd, _L2, struct.pack(f">{clusters}Q", *entries))
        _write(fd, _STREAM, stream)
    os.ftruncate(fd, end)


def _header(snapshots: int) -> bytes:
    crypt_method, backing_offset, backing_length = 0, 0, 0
    incompatible, compatible, autoclear, end_of_extensions = 0, 0, 0, 0
    return _HEADER.pack(
        b"QFI\xfb",
        _VERSION,
        backing_offset,
        backing_length,
        _CLUSTER_BITS,
        _DISK_BYTES,
        crypt_method,
        _L1_ENTRIES,
        _DISK_L1,
        _REFCOUNT_TABLE,
        1,
        snapshots,
        _SNAPSHOTS if snapshots else 0,
        incompatible,
        compatible,
        autoclear,
        _REFCOUNT_ORDER,
        _HEADER_BYTES,
        end_of_extensions,
    )


def _snapshot(length: int) -> bytes:
    """One entry of the snapshot table: id `1`, name `TAG`, dated 1970."""
    identity, name = b"1", TAG.encode()
    fixed = _SNAPSHOT.pack(
        _SNAPSHOT_L1,
        _L1_ENTRIES,
        len(identity),
        len(name),
        0,
        0,
        0,
        length,
        _EXTRA_BYTES,
        length,
        _DISK_BYTES,
    )
    entry = fixed + identity + name
    return entry + bytes(-len(entry) % 8)


def _write(fd: int, offset: int, data: bytes) -> None:
    if os.pwrite(fd, data, offset) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
