"""What the laboratory reads of its clients: a verdict only where there is one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from colo.lab.records import Record

if TYPE_CHECKING:
    from pathlib import Path


def _line(**fields: object) -> bytes:
    return json.dumps({"at": 1.0, **fields}).encode() + b"\n"


def test_it_follows_a_client_that_still_writes(tmp_path: Path) -> None:
    path = tmp_path / "client.log"
    first, second = _line(kind="answer", n=1, ms=2.0), _line(kind="answer", n=2, ms=700.5)
    path.write_bytes(first + second[:10])
    record = Record(path)
    record.read()
    assert (record.answers, record.longest_ms) == (1, 2.0)
    path.write_bytes(first + second + _line(verdict="whole"))
    record.read()
    assert (record.answers, record.longest_ms, record.whole) == (2, 700.5, True)


def test_a_client_without_a_verdict_is_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "client.log"
    path.write_bytes(_line(kind="answer", n=1, ms=2.0))
    record = Record(path)
    record.read()
    assert not record.whole


def test_a_traceback_is_a_broken_client(tmp_path: Path) -> None:
    path = tmp_path / "client.log"
    path.write_bytes(b"Traceback (most recent call last):\n")
    record = Record(path)
    record.read()
    assert record.verdict == "broken"
    assert "Traceback" in record.why
