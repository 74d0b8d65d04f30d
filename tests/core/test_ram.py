"""The binding of guest RAM, trackers and what is embedded. Their logic is tested by cargo."""

from __future__ import annotations

import mmap
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from colo import _core

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = 64
SIZE = PAGES * _core.PAGE_SIZE
_PT_DYNAMIC, _PT_INTERP = 2, 3


@pytest.fixture
def fd() -> Iterator[int]:
    fd = os.memfd_create("ram")
    os.truncate(fd, SIZE)
    yield fd
    os.close(fd)


def test_page_sets_count_join_and_show_their_runs() -> None:
    some, more = _core.PageSet.all(3), _core.PageSet.all(10)
    assert (len(some), some.runs(), len(_core.PageSet.all(0))) == (3, 1, 0)
    assert len(some.union(more)) == 10
    with pytest.raises(ValueError, match="more than a guest"):
        _core.PageSet.all(1 << 60)


def test_ram_of_a_wrong_size_is_refused(fd: int) -> None:
    for size in (0, 4095, SIZE + 4096):
        with pytest.raises(ValueError, match=r"RAM"):
            _core.GuestRam(fd, size)


def test_blocks_shrink_when_a_hole_is_punched(fd: int) -> None:
    os.posix_fallocate(fd, 0, SIZE)
    ram = _core.GuestRam(fd, SIZE)
    assert ram.blocks() == SIZE // 512
    os.truncate(fd, 0)
    os.truncate(fd, SIZE)
    assert ram.blocks() == 0


def test_the_compare_tracker_sees_exactly_what_was_written(fd: int) -> None:
    tracker = _core.Tracker("compare", os.getpid(), _core.GuestRam(fd, SIZE), None)
    with mmap.mmap(fd, SIZE) as mapping:
        mapping[7 * 4096] = mapping[9 * 4096] = 1
    written = tracker.collect(stopped=True)
    assert (len(written), written.runs()) == (2, 2)
    assert len(tracker.collect()) == 0


def test_trackers_that_cannot_be_say_why(fd: int) -> None:
    ram = _core.GuestRam(fd, SIZE)
    with pytest.raises(ValueError, match="no userfaultfd"):
        _core.Tracker("pagemap-scan", os.getpid(), ram, None)
    with pytest.raises(ValueError, match="no tracker"):
        _core.Tracker("magic", os.getpid(), ram, None)  # type: ignore[arg-type]


def test_every_tracker_was_probed_and_one_works() -> None:
    probed = _core.probe_trackers()
    assert [kind for kind, _, _ in probed] == ["pagemap-scan", "soft-dirty", "compare"]
    assert any(usable for _, usable, _ in probed)
    assert all(why for _, _, why in probed)


def test_staging_refuses_more_than_its_limit(fd: int) -> None:
    staging = _core.Staging(_core.GuestRam(fd, SIZE), 8 * 4096)
    with pytest.raises(_core.StagingLimitError, match="staging limit"):
        staging.gather(_core.PageSet.all(PAGES))
    assert staging.gather(_core.PageSet.all(8)) == 8 * 4096


def test_a_replica_without_a_checkpoint_has_no_device_state(fd: int) -> None:
    replica = _core.Replica(_core.GuestRam(fd, SIZE), SIZE)
    with pytest.raises(RuntimeError, match="not ready"):
        replica.device(1)
    with pytest.raises(RuntimeError, match="not ready"):
        replica.store(1)
    with pytest.raises(RuntimeError, match="not ready"):
        replica.restore(_core.PageSet.all(1))


def test_no_userfaultfd_comes_from_one_who_has_none() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(OSError, match="deadline"):
            _core.receive_uffd(ours.fileno(), 20)
        theirs.send(bytes(4))
        with pytest.raises(OSError, match="no descriptor"):
            _core.receive_uffd(ours.fileno(), 1000)


def test_what_is_embedded_are_programs() -> None:
    assert _core.uffd_shim()[:4] == _core.guest_program()[:4] == b"\x7fELF"
    assert b"COLO_UFFD_SOCK" in _core.uffd_shim()
    assert _PT_DYNAMIC in _segments(_core.uffd_shim()), "shared: to be preloaded"
    assert _PT_INTERP not in _segments(_core.guest_program()), "static: an initramfs has no loader"


def _segments(elf: bytes) -> set[int]:
    """Types of the program headers of a 64-bit little-endian ELF file (elf(5))."""
    (start,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    return {struct.unpack_from("<I", elf, start + n * size)[0] for n in range(count)}


def test_the_hash_of_guest_ram_is_that_of_its_bytes(fd: int) -> None:
    ram = _core.GuestRam(fd, SIZE)
    empty = ram.hash()
    os.pwrite(fd, b"\x01", SIZE - 1)
    written = ram.hash()
    os.pwrite(fd, b"\x00", SIZE - 1)
    assert written != empty
    assert ram.hash() == empty


@pytest.mark.parametrize("size", [0, 1, 200_000])
def test_a_pipe_is_read_to_its_end(size: int) -> None:
    reader, writer = os.pipe()
    text = os.urandom(size)
    told: list[bytes] = []
    thread = threading.Thread(target=lambda: told.append(_core.read_to_end(reader, size)))
    thread.start()
    with os.fdopen(writer, "wb") as pipe:
        pipe.write(text)
    thread.join()
    os.close(reader)
    assert told == [text]


def test_more_than_is_wanted_of_a_pipe_is_read_all_the_same_and_refused() -> None:
    reader, writer = os.pipe()
    os.write(writer, bytes(1001))
    os.close(writer)
    with pytest.raises(ValueError, match="1001 bytes, 1000 is the limit"):
        _core.read_to_end(reader, 1000)
    assert os.read(reader, 1) == b""
    os.close(reader)
