from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from colo.model.errors import PeerError
from colo.model.messages import (
    KINDS,
    MAX_BYTES,
    PROTOCOL,
    Goodbye,
    Hello,
    Loaded,
    Message,
    Plan,
    RamHash,
    Ready,
    Received,
    Refused,
    Resign,
    Started,
    Stored,
    VmShape,
    decode,
    encode,
    incompatibilities,
)

SHAPE = VmShape(
    "web",
    256,
    1,
    "pc-q35-7.2",
    "qemu64",
    ("52:54:00:c0:10:01",),
    ("stream",),
    "7.2.22",
    "tcg",
    cpuid="1.EDX:78bfbfd",
    devices="virtio-net-pci",
    memory="pc.rom:128",
)
HELLO = Hello(PROTOCOL, "0.1.0", "alpha", 3, SHAPE)
MESSAGES = [
    *(HELLO, Refused("no", 7), Ready(), Started(), Plan(4, rest=True), RamHash.of(4, 2**64 - 1), Received(4)),
    *(Loaded(4), Stored(4), Resign(), Goodbye("bye")),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_comes_back_as_it_was_sent(message: Message) -> None:
    assert decode(encode(message)) == message


def test_every_kind_of_message_is_tried() -> None:
    assert {type(message) for message in MESSAGES} == set(KINDS.values())


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b'{"kind": 3}',
        b'{"kind": "nonsense"}',
        b'{"kind": ["hello"]}',
        b'{"kind": "received"}',
        b'{"kind": "received", "checkpoint": "4"}',
        b'{"kind": "received", "checkpoint": true}',
        b'{"kind": "received", "checkpoint": 4.0}',
        b'{"kind": "plan", "checkpoint": 4}',
        b'{"kind": "plan", "checkpoint": 4, "rest": 1}',
        b'{"kind": "plan", "checkpoint": 4, "rest": "no"}',
        b'{"kind": "ram-hash", "checkpoint": 4, "xxh3": 18446744073709551615}',
        b'{"kind": "ram-hash", "checkpoint": 4, "xxh3": "fffffffffffffff"}',
        b'{"kind": "ram-hash", "checkpoint": 4, "xxh3": "fffffffffffffff\\n"}',
        b'{"kind": "ram-hash", "checkpoint": 4, "xxh3": "10000000000000000"}',
        b'{"kind": "received", "checkpoint": -1}',
        b'{"kind": "received", "checkpoint": 9223372036854775808}',
        b'{"kind": "received", "checkpoint": 4, "more": 1}',
        b'{"kind": "ready", "more": 1}',
        b'{"kind": "goodbye", "reason": null}',
        b"[" * MAX_BYTES,
        b'{"kind": "received", "checkpoint": ' + b"9" * 5000 + b"}",
        b" " * (MAX_BYTES + 1),
    ],
)
def test_what_is_no_message_is_the_peers_error(payload: bytes) -> None:
    with pytest.raises(PeerError):
        decode(payload)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "we b"),
        ("name", ""),
        ("name", "\ud800"),
        ("nics", ["52:54:00:C0:10:01"]),
        ("nics", "52:54:00:c0:10:01"),
        ("nics", ["52:54:00:c0:10:01"] * 17),
        ("cpu", "x" * 257),
        ("memory_mib", None),
    ],
)
def test_a_hello_with_a_bad_field_is_the_peers_error(key: str, value: object) -> None:
    data = json.loads(encode(HELLO))
    data["vm"][key] = value
    with pytest.raises(PeerError, match="malformed hello"):
        decode(json.dumps(data).encode())


def test_a_hello_of_another_protocol_says_so_whatever_its_fields_are() -> None:
    with pytest.raises(PeerError, match=f"protocol '99', this agent {PROTOCOL}"):
        decode(b'{"kind": "hello", "protocol": 99, "colour": "blue"}')


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_message_or_the_peers_error(payload: bytes) -> None:
    with contextlib.suppress(PeerError):
        assert type(decode(payload)) in KINDS.values()


@given(
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(["checkpoint", "reason", "vm", "code", "node"]),
    json_values,
)
def test_any_value_in_a_field_is_a_message_or_the_peers_error(kind: str, key: str, value: object) -> None:
    data = json.loads(encode(next(m for m in MESSAGES if type(m) is KINDS[kind])))
    data[key] = value
    try:
        message = decode(json.dumps(data).encode())
        assert decode(encode(message)) == message
    except PeerError:
        pass


def test_a_reason_that_quotes_another_program_is_made_printable_and_short() -> None:
    reason = Goodbye("qemu:\n\tfailed\x1b[31m " + "x" * 9999).reason
    assert reason.isprintable()
    assert len(reason) == 512


def test_two_like_hellos_have_no_incompatibilities() -> None:
    assert incompatibilities(HELLO, evolve(HELLO, node="beta", token=0)) == ()


def test_each_difference_is_named_with_both_values() -> None:
    theirs = evolve(HELLO, version="0.2", vm=evolve(SHAPE, memory_mib=512, accel="kvm"))
    assert incompatibilities(HELLO, theirs) == (
        "version: '0.1.0' here, '0.2' at the peer",
        "vm.memory_mib: 256 here, 512 at the peer",
        "vm.accel: 'tcg' here, 'kvm' at the peer",
        "node: both are 'alpha'",
    )


@pytest.mark.parametrize(("machine", "told"), [("pc-q35-7.2", 0), ("pc-i440fx-10.0", 0), ("microvm", 1)])
def test_versions_of_qemu_may_differ_where_the_machine_type_has_one(machine: str, told: int) -> None:
    mine = evolve(HELLO, vm=evolve(SHAPE, machine=machine))
    theirs = evolve(mine, node="beta", vm=evolve(mine.vm, qemu_version="10.0.2"))
    sentence = "vm.qemu_version: '7.2.22' here, '10.0.2' at the peer"
    assert incompatibilities(mine, theirs) == (sentence,) * told


def test_an_alias_that_stands_for_two_machine_types_is_a_difference() -> None:
    theirs = evolve(HELLO, node="beta", vm=evolve(SHAPE, machine="pc-q35-10.0", qemu_version="10.0.2"))
    assert incompatibilities(HELLO, theirs) == ("vm.machine: 'pc-q35-7.2' here, 'pc-q35-10.0' at the peer",)
