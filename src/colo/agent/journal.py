"""What happened, in order: one sentence each, for the log, for `colo status` and for whoever follows the
events.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import anyio
import structlog

from colo._core import boottime_ns
from colo.api.service import AgentEvent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from anyio.streams.memory import MemoryObjectSendStream

KEPT = 1000
"""Entries kept; older ones are only in the log."""
_FOLLOWER_LAG = 1000
"""A follower that is this many entries behind is dropped: it must not hold up the agent."""


class Journal:
    """Written by the decision loop only."""

    def __init__(self, node: str) -> None:
        self._log = structlog.get_logger().bind(node=node)
        self._entries: deque[AgentEvent] = deque(maxlen=KEPT)
        self._followers: list[MemoryObjectSendStream[AgentEvent]] = []

    def note(self, kind: str, why: str, **details: str | float) -> None:
        """Writes one entry."""
        entry = AgentEvent(boottime_ns(), kind, why, details)
        self._entries.append(entry)
        self._log.info(kind, why=why, **details)
        for follower in tuple(self._followers):
            try:
                follower.send_nowait(entry)
            except (anyio.WouldBlock, anyio.BrokenResourceError):
                self._followers.remove(follower)
                follower.close()

    def recent(self, count: int) -> tuple[AgentEvent, ...]:
        """The last `count` entries, oldest first."""
        return tuple(self._entries)[-count:]

    async def follow(self) -> AsyncGenerator[AgentEvent, None]:
        """Entries from now on; ends when the follower falls too far behind."""
        send, receive = anyio.create_memory_object_stream[AgentEvent](_FOLLOWER_LAG)
        self._followers.append(send)
        try:
            async with receive:
                async for entry in receive:
                    yield entry
        finally:
            if send in self._followers:
                self._followers.remove(send)
            send.close()
