"""What the witness and its clients say: one JSON object per line, at most 4 KiB, one answer per request.

Request: {"id", "op", "vm", "node"} and, by op: acquire {"ttl_ms",
"seen"} (null or the last token known), renew and release {"token"}, set_standby
{"token", "serial", "standby"}, status {}, forget {}.

Answer: {"id", "result", "record"} with result granted, refused (then also "refusal", a value of
`colo.model.witness.Refusal`) or error (then also "error", a sentence; nothing was done). "record" is null
where there is none, otherwise {"token", "holder", "standby", "serial", "ttl_ms", "remaining_ms"};
remaining_ms is 0 once the lease has run out or was given back.
"""

from __future__ import annotations

import json
import re
from typing import Any

from attrs import frozen

from colo.model.witness import Acquire, Record, Refusal, Release, Renew, Request, SetStandby

MAX_LINE = 4096
MAX_TTL_MS = 120_000

_NS_PER_MS = 1_000_000
_MAX_NUMBER = (1 << 63) - 1
_VM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_NODE = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}")


class WireError(Exception):
    """A line that is not in the form above. The sentence says what is wrong."""


@frozen
class Status:
    """Look at a VM's record."""

    vm: str
    node: str


@frozen
class Forget:
    """Drop a VM's record: for the operator of the witness only, and only when the lease has run out."""

    vm: str
    node: str


@frozen
class LeaseRecord:
    """A VM's record as of the answer. `remaining_ms`: until somebody else may have the lease."""

    token: int
    holder: str
    standby: str | None
    serial: int
    ttl_ms: int
    remaining_ms: int

    @classmethod
    def of(cls, record: Record, now: int) -> LeaseRecord:
        """`record` as it is at `now` (the witness's clock, ns)."""
        remaining = max(0, record.expires_ns - now)
        ttl_ms = record.ttl_ns // _NS_PER_MS
        # Rounded up: 0 is said only when the lease has run out.
        return cls(
            record.token, record.holder, record.standby, record.serial, ttl_ms, -(-remaining // _NS_PER_MS)
        )


@frozen
class Reply:
    """An answer. `refusal` is set if and only if the witness refused, `error` if nothing was decided."""

    id: int
    record: LeaseRecord | None
    refusal: Refusal | None = None
    error: str | None = None


def encode_request(request_id: int, request: Request | Status | Forget) -> bytes:
    """The line, with its end."""
    body: dict[str, Any] = {
        "id": request_id,
        "op": _OP[type(request)],
        "vm": request.vm,
        "node": request.node,
    }
    match request:
        case Acquire(ttl_ns=ttl_ns, seen=seen):
            body |= {"ttl_ms": ttl_ns // _NS_PER_MS, "seen": seen}
        case SetStandby(token=token, serial=serial, standby=standby):
            body |= {"token": token, "serial": serial, "standby": standby}
        case Renew(token=token) | Release(token=token):
            body["token"] = token
    return _line(body)


def decode_request(line: bytes) -> tuple[int, Request | Status | Forget]:
    """The id and the request; WireError for anything else."""
    body = _object(line)
    request_id, vm, node = _number(body, "id"), _name(body, "vm", _VM), _name(body, "node", _NODE)
    match body.get("op"):
        case "acquire":
            ttl_ns = _number(body, "ttl_ms", 1, MAX_TTL_MS) * _NS_PER_MS
            seen = None if body.get("seen") is None else _number(body, "seen")
            return request_id, Acquire(vm, node, ttl_ns, seen)
        case "renew":
            return request_id, Renew(vm, node, _number(body, "token"))
        case "set_standby":
            standby = None if body.get("standby") is None else _name(body, "standby", _NODE)
            token, serial = _number(body, "token"), _number(body, "serial")
            return request_id, SetStandby(vm, node, token, serial, standby)
        case "release":
            return request_id, Release(vm, node, _number(body, "token"))
        case "status":
            return request_id, Status(vm, node)
        case "forget":
            return request_id, Forget(vm, node)
        case other:
            raise WireError(f"op {str(other)[:40]!r} is unknown")


def encode_reply(reply: Reply) -> bytes:
    """The line, with its end."""
    body: dict[str, Any] = {"id": reply.id, "result": "granted", "record": None}
    if reply.record is not None:
        body["record"] = {name: getattr(reply.record, name) for name in _RECORD_FIELDS}
    if reply.error is not None:
        body |= {"result": "error", "error": reply.error[:500]}
    elif reply.refusal is not None:
        body |= {"result": "refused", "refusal": reply.refusal.value}
    return _line(body)


def decode_reply(line: bytes) -> Reply:
    """WireError for anything that is no answer."""
    body = _object(line)
    reply_id, record = _number(body, "id"), _record(body.get("record"))
    match body.get("result"):
        case "granted":
            return Reply(reply_id, record)
        case "refused":
            try:
                return Reply(reply_id, record, refusal=Refusal(body.get("refusal")))
            except ValueError as e:
                raise WireError(f"refusal {str(body.get('refusal'))[:40]!r} is unknown") from e
        case "error":
            return Reply(reply_id, record, error=str(body.get("error"))[:500])
        case other:
            raise WireError(f"result {str(other)[:40]!r} is unknown")


_OP = {
    Acquire: "acquire",
    Renew: "renew",
    SetStandby: "set_standby",
    Release: "release",
    Status: "status",
    Forget: "forget",
}
_RECORD_FIELDS = ("token", "holder", "standby", "serial", "ttl_ms", "remaining_ms")


def _line(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def _object(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE:
        raise WireError(f"a line of {len(line)} bytes is too long")
    try:
        body = json.loads(line)
    except (ValueError, RecursionError) as e:
        raise WireError("not a line of JSON") from e
    if not isinstance(body, dict):
        raise WireError("not an object")
    return body


def _number(body: dict[str, Any], key: str, low: int = 0, high: int = _MAX_NUMBER) -> int:
    value = body.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise WireError(f"{key} must be an integer from {low} to {high}")
    return value


def _name(body: dict[str, Any], key: str, pattern: re.Pattern[str]) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise WireError(f"{key} is missing or has a form that is not allowed")
    return value


def _record(body: object) -> LeaseRecord | None:
    if body is None:
        return None
    if not isinstance(body, dict):
        raise WireError("record is no object")
    standby = None if body.get("standby") is None else _name(body, "standby", _NODE)
    numbers = [_number(body, key) for key in ("serial", "ttl_ms", "remaining_ms")]
    return LeaseRecord(_number(body, "token"), _name(body, "holder", _NODE), standby, *numbers)
