"""Writes cpio archives of the "newc" kind, the same bytes for the same content.

Source: Documentation/driver-api/early-userspace/buffer-format.rst of Linux. Owner, times and inode
numbers of the files on this machine do not matter: everything belongs to root and is of 1970.
"""

from __future__ import annotations

import stat

import attrs

_TRAILER = "TRAILER!!!"


@attrs.frozen
class Entry:
    """A file, folder or symbolic link. `path` is relative to the root, with no slash in front."""

    path: str
    mode: int
    content: bytes = b""


def directory(path: str) -> Entry:
    """A folder; it must come before what it contains."""
    return Entry(path, stat.S_IFDIR | 0o755)


def file(path: str, content: bytes, *, executable: bool = False) -> Entry:
    """A regular file."""
    return Entry(path, stat.S_IFREG | (0o755 if executable else 0o644), content)


def symlink(path: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def archive(entries: list[Entry]) -> bytes:
    """The archive. ValueError for a path that appears twice or whose folder does not come before it."""
    known = {""}
    parts = []
    for inode, entry in enumerate(entries, start=1):
        parent = entry.path.rpartition("/")[0]
        if entry.path in known or parent not in known:
            raise ValueError(f"{entry.path}: twice, or before its folder")
        known.add(entry.path)
        parts.append(_record(entry, inode))
    parts.append(_record(Entry(_TRAILER, 0), 0))
    return b"".join(parts)


def _record(entry: Entry, inode: int) -> bytes:
    """One header of 13 hexadecimal fields, the name and the content, each padded to 4 bytes."""
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    owner = group = modified = device_major = device_minor = node_major = node_minor = checksum = 0
    fields = (
        inode,
        entry.mode,
        owner,
        group,
        links,
        modified,
        len(entry.content),
        device_major,
        device_minor,
        node_major,
        node_minor,
        len(name),
        checksum,
    )
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name) + _padded(entry.content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
