"""A response of JSON lines that go on: progress and events.

An empty line at least every `KEEPALIVE_S` seconds tells the reader that the agent lives. An error in the
middle is the last line, in the shape of `ErrorBody`. A reader that takes nothing for `WRITE_TIMEOUT_S`
seconds is dropped.
"""

from __future__ import annotations

from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import structlog

from colo.api.wire import ErrorBody, to_json
from colo.errors import ColoError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from starlette.types import Receive, Scope, Send

KEEPALIVE_S = 5.0
WRITE_TIMEOUT_S = 30.0

log = structlog.get_logger()


class OpenStreams:
    """Every stream that is being read, so that a server that ends need not wait for its readers."""

    def __init__(self) -> None:
        self._scopes: set[anyio.CancelScope] = set()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Inside, `close` ends the stream."""
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.discard(scope)

    def close(self) -> None:
        """End all of them."""
        for scope in tuple(self._scopes):
            scope.cancel()


class NdjsonResponse:
    """An ASGI application that writes what `source` yields; closes `source` when the reader has gone."""

    def __init__(self, source: AsyncGenerator[Any, None], streams: OpenStreams) -> None:
        self._source = source
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Write until the source ends, the reader leaves, or the server ends."""
        headers = [(b"content-type", b"application/x-ndjson")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        with self._streams.entered():
            async with anyio.create_task_group() as tasks:
                lines_in, lines_out = anyio.create_memory_object_stream[bytes](0)
                tasks.start_soon(_until_disconnect, receive, tasks.cancel_scope)
                tasks.start_soon(self._produce, lines_in)
                await _write(send, lines_out)
                tasks.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _produce(self, lines: MemoryObjectSendStream[bytes]) -> None:
        async with lines:
            try:
                async with aclosing(self._source) as source:
                    async for item in source:
                        await lines.send(to_json(item))
            except ColoError as e:
                await lines.send(to_json(ErrorBody.of(e)))
            except Exception as e:
                log.exception("stream failed")
                await lines.send(to_json(ErrorBody(f"internal error: {e!r}", "see the agent's log", 1)))


async def _until_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _write(send: Send, lines: MemoryObjectReceiveStream[bytes]) -> None:
    async with lines:
        while True:
            line = b""
            try:
                with anyio.move_on_after(KEEPALIVE_S):
                    line = await lines.receive()
            except anyio.EndOfStream:
                return
            with anyio.move_on_after(WRITE_TIMEOUT_S) as slow:
                await send({"type": "http.response.body", "body": line + b"\n", "more_body": True})
            if slow.cancelled_caught:
                return
