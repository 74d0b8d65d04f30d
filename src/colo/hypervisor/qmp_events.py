"""What QEMU tells by itself, and waiting for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

import anyio
import attrs
from qemu.qmp import EventListener, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from colo.hypervisor.qmp import Qmp


@attrs.frozen
class QemuEvent:
    """Something that QEMU told: SHUTDOWN, GUEST_PANICKED, STOP, RESUME, RESET, BLOCK_IO_ERROR and so on."""

    name: str
    data: Mapping[str, Any]
    at: float = attrs.field(factory=time.monotonic)
    """When that was, as `time.monotonic` counts."""


@attrs.define(eq=False)
class Watch:
    """Waits for the first event that `seen` accepts."""

    _qmp: Qmp
    _seen: Callable[[QemuEvent], bool]
    event: QemuEvent | None = None
    """That event, once it has come."""
    happened: anyio.Event = attrs.field(factory=anyio.Event)
    _then: Callable[[], None] = lambda: None

    def note(self, event: QemuEvent) -> None:
        """An event of QEMU's."""
        if self.event is None and self._seen(event):
            self.event = event
            self.happened.set()
            self.close()
            self._then()

    def then(self, do: Callable[[], None]) -> None:
        """Calls it as soon as the event is read, now if it was; a task that waits has its turn later."""
        if self.event is not None:
            do()
        else:
            self._then = do

    async def wait(self, what: str) -> QemuEvent:
        """The event; `what` names what QEMU has to do, for the error. Raises like `Qmp.execute`."""
        await self._qmp.until(self.happened, what)
        assert self.event is not None
        return self.event

    def close(self) -> None:
        """Nobody waits any more."""
        self._qmp.forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Forwarder(EventListener):
    """Hands events on at once. The library's own listeners keep a history for ever."""

    def __init__(self, receive: Callable[[QemuEvent], None]) -> None:
        super().__init__()
        self._receive = receive

    async def put(self, event: Message) -> None:
        """The library calls it."""
        name, data, stamp = str(event["event"]), event.get("data", {}), event.get("timestamp", {})
        self._receive(QemuEvent(name, data, _moment(stamp)))  # type: ignore[arg-type]


def _moment(stamp: Mapping[str, int]) -> float:
    """Of QEMU's time of day, or now where it gives none or somebody has set the clock since."""
    now = time.monotonic()
    if not stamp:
        return now
    return now - max(0.0, time.time() - stamp["seconds"] - stamp["microseconds"] / 1e6)
