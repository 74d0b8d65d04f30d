from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colo.guest.protocol import CHUNK, MIB, CounterCheck, LargeCheck, large_bytes, large_file, splitmix64

FILE = large_bytes(0, MIB)


def test_the_generator_is_splitmix64() -> None:
    assert [splitmix64(0), splitmix64(1)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


@given(st.integers(0, MIB - 1), st.integers(0, 3 * CHUNK))
def test_any_part_of_the_large_file_is_that_part_of_the_whole(offset: int, length: int) -> None:
    assert large_bytes(offset, min(length, MIB - offset)) == FILE[offset : offset + length]


@given(st.lists(st.integers(0, 3 * CHUNK)), st.integers(0, 64 * CHUNK), st.integers(1, 255))
def test_a_wrong_byte_is_found_however_the_file_is_cut(cuts: list[int], wrong: int, flip: int) -> None:
    damaged = bytearray(FILE)
    damaged[wrong] ^= flip
    check, pieces, at = LargeCheck(), [], 0
    for cut in (*cuts, MIB):
        pieces.append(bytes(damaged[at : at + cut]))
        at += cut

    def feed() -> None:
        for piece in pieces:
            check.feed(piece)

    with pytest.raises(ValueError, match=rf"^byte {wrong} is "):
        feed()


def test_a_right_file_is_accepted_to_its_end() -> None:
    check = LargeCheck()
    check.feed(FILE[:5000])
    check.feed(FILE[5000:])
    assert check.position == MIB


def test_the_file_in_pieces_is_the_file() -> None:
    assert b"".join(large_file(2)) == large_bytes(0, 2 * MIB)


def test_the_counter_hashes_everything_so_far_with_the_newlines() -> None:
    # FNV-1a by hand: offset basis, then for each byte exclusive or and multiply.
    hashed = 0xCBF29CE484222325
    for byte in b"foo\nbar\n":
        hashed = (hashed ^ byte) * 0x100000001B3 % 2**64
    check = CounterCheck()
    assert check.expect(b"foo").startswith(b"1 ")
    assert check.expect(b"bar") == f"2 {hashed:016x}\n".encode()
