"""When compression pays."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colo.model.compression import Compression, Tally

if TYPE_CHECKING:
    from colo.model.compression import Amount, Encoding

_MIB = 1 << 20
_PAGES = 4096
_LZ4_NS = 5000
"""A page, measured."""


def _link(compression: Compression, ns_per_byte: float, saved: int, transfers: int = 20) -> list[Amount]:
    """Transfers of 16 MiB over such a link, of pages of which LZ4 saves `saved` bytes each."""
    chosen = []
    for _ in range(transfers):
        amount = compression.choose()
        chosen.append(amount)
        pages = {"always": _PAGES, "sample": _PAGES // 16, "never": 0}[amount]
        tally = Tally(
            lz4=pages,
            raw=_PAGES - pages,
            sent_bytes=_PAGES * 4096 - pages * saved,
            encode_ns=_PAGES * 500 + pages * _LZ4_NS,
            lz4_ns=pages * _LZ4_NS,
            lz4_saved=pages * saved,
        )
        compression.sent(tally, tally.encode_ns + round(tally.sent_bytes * ns_per_byte))
    return chosen


@pytest.mark.parametrize(
    ("gbit_s", "saved", "pays"),
    [(0.1, 1000, True), (1, 3000, True), (1, 100, False), (10, 3000, False), (40, 3500, False)],
)
def test_it_pays_on_slow_links_and_for_pages_that_shrink(gbit_s: float, saved: int, *, pays: bool) -> None:
    chosen = _link(Compression("auto"), 8 / gbit_s, saved)
    assert chosen[0] == "sample"
    assert chosen[-1] == ("always" if pays else "sample")


def test_a_link_that_changes_is_followed() -> None:
    compression = Compression("auto")
    assert _link(compression, 8.0, 3000)[-1] == "always"
    assert _link(compression, 0.5, 3000)[-1] == "sample"
    assert _link(compression, 8.0, 3000)[-1] == "always"


@pytest.mark.parametrize("before", [0, 3])
def test_a_stretch_of_noise_does_not_keep_what_comes_after_it_from_being_compressed(before: int) -> None:
    compression = Compression("auto")
    for saved, transfers in ((3000, before), (0, 1)):
        _link(compression, 40.0, saved, transfers)
    assert "always" in _link(compression, 40.0, 3000, 3)


def test_noise_alone_is_not_compressed() -> None:
    assert _link(Compression("auto"), 8.0, 0)[-1] == "sample"


def test_small_transfers_say_nothing_about_the_link() -> None:
    compression = Compression("auto")
    for _ in range(100):
        compression.sent(Tally(raw=10, sent_bytes=40_000, lz4_ns=60_000, lz4_saved=30_000), 50_000_000)
    assert compression.link_ns is None
    assert compression.choose() == "sample"


@pytest.mark.parametrize(
    ("pages", "counts"),
    [
        ({"delta": 33_000, "raw": 300}, False),
        ({"twin": 600, "raw": 300}, False),
        ({"zero": 3700, "raw": 300}, True),
        ({"lz4": 300}, True),
    ],
)
def test_many_small_changes_say_nothing_about_the_link(pages: dict[str, int], *, counts: bool) -> None:
    """Else what fits into a checkpoint would be taken for a twentieth of it (docs/decisions/0025)."""
    compression = Compression("auto")
    compression.sent(Tally(**pages, sent_bytes=1_300_000, encode_ns=45_000_000), 95_000_000)
    assert (compression.link_ns is not None) is counts


@pytest.mark.parametrize(("ns_per_byte", "amount"), [(8.0, "always"), (0.8, "sample")])
def test_what_saves_little_is_compressed_while_a_slow_link_is_busy(
    ns_per_byte: float, amount: Amount
) -> None:
    compression = Compression("auto")
    assert compression.choose(stream=True) == "sample"
    assert _link(compression, ns_per_byte, 300)[-1] == "sample"
    assert compression.choose(stream=True) == amount


def test_a_slow_link_that_seems_faster_while_pages_are_compressed_is_still_a_slow_one() -> None:
    compression = Compression("auto")
    for ns_per_byte, amount in ((3.0, "sample"), (8.0, "always"), (3.0, "always"), (0.8, "sample")):
        _link(compression, ns_per_byte, 300)
        assert compression.choose(stream=True) == amount


def test_noise_that_was_compressed_in_vain_is_soon_forgotten() -> None:
    compression = Compression("auto")
    assert _link(compression, 8.0, 3000)[-1] == "always"
    assert _link(compression, 8.0, 0, 4)[-1] == "sample"
    assert _link(compression, 8.0, 3000, 2)[-1] == "always"


@pytest.mark.parametrize(
    ("encoding", "amount", "shadow"),
    [("lz4", "always", True), ("delta", "never", True), ("none", "never", False)],
)
def test_what_is_configured_is_done_whatever_is_measured(
    encoding: Encoding, amount: Amount, *, shadow: bool
) -> None:
    compression = Compression(encoding)
    assert compression.needs_shadow is shadow
    assert set(_link(compression, 8.0, 3000) + _link(compression, 0.1, 10)) == {amount}


@given(st.floats(0.05, 20), st.integers(0, 4000), st.lists(st.floats(0.9, 1.1), min_size=40, max_size=40))
def test_a_link_that_is_a_little_uneven_does_not_make_it_flap(
    ns_per_byte: float, saved: int, noise: list[float]
) -> None:
    compression = Compression("auto")
    chosen = [_link(compression, ns_per_byte * factor, saved, 1)[0] for factor in noise]
    changes = sum(one != other for one, other in pairwise(chosen))
    assert changes <= 2


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40), st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_any_tally_is_taken(sent: int, encode: int, lz4_ns: int, took: int) -> None:
    compression = Compression("auto")
    compression.sent(Tally(sent_bytes=sent, encode_ns=encode, lz4_ns=lz4_ns), took)
    assert compression.choose() in {"sample", "always"}
    assert compression.link_ns is None or compression.link_ns >= 0
