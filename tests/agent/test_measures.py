"""What checkpoints cost."""

from __future__ import annotations

import pytest

from colo.agent.measures import Measures
from colo.agent.phases import Phases, PhaseTotal
from colo.model.compression import Tally


def test_the_summary_counts_by_reason_and_gives_the_median_pause() -> None:
    measures = Measures()
    for number, (reason, pause) in enumerate([("first", 9.0), ("period", 3.0), ("period", 5.0)], 1):
        measure = measures.begin(number, reason)
        measure.phases_ms["pause"] = pause
        measures.done(measure)
    summary = measures.summary()
    assert summary.total == 3
    assert summary.by_reason == {"first": 1, "period": 2}
    assert summary.median_pause_ms == 5.0
    assert summary.last is not None
    assert summary.last.checkpoint == 3


def test_without_a_checkpoint_there_is_no_pause() -> None:
    assert Measures().summary().median_pause_ms is None


def test_a_phase_is_measured_whether_it_succeeds_or_fails() -> None:
    measure = Measures().begin(1, "period")
    with pytest.raises(OSError, match="disk"), measure.phase("save"):
        raise OSError("disk")
    assert measure.phases_ms["save"] >= 0


def test_only_what_was_done_since_then_is_new() -> None:
    measures = Measures()
    measures.done(measures.begin(7, "period"))
    before = measures.total
    assert measures.after(before) == ()
    measures.done(measures.begin(1, "first"))  # a new pairing counts from 1 again
    assert [measure.checkpoint for measure in measures.after(before)] == [1]


def test_a_checkpoint_tells_its_bytes_before_and_after_encoding_by_kind() -> None:
    measure = Measures().begin(1, "period")
    assert measure.sent_counts() == {}
    measure.page_bytes, measure.state_bytes = 40 * 4096, 270_000
    measure.sending()
    measure.sent = Tally(zero=1, equal=9, delta=30, sent_bytes=5_000, encode_ns=1_500_000)
    measure.received()
    assert measure.phases_ms["encode"] == 1.5
    assert measure.phases_ms["send"] == round(measure.link_ns / 1e6, 3)
    assert measure.link_ns > 0
    assert measure.sent_counts() == {
        "zero": 1,
        "equal": 9,
        "delta": 30,
        "lz4": 0,
        "raw": 0,
        "bytes_before": 433_840,
        "bytes_sent": 5_000,
    }


def test_phases_are_counted_over_all_checkpoints_of_either_role() -> None:
    measures = Measures()
    measure = measures.begin(1, "first")
    measure.phases_ms |= {"pause": 4.0, "save": 2.0}
    measures.done(measure)
    for number, ms in ((2, 1.5), (3, 7.25)):
        measures.placed(Phases(number, phases_ms={"load": ms}))
    assert measures.phases == {
        "pause": PhaseTotal(1, 4.0, 4.0),
        "save": PhaseTotal(1, 2.0, 2.0),
        "load": PhaseTotal(2, 8.75, 7.25),
    }
    summary = measures.summary()
    assert (summary.total, measures.received) == (1, 2)
    assert summary.last_phases_ms == {"load": 7.25}, "of the last one, whichever the role"
