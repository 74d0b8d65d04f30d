"""Serve the API inside the agent's own event loop."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from colo.api.ndjson import NdjsonResponse, OpenStreams
from colo.api.wire import ErrorBody, http_status, to_json
from colo.errors import ColoError

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterator

    from anyio.abc import TaskStatus
    from starlette.requests import Request

    from colo.api.service import AgentService

MAX_CONNECTIONS = 32
_ANSWERS_END_WITHIN_S = 1

log = structlog.get_logger()


async def serve(
    service: AgentService,
    sock: socket.socket,
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Answer on `sock` (of `claim_run_dir`) until cancelled; open streams are then closed, not waited for.

    At most 32 connections; one more is answered with 503.
    """
    streams = OpenStreams()
    server = _Server(_app(service, streams), task_status)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_run, server, sock)
        try:
            await anyio.sleep_forever()
        finally:
            streams.close()
            server.should_exit = True


async def _run(server: _Server, sock: socket.socket) -> None:
    with anyio.CancelScope(shield=True):  # it ends by should_exit, after what is being answered
        await server.serve(sockets=[sock])


class _Server(uvicorn.Server):
    """uvicorn without hands on the process: no signal handlers, no log configuration."""

    def __init__(self, app: Starlette, task_status: TaskStatus[None]) -> None:
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=_ANSWERS_END_WITHIN_S,
        )
        super().__init__(config)
        self._task_status = task_status

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The agent has its own handlers."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._task_status.started()


def _app(service: AgentService, streams: OpenStreams) -> Starlette:
    async def status(_: Request) -> Response:
        return await _answer(service.status)

    async def divergences(_: Request) -> Response:
        return await _answer(service.divergences)

    async def why(_: Request) -> Response:
        return await _answer(service.why)

    async def checkpoint(_: Request) -> Response:
        return await _answer(service.checkpoint)

    async def failover(_: Request) -> Response:
        return await _answer(service.failover)

    async def stop(_: Request) -> Response:
        return await _answer(service.shutdown)

    async def protect(_: Request) -> Any:  # noqa: ANN401 - any ASGI application
        return NdjsonResponse(service.protect(), streams)

    async def events(_: Request) -> Any:  # noqa: ANN401
        return NdjsonResponse(service.events(), streams)

    return Starlette(
        routes=[
            Route("/v1/status", status, methods=["GET"]),
            Route("/v1/divergences", divergences, methods=["GET"]),
            Route("/v1/why", why, methods=["GET"]),
            Route("/v1/events", events, methods=["GET"]),
            Route("/v1/protect", protect, methods=["POST"]),
            Route("/v1/checkpoint", checkpoint, methods=["POST"]),
            Route("/v1/failover", failover, methods=["POST"]),
            Route("/v1/stop", stop, methods=["POST"]),
        ]
    )


async def _answer(operation: Callable[[], Awaitable[object]]) -> Response:
    try:
        body, status = to_json(await operation()), 200
    except ColoError as e:
        body, status = to_json(ErrorBody.of(e)), http_status(e)
    except Exception as e:
        log.exception("request failed")
        body, status = to_json(ErrorBody(f"internal error: {e!r}", "see the agent's log", 1)), 500
    return Response(body, status, media_type="application/json")
