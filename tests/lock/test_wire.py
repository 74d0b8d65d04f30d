from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colo.lock.wire import (
    MAX_LINE,
    MAX_TTL_MS,
    Forget,
    LeaseRecord,
    Reply,
    Status,
    WireError,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)
from colo.model.witness import Acquire, Record, Refusal, Release, Renew, SetStandby

VMS = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")
NODES = st.from_regex(r"\A[a-z0-9][a-z0-9.-]{0,252}\Z")
NUMBERS = st.integers(0, (1 << 63) - 1)
TTLS = st.integers(1, MAX_TTL_MS).map(lambda ms: ms * 1_000_000)
REQUESTS = st.one_of(
    st.builds(Acquire, VMS, NODES, TTLS),
    st.builds(Renew, VMS, NODES, NUMBERS),
    st.builds(SetStandby, VMS, NODES, NUMBERS, NUMBERS, st.none() | NODES),
    st.builds(Release, VMS, NODES, NUMBERS),
    st.builds(Status, VMS, NODES),
    st.builds(Forget, VMS, NODES),
)
RECORDS = st.builds(LeaseRecord, NUMBERS, NODES, st.none() | NODES, NUMBERS, NUMBERS, NUMBERS)
REPLIES = st.one_of(
    st.builds(Reply, NUMBERS, st.none() | RECORDS),
    st.builds(Reply, NUMBERS, st.none() | RECORDS, refusal=st.sampled_from(Refusal)),
    st.builds(Reply, NUMBERS, st.none() | RECORDS, error=st.text(max_size=500)),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(NUMBERS, REQUESTS)
def test_requests_survive_the_wire(number: int, request: Acquire) -> None:
    line = encode_request(number, request)
    assert line.endswith(b"\n")
    assert len(line) <= MAX_LINE
    assert decode_request(line) == (number, request)


@given(REPLIES)
def test_replies_survive_the_wire(reply: Reply) -> None:
    line = encode_reply(reply)
    assert line.count(b"\n") == 1
    assert len(line) <= MAX_LINE
    assert decode_reply(line) == reply


@given(st.binary() | JSON.map(lambda j: json.dumps(j).encode()))
def test_anything_else_is_a_wire_error(line: bytes) -> None:
    with pytest.raises(WireError):
        decode_request(line)
    with pytest.raises(WireError):
        decode_reply(line)


@given(REQUESTS, st.sampled_from(["id", "op", "vm", "node", "ttl_ms", "token", "serial", "standby"]), JSON)
def test_any_field_may_hold_anything(request: Acquire, field: str, value: object) -> None:
    body = json.loads(encode_request(1, request)) | {field: value}
    with contextlib.suppress(WireError):
        decode_request(json.dumps(body).encode())


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 4000,
        b'{"id":' + b"9" * 4000 + b"}",
        b'{"id":1,"op":"renew","vm":"web","node":"a","token":true}',
        b'{"id":1,"op":"renew","vm":"web","node":"a","token":-1}',
        b'{"id":1,"op":"renew","vm":"../web","node":"a","token":1}',
        b'{"id":1,"op":"acquire","vm":"web","node":"a","ttl_ms":0}',
        b'{"id":1,"op":"acquire","vm":"web","node":"a","ttl_ms":999999999}',
        b'{"id":1,"op":"nonsense","vm":"web","node":"a"}',
        b'{"id":1,"op":"set_standby","vm":"web","node":"a","token":1,"serial":1,"standby":"B\\n"}',
        b" " * (MAX_LINE + 1),
    ],
)
def test_hostile_lines(line: bytes) -> None:
    with pytest.raises(WireError):
        decode_request(line)


def test_a_lease_that_still_runs_never_shows_zero() -> None:
    record = Record(1, "alpha", None, 2_000_000_000, expires_ns=1_000_001)
    assert LeaseRecord.of(record, 1_000_000).remaining_ms == 1
    assert LeaseRecord.of(record, 1_000_001).remaining_ms == 0


def test_what_an_acquire_has_seen_survives_the_wire() -> None:
    for seen in (None, 0, 7):
        request = Acquire("web", "alpha", 1_000_000, seen)
        assert decode_request(encode_request(1, request)) == (1, request)
