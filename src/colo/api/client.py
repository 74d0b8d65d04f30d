"""Ask a running agent. Its errors come back as the exceptions they were, with their exit codes."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self, TypeVar

import anyio
import httpx

from colo.api.endpoint import SOCKET_NAME
from colo.api.ndjson import KEEPALIVE_S
from colo.api.service import AgentEvent, CheckpointReport, Divergences, Progress, Status, Why
from colo.api.wire import MAX_LINE, ErrorBody, from_json, is_error
from colo.errors import AgentUnreachableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

T = TypeVar("T")

_MAX_ANSWER = 1 << 20


class AgentClient:
    """One agent, by its run folder; an async context.

    `deadline_s` is for a whole request; for a stream, from one line to the next.
    """

    def __init__(self, run_dir: Path, deadline_s: float = 30.0) -> None:
        self._socket = run_dir / SOCKET_NAME
        self._deadline_s = deadline_s
        # httpx prepares for TLS in any case, and reads all authorities for that if it is left to it: 25 ms.
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(verify=nobody, uds=str(self._socket)),
            base_url="http://agent",
            timeout=httpx.Timeout(deadline_s, read=max(deadline_s, 3 * KEEPALIVE_S)),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def status(self) -> Status:
        """What the agent is doing."""
        return from_json(Status, await self._ask("GET", "/v1/status"))

    async def divergences(self) -> Divergences:
        """Where the two copies differed."""
        return from_json(Divergences, await self._ask("GET", "/v1/divergences"))

    async def why(self) -> Why:
        """Lock-step or epochs, and why."""
        return from_json(Why, await self._ask("GET", "/v1/why"))

    async def checkpoint(self) -> CheckpointReport:
        """Take a checkpoint now and wait until it is committed."""
        return from_json(CheckpointReport, await self._ask("POST", "/v1/checkpoint"))

    async def failover(self) -> str:
        """Hand the VM over to the other host."""
        return from_json(str, await self._ask("POST", "/v1/failover"))

    async def stop(self) -> None:
        """Ask the agent to end."""
        await self._ask("POST", "/v1/stop")

    def protect(self) -> AsyncGenerator[Progress, None]:
        """Begin or join the protection; ends when the VM is protected."""
        return self._stream("POST", "/v1/protect", Progress)

    def events(self) -> AsyncGenerator[AgentEvent, None]:
        """What happens from now on, until the agent ends."""
        return self._stream("GET", "/v1/events", AgentEvent)

    async def _ask(self, method: str, path: str) -> bytes:
        try:
            with anyio.fail_after(self._deadline_s):
                async with self._response(method, path) as response:
                    body = await _bounded_body(response)
        except TimeoutError as e:
            raise self._silent() from e
        _raise_error(response, body)
        return body

    async def _stream(self, method: str, path: str, cls: type[T]) -> AsyncGenerator[T, None]:
        async with self._response(method, path) as response:
            if response.is_error:
                _raise_error(response, await _bounded_body(response))
            async for line in _lines(response):
                if is_error(line):
                    raise from_json(ErrorBody, line).to_error()
                yield from_json(cls, line)

    @asynccontextmanager
    async def _response(self, method: str, path: str) -> AsyncIterator[httpx.Response]:
        try:
            async with self._http.stream(method, path) as response:
                yield response
        except httpx.TimeoutException as e:
            raise self._silent() from e
        except httpx.ConnectError as e:
            hint = "start it: colo agent CONFIG (and use the same CONFIG here)"
            raise AgentUnreachableError(f"no agent answers on {self._socket}: {e}", hint) from e
        except httpx.TransportError as e:
            raise AgentUnreachableError(f"the agent hung up: {e!r}", "see the agent's log") from e

    def _silent(self) -> AgentUnreachableError:
        message = f"the agent on {self._socket} did not answer in time"
        return AgentUnreachableError(message, "see the agent's log; is its process stopped?")


async def _bounded_body(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _MAX_ANSWER:
            raise AgentUnreachableError(f"the agent's answer is longer than {_MAX_ANSWER} bytes")
    return body


async def _lines(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(None, lines):  # empty lines only say that the agent lives
            yield line
        if len(rest) > MAX_LINE:
            raise AgentUnreachableError(f"a line of the agent is longer than {MAX_LINE} bytes")


def _raise_error(response: httpx.Response, body: bytes) -> None:
    if response.is_error:
        if is_error(body):
            raise from_json(ErrorBody, body).to_error()
        message = f"the agent answers with status {response.status_code}: {body[:80]!r}"
        raise AgentUnreachableError(message, "try again later")
