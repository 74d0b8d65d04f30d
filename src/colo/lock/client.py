"""Ask the witness, as one node for one VM.

Every call ends within its deadline. A call sends its request at most once: when the answer does not come, the
caller does not know whether it was carried out, and `colo.model.role` knows how to live with that.
Connections are made when they are needed, with a growing pause between attempts that fail.
"""

from __future__ import annotations

import os
import ssl
import time
from typing import TYPE_CHECKING

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream
from attrs import frozen

from colo.errors import LeaseError
from colo.lock.wire import (
    MAX_LINE,
    Forget,
    LeaseRecord,
    Reply,
    Status,
    WireError,
    decode_reply,
    encode_request,
)
from colo.model.witness import Acquire, Refusal, Release, Renew, Request, SetStandby
from colo.pki import client_context

if TYPE_CHECKING:
    from anyio.streams.tls import TLSStream

    from colo.config import Address, TlsConfig

_NS_PER_MS = 1_000_000
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.5
# The witness closes what is idle for 60 s. A request that races with that would have an unknown fate.
_MAX_IDLE_S = 20.0

_FAILURES = (
    TimeoutError,
    OSError,
    ssl.SSLError,
    anyio.BrokenResourceError,
    anyio.EndOfStream,
    anyio.IncompleteRead,
    anyio.DelimiterNotFound,
    WireError,
)


class LeaseRefusedError(LeaseError):
    """The witness said no, and nothing has changed. `record`: what stands in the way."""

    def __init__(self, vm: str, refusal: Refusal, record: LeaseRecord | None) -> None:
        holder = f" (token {record.token} is {record.holder}'s)" if record else ""
        super().__init__(f"the witness refuses the lease of {vm}: {refusal.value}{holder}", _HINTS[refusal])
        self.refusal = refusal
        self.record = record


class WitnessUnreachableError(LeaseError):
    """No answer. The request may or may not have been carried out."""


_HINTS = {
    Refusal.HELD: "it may be granted once that lease has run out",
    Refusal.NOT_ELIGIBLE: "another node has the newer copy of this VM; start the VM there",
    Refusal.STALE: "another node has taken over since; this node must not run the VM",
    Refusal.FULL: "the witness knows too many VMs: forget those that are no more (colo lease forget)",
}


@frozen
class Grant:
    """The request was carried out.

    `sent_at_ns`: CLOCK_BOOTTIME before it was sent; the lease counts from there.
    """

    record: LeaseRecord
    sent_at_ns: int

    @property
    def token(self) -> int:
        """The fencing token of the lease."""
        return self.record.token


class LeaseClient:
    """One connection to the witness at `address`, whose certificate must name `witness_node`.

    `deadline_s` is for one call: connecting included.
    """

    def __init__(
        self,
        address: Address,
        tls: TlsConfig,
        node: str,
        vm: str,
        *,
        witness_node: str = "witness",
        deadline_s: float = 0.5,
    ) -> None:
        self._address = address
        self._context = client_context(tls)
        self._node = node
        self._vm = vm
        self._witness_node = witness_node
        self._deadline_s = deadline_s
        self._one_at_a_time = anyio.Lock()
        self._connection: _Connection | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._not_before = 0.0

    async def acquire(self, ttl_ms: int, seen: int | None = None) -> Grant:
        """Ask for the lease: a new token, no standby. `seen` is the last token known: see `model.witness`."""
        return await self._granted(Acquire(self._vm, self._node, ttl_ms * _NS_PER_MS, seen))

    async def renew(self, token: int) -> Grant:
        """Keep the lease of `token`."""
        return await self._granted(Renew(self._vm, self._node, token))

    async def set_standby(self, token: int, serial: int, standby: str | None) -> Grant:
        """Say who may take over. `serial` grows with every call under one token."""
        return await self._granted(SetStandby(self._vm, self._node, token, serial, standby))

    async def release(self, token: int) -> Grant:
        """Give the lease back: the standby may have it at once."""
        return await self._granted(Release(self._vm, self._node, token))

    async def status(self) -> LeaseRecord | None:
        """The VM's record; None when the witness knows nothing of it."""
        reply, _ = await self._call(Status(self._vm, self._node))
        return reply.record

    async def forget(self) -> None:
        """Drop the VM's record; `node` has to be the witness itself."""
        await self._call(Forget(self._vm, self._node))

    async def aclose(self) -> None:
        """Close the connection; a later call opens another."""
        if self._connection:
            connection, self._connection = self._connection, None
            await anyio.aclose_forcefully(connection.stream)

    async def _granted(self, request: Request) -> Grant:
        reply, sent_at_ns = await self._call(request)
        if reply.record is None:
            raise self._unreachable(WireError("it granted a lease without a record"))
        return Grant(reply.record, sent_at_ns)

    async def _call(self, request: Request | Status | Forget) -> tuple[Reply, int]:
        try:
            with anyio.fail_after(self._deadline_s):
                async with self._one_at_a_time:
                    reply, sent_at_ns = await self._exchange(request)
        except _FAILURES as e:
            raise self._unreachable(e) from e
        if reply.error is not None:
            message = f"the witness at {self._address}: {reply.error}"
            raise WitnessUnreachableError(message, "see the witness's log")
        if reply.refusal is not None:
            raise LeaseRefusedError(self._vm, reply.refusal, reply.record)
        return reply, sent_at_ns

    async def _exchange(self, request: Request | Status | Forget) -> tuple[Reply, int]:
        connection = await self._connected()
        done = False
        try:
            result = await connection.exchange(request)
            done = result[0].error is None  # the witness hangs up after some errors
        finally:
            if not done:  # an answer that comes later must not be taken for that of the next request
                await self.aclose()
        return result

    async def _connected(self) -> _Connection:
        if self._connection and time.monotonic() - self._connection.used_at > _MAX_IDLE_S:
            await self.aclose()
        while self._connection is None:
            await anyio.sleep_until(self._not_before)
            self._not_before = anyio.current_time() + self._pause_s
            try:
                self._connection = await self._connect()
            except OSError:
                self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
                if anyio.current_effective_deadline() - anyio.current_time() < self._pause_s:
                    raise
        self._pause_s = _FIRST_PAUSE_S
        return self._connection

    async def _connect(self) -> _Connection:
        stream = await anyio.connect_tcp(
            self._address.host,
            self._address.port,
            ssl_context=self._context,
            tls_hostname=self._witness_node,
            tls_standard_compatible=False,
        )
        return _Connection(stream)

    def _unreachable(self, error: Exception) -> WitnessUnreachableError:
        why = f"no answer within {self._deadline_s:g} s" if isinstance(error, TimeoutError) else _why(error)
        return WitnessUnreachableError(
            f"the witness at {self._address} cannot be reached: {why}",
            "is `colo witness` running there, with certificates of the same authority?",
        )


def _why(error: Exception) -> str:
    cause = error.__cause__ or error
    if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) and cause.errno:
        return os.strerror(cause.errno)
    return str(cause) or type(cause).__name__


class _Connection:
    """One TLS connection: a request, its answer, the next request."""

    def __init__(self, stream: TLSStream) -> None:
        self.stream = stream
        self.used_at = time.monotonic()
        self._lines = BufferedByteReceiveStream(stream)
        self._id = 0

    async def exchange(self, request: Request | Status | Forget) -> tuple[Reply, int]:
        """The answer, and CLOCK_BOOTTIME (ns) from before the request was sent."""
        self._id += 1
        sent_at_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        await self.stream.send(encode_request(self._id, request))
        reply = decode_reply(await self._lines.receive_until(b"\n", MAX_LINE))
        if reply.id != self._id and reply.error is None:
            raise WireError(f"the answer is to request {reply.id}, not {self._id}")
        self.used_at = time.monotonic()
        return reply, sent_at_ns
