"""What two agents say to each other in CONTROL messages: JSON objects with a `kind`.

Decoding is total: whatever arrives becomes one of these messages or a PeerError. What is longer than
MAX_BYTES is not looked at.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import asdict, field, fields, frozen
from attrs.validators import and_, deep_iterable, ge, le, matches_re, max_len, min_len
from cattrs import Converter

from colo.model.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Mapping

PROTOCOL = 5
"""Two agents work together only when this is the same on both."""

MAX_BYTES = 16 * 1024
_MAX_INT = 2**63 - 1
_MAX_TEXT = 512
_MAX_NICS = 16

_number = and_(ge(0), le(_MAX_INT))
_name = and_(matches_re(r"[!-~]+"), max_len(128))
_line = and_(matches_re(r"[ -~]*"), max_len(2048))
_short = and_(matches_re(r"[ -~]*"), max_len(256))
_hash = matches_re(r"[0-9a-f]{16}")


_VERSIONED = re.compile(r"-\d+\.\d+$")


def _tidy(text: str) -> str:
    """Reasons quote other programs: what does not print becomes a space, and the end is cut off."""
    return "".join(c if c.isprintable() else " " for c in text[:_MAX_TEXT])


@frozen
class VmShape:
    """What must be the same on both sides for a state to fit (QEMU compares little of it)."""

    name: str = field(validator=_name)
    memory_mib: int = field(validator=_number)
    cpus: int = field(validator=_number)
    machine: str = field(validator=_short)
    """The versioned machine type, not its alias: `pc-q35-7.2`."""
    cpu: str = field(validator=_short)
    nics: tuple[str, ...] = field(
        validator=deep_iterable(
            matches_re(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}"), and_(min_len(0), max_len(_MAX_NICS))
        )
    )
    """MAC addresses, lower case, in the order of the devices."""
    backends: tuple[str, ...] = field(validator=deep_iterable(_short, and_(min_len(0), max_len(_MAX_NICS))))
    """Of each card: frames of one kind mean nothing to the other."""
    qemu_version: str = field(validator=_short)
    accel: str = field(validator=_short)
    cpuid: str = field(validator=_line)
    """What the guest's CPUs show, by leaf and register."""
    devices: str = field(validator=_line)
    """Types of the devices besides those that every machine of this type has."""
    memory: str = field(validator=_line)
    """Sizes of what is memory besides the RAM: flash, video memory, ROMs."""


@frozen
class Hello:
    """The first message of either side. `token` is that of the lease held, 0 without: only a primary holds
    one.
    """

    protocol: int = field(validator=_number)
    version: str = field(validator=_short)
    node: str = field(validator=_name)
    token: int = field(validator=_number)
    vm: VmShape


@frozen
class Refused:
    """The Hello does not fit; the link is closed after this. `code` is one of `colo.errors`' exit codes."""

    reason: str = field(converter=_tidy)
    code: int = field(validator=_number)


@frozen
class Ready:
    """S to P: the RAM cache waits to be filled. S's QEMU may still be starting."""


@frozen
class Started:
    """S to P: that QEMU has started. The first checkpoint comes after this."""


@frozen
class Plan:
    """P to S, before anything of this checkpoint: whether S's VM rests after it, or runs the next epoch."""

    checkpoint: int = field(validator=_number)
    rest: bool


@frozen
class RamHash:
    """P to S, before the state of this checkpoint: xxh3-64 of P's RAM at the cut (16 hexadecimal digits), to
    be compared. Only with `checkpoint.verify`.
    """

    checkpoint: int = field(validator=_number)
    xxh3: str = field(validator=_hash)

    @classmethod
    def of(cls, checkpoint: int, value: int) -> RamHash:
        """Of the number."""
        return cls(checkpoint, f"{value:016x}")

    @property
    def value(self) -> int:
        """The number."""
        return int(self.xxh3, 16)


@frozen
class Received:
    """S to P: all of this checkpoint is here. The commit point."""

    checkpoint: int = field(validator=_number)


@frozen
class Loaded:
    """S to P: the next epoch runs here."""

    checkpoint: int = field(validator=_number)


@frozen
class Stored:
    """S to P: this checkpoint is put aside, the VM here rests."""

    checkpoint: int = field(validator=_number)


@frozen
class Resign:
    """S to P: the operator wants the VM to go on at S."""


@frozen
class Goodbye:
    """The sender closes the link, and why."""

    reason: str = field(converter=_tidy)


Message = Hello | Refused | Ready | Started | Plan | RamHash | Received | Loaded | Stored | Resign | Goodbye

KINDS: Mapping[str, type[Message]] = {
    "hello": Hello,
    "refused": Refused,
    "ready": Ready,
    "started": Started,
    "plan": Plan,
    "ram-hash": RamHash,
    "received": Received,
    "loaded": Loaded,
    "stored": Stored,
    "resign": Resign,
    "goodbye": Goodbye,
}
_KIND_OF = {cls: kind for kind, cls in KINDS.items()}

T = TypeVar("T", int, bool, str)


def _exactly(value: Any, cls: type[T]) -> T:  # noqa: ANN401  whatever JSON holds
    """No conversions: "1" and true are no numbers."""
    if type(value) is not cls:
        raise TypeError(f"{cls.__name__} expected")
    return value


_converter = Converter(forbid_extra_keys=True, detailed_validation=False)
_converter.register_structure_hook(int, _exactly)
_converter.register_structure_hook(bool, _exactly)
_converter.register_structure_hook(str, _exactly)


def encode(message: Message) -> bytes:
    """The JSON of a message."""
    return json.dumps({"kind": _KIND_OF[type(message)], **asdict(message)}, separators=(",", ":")).encode()


def decode(payload: bytes) -> Message:
    """The message in a CONTROL payload. Raises PeerError."""
    if len(payload) > MAX_BYTES:
        raise PeerError(f"a control message of {len(payload)} bytes; at most {MAX_BYTES} are allowed")
    try:
        fields_of = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise PeerError("a control message that is not JSON") from error
    if not isinstance(fields_of, dict):
        raise PeerError("a control message that is not an object")
    return _build(fields_of)


def _build(data: dict[str, Any]) -> Message:
    kind = data.pop("kind", None)
    cls = KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise PeerError(f"a control message of an unknown kind: {str(kind)[:32]!r}")
    if cls is Hello and data.get("protocol") != PROTOCOL:  # another protocol may have other fields
        raise PeerError(f"the peer speaks protocol {str(data.get('protocol'))[:32]!r}, this agent {PROTOCOL}")
    try:
        return _converter.structure(data, cls)
    except Exception as error:  # cattrs lets through whatever a value provokes
        raise PeerError(f"a malformed {kind} message: {_tidy(str(error))}") from error


def incompatibilities(mine: Hello, theirs: Hello) -> tuple[str, ...]:
    """Why these two cannot protect a VM together, a sentence for each field; empty when they can.

    QEMU's versions may differ where the machine type has a version of its own: that is what it is for.
    """
    same = [("protocol", mine.protocol, theirs.protocol), ("version", mine.version, theirs.version)]
    same += [
        (f"vm.{f.name}", getattr(mine.vm, f.name), getattr(theirs.vm, f.name))
        for f in fields(VmShape)
        if f.name != "qemu_version" or not _VERSIONED.search(mine.vm.machine)
    ]
    found = tuple(f"{name}: {a!r} here, {b!r} at the peer" for name, a, b in same if a != b)
    return (*found, f"node: both are {mine.node!r}") if mine.node == theirs.node else found
