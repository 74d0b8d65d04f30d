"""This machine's speed is measured, or it is said why not."""

from __future__ import annotations

import pytest

from colo.check import speed
from colo.errors import CapabilityError


def test_this_machine_copies_and_looks() -> None:
    measured = speed.measure(16)
    assert measured.copy_mib_s > 1
    assert measured.scan_ms_per_gib is None or measured.scan_ms_per_gib > 0


def test_where_no_userfaultfd_is_allowed_only_copying_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(speed, "open_userfaultfd", refused)
    measured = speed.measure(16)
    assert measured.copy_mib_s > 1
    assert measured.scan_ms_per_gib is None


def test_without_memory_for_it_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(CapabilityError, match="no 48 MiB for the measurement: No space left"):
        speed.measure(16)
