"""The witness: a small server on a third host that grants leases.

It decides nothing itself (`colo.model.witness` does): it makes certain who asks, remembers durably, and
answers.

Limits: 64 connections that have not shown a certificate yet (3 s for that), 256 that have; more are closed at
once. A connection that says nothing for 60 s, or sends what is no request, is closed.
"""

from __future__ import annotations

import ssl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
import structlog
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSAttribute, TLSStream

from colo.errors import AddressInUseError, StateFolderError
from colo.lock.store import LeaseStore, durable
from colo.lock.wire import (
    MAX_LINE,
    Forget,
    LeaseRecord,
    Reply,
    Status,
    WireError,
    decode_request,
    encode_reply,
)
from colo.model.witness import Acquire, Granted, Refusal, Request, Witness, forget, step
from colo.pki import peer_names, server_context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from anyio.abc import SocketStream, TaskStatus

    from colo.config import Address, TlsConfig

MAX_HANDSHAKES = 64
MAX_CONNECTIONS = 256
HANDSHAKE_TIMEOUT_S = 3.0
IDLE_TIMEOUT_S = 60.0
WRITE_TIMEOUT_S = 5.0

_CONNECTION_ENDED = (
    OSError,
    ssl.SSLError,
    anyio.BrokenResourceError,
    anyio.EndOfStream,
    anyio.ClosedResourceError,
)

log = structlog.get_logger()


class WitnessServer:
    """Serves the leases in `folder` (which the caller holds: `colo.state.hold_folder`).

    `node`: the witness's own name. Who shows a certificate with this name is its operator and may `forget`.
    StateFolderError when it could not remember anything: better no witness than one that refuses everybody.
    """

    def __init__(self, folder: Path, tls: TlsConfig, node: str) -> None:
        self._store = LeaseStore(folder)
        self._context = server_context(tls)
        self._node = node
        self._witness = self._store.load(_now())
        self._store.save(self._witness)
        self._changing = anyio.Lock()
        self._handshakes = _Limit(MAX_HANDSHAKES)
        self._connections = _Limit(MAX_CONNECTIONS)

    async def serve(
        self, address: Address, *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Answer until cancelled. The task's value is the port (useful with port 0)."""
        try:
            listener = await anyio.create_tcp_listener(local_host=address.host, local_port=address.port)
        except OSError as e:
            raise AddressInUseError(
                f"cannot listen on {address}: {e.strerror or e}", "choose another port"
            ) from e
        async with listener:
            port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - not Django's
            log.info("witness listens", address=address.host, port=port, vms=len(self._witness.records))
            task_status.started(port)
            await listener.serve(self._connection)

    async def _connection(self, socket: SocketStream) -> None:
        try:
            async with socket:
                with self._handshakes.entered(), anyio.fail_after(HANDSHAKE_TIMEOUT_S):
                    stream = await TLSStream.wrap(
                        socket, server_side=True, ssl_context=self._context, standard_compatible=False
                    )
                names = peer_names(stream.extra(TLSAttribute.peer_certificate))  # noqa: S610
                with self._connections.entered():
                    await self._requests(stream, names)
        except _LimitReachedError as e:
            log.warning("connection refused", why=str(e))
        except TimeoutError:
            log.info("connection closed: silent for too long")
        except _CONNECTION_ENDED as e:
            log.debug("connection ended", why=repr(e.__cause__ or e))

    async def _requests(self, stream: TLSStream, names: frozenset[str]) -> None:
        lines = BufferedByteReceiveStream(stream)
        while True:
            with anyio.fail_after(IDLE_TIMEOUT_S):
                try:
                    line = await lines.receive_until(b"\n", MAX_LINE)
                except (anyio.IncompleteRead, anyio.DelimiterNotFound):
                    return
            reply, goes_on = await self._answer(line, names)
            with anyio.fail_after(WRITE_TIMEOUT_S):
                await stream.send(encode_reply(reply))
            if not goes_on:
                return

    async def _answer(self, line: bytes, names: frozenset[str]) -> tuple[Reply, bool]:
        """The reply, and whether the connection is worth keeping."""
        try:
            request_id, request = decode_request(line)
        except WireError as e:
            return Reply(0, None, error=str(e)), False
        if request.node not in names:
            shown = ", ".join(sorted(names)) or "nobody"
            return Reply(
                request_id, None, error=f"the certificate is for {shown}, not for {request.node}"
            ), False
        async with self._changing:  # the order of decisions is the order on the disk
            try:
                return await self._decide(request_id, request), True
            except StateFolderError as e:
                log.error("cannot remember", why=e.message)  # noqa: TRY400 - the sentence says it all
                return Reply(request_id, None, error=f"the witness cannot remember it: {e.message}"), True

    async def _decide(self, request_id: int, request: Request | Status | Forget) -> Reply:
        now = _now()
        if isinstance(request, Status):
            return self._reply(request_id, request.vm, now)
        if isinstance(request, Forget):
            return await self._forget(request_id, request, now)
        witness, answer = step(self._witness, request, now)
        if not isinstance(answer, Granted):
            return self._reply(request_id, request.vm, now, answer.refusal)
        await self._adopt(witness, request.vm)
        if isinstance(request, Acquire):
            log.info("granted", vm=request.vm, holder=request.node, token=answer.record.token)
        return self._reply(request_id, request.vm, now)

    async def _forget(self, request_id: int, request: Forget, now: int) -> Reply:
        record = self._witness.records.get(request.vm)
        if request.node != self._node:
            return Reply(request_id, None, error=f"only {self._node} itself may forget a record")
        if record is not None and record.live(now):
            return self._reply(request_id, request.vm, now, Refusal.HELD)
        await self._adopt(forget(self._witness, request.vm), request.vm)
        log.warning("forgotten by the operator", vm=request.vm, record=record)
        return self._reply(request_id, request.vm, now)

    async def _adopt(self, witness: Witness, vm: str) -> None:
        """Durable first; when that fails, it has not happened."""
        before, after = self._witness.records.get(vm), witness.records.get(vm)
        if (before and durable(before)) != (after and durable(after)):
            await anyio.to_thread.run_sync(self._store.save, witness)
        self._witness = witness

    def _reply(self, request_id: int, vm: str, now: int, refusal: Refusal | None = None) -> Reply:
        record = self._witness.records.get(vm)
        return Reply(request_id, LeaseRecord.of(record, now) if record else None, refusal)


class _LimitReachedError(Exception):
    pass


class _Limit:
    def __init__(self, most: int) -> None:
        self._most = most
        self._inside = 0

    @contextmanager
    def entered(self) -> Iterator[None]:
        if self._inside >= self._most:
            raise _LimitReachedError(f"{self._most} connections are open already")
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1


def _now() -> int:
    """Counts through a suspend of the host, as the holders' clocks do."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
