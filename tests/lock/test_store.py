from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colo.errors import StateFolderError
from colo.lock.store import LeaseStore, durable
from colo.model.witness import Record, Witness, restarted

if TYPE_CHECKING:
    from pathlib import Path

NAMES = st.text("abc-", min_size=1, max_size=5)
RECORDS = st.builds(
    Record,
    st.integers(1, 1 << 62),
    NAMES,
    st.none() | NAMES,
    st.integers(1, 1 << 40),
    st.integers(0, 1 << 62),
    st.integers(0, 1 << 62),
)


@given(st.dictionaries(NAMES, RECORDS, max_size=4), st.integers(1, 1 << 62))
def test_after_a_restart_live_leases_are_fresh_and_given_back_ones_are_not(
    tmp_path_factory: pytest.TempPathFactory, records: dict[str, Record], now: int
) -> None:
    store = LeaseStore(tmp_path_factory.mktemp("state"))
    store.save(Witness(records))
    assert store.load(now) == restarted(Witness(records), now)


def test_the_first_start_knows_nothing(tmp_path: Path) -> None:
    assert LeaseStore(tmp_path).load(1) == Witness()


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b'{"form":1,"records":{"web":{}}}',
        b'{"form":1,"records":[1]}',
        b"[" * 9000,
    ],
)
def test_a_damaged_file_stops_the_witness_instead_of_forgetting(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "leases.json").write_bytes(damage)
    with pytest.raises(StateFolderError, match=r"leases\.json"):
        LeaseStore(tmp_path).load(1)


def test_the_file_of_another_version_is_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / "leases.json").write_bytes(b'{"form":2,"records":{}}')
    with pytest.raises(StateFolderError, match="another version"):
        LeaseStore(tmp_path).load(1)


def test_only_the_end_of_the_lease_need_not_be_saved() -> None:
    record = Record(3, "alpha", "beta", 2, 100, 5)
    assert durable(record) == durable(Record(3, "alpha", "beta", 2, 999, 5))
    for other in (
        Record(4, "alpha", "beta", 2, 100, 5),
        Record(3, "gamma", "beta", 2, 100, 5),
        Record(3, "alpha", None, 2, 100, 5),
        Record(3, "alpha", "beta", 3, 100, 5),
        Record(3, "alpha", "beta", 2, 0, 5),
        Record(3, "alpha", "beta", 2, 100, 6),
    ):
        assert durable(other) != durable(record)
