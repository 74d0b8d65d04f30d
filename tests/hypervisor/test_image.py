from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colo.hypervisor import image

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def _file() -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        yield file.fileno()


_PIECES = st.lists(
    st.tuples(st.integers(0, 40 * image.PAGE), st.binary(min_size=1, max_size=3 * image.PAGE)), max_size=6
)


@given(_PIECES, st.integers(0, 3 * image.PAGE))
def test_a_sparse_file_survives_packing(pieces: list[tuple[int, bytes]], hole: int) -> None:
    with _file() as source, _file() as target:
        for offset, data in pieces:
            os.pwrite(source, data, offset)
        os.ftruncate(source, os.fstat(source).st_size + hole)
        size = os.fstat(source).st_size
        image.unpack(image.pack(source), target)
        assert os.pread(target, size + 1, 0) == os.pread(source, size + 1, 0)


def test_holes_and_zeros_cost_nothing() -> None:
    with _file() as source:
        os.ftruncate(source, 64 << 20)
        os.pwrite(source, bytes(1 << 20), 1 << 20)
        os.pwrite(source, b"x", 50 << 20)
        assert len(image.pack(source)) < 2 * image.PAGE


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_or_bounded(packed: bytes) -> None:
    with _file() as target:
        try:
            image.unpack(packed, target)
        except ValueError:
            return
        assert os.fstat(target).st_size <= image.MAX_BYTES


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_damaged_packing_never_writes_outside_of_its_size(position: int, value: int) -> None:
    with _file() as source, _file() as target:
        os.pwrite(source, b"x" * 5000, 8192)
        packed = bytearray(image.pack(source))
        packed[position % len(packed)] = value
        try:
            image.unpack(bytes(packed), target)
        except ValueError:
            return
        assert os.fstat(target).st_size <= image.MAX_BYTES


def test_what_is_too_large_is_refused() -> None:
    with _file() as source:
        os.ftruncate(source, image.MAX_BYTES + 1)
        with pytest.raises(ValueError, match="larger"):
            image.pack(source)
