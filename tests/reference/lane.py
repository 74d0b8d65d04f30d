"""One flow of messages: UDP, ICMP, everything without a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from comparison import Held, Outlet
    from reading import Message

REORDER_NS = 2_000_000
"""Unmatched messages of both sides wait so long for reordering."""
WINDOW = 256
"""Messages of S that are kept, and messages of P that are searched."""


@attrs.define(eq=False)
class Waiting:
    held: Held
    body: tuple[bytes, ...]
    since: int
    matched: bool = False


@attrs.define(eq=False)
class Extra:
    """Only S has sent it."""

    body: tuple[bytes, ...]
    size: int
    since: int


class Lane:
    def __init__(self, outlet: Outlet) -> None:
        self.outlet = outlet
        self.epoch = outlet.current
        self.queue: list[Waiting] = []
        self.extras: list[Extra] = []
        self.look_at: int | None = None
        self.suspected = False

    def primary(self, message: Message, hold: Callable[[], Held], now: int) -> None:
        self._turn()
        twin = next((extra for extra in self.extras if extra.body == message.body), None)
        if twin:
            self.extras.remove(twin)
        held = hold()
        held.timed = True
        self.queue.append(Waiting(held, message.body, now, matched=twin is not None))
        self._flush()
        self._suspect(now)

    def secondary(self, message: Message, epoch: int, now: int) -> None:
        self._turn()
        for waiting in self.queue[:WINDOW]:
            if not waiting.matched and waiting.held.epoch == epoch and waiting.body == message.body:
                waiting.matched = True
                self._flush()
                return
        if epoch == self.epoch:
            self._keep(Extra(message.body, message.size, now))
            self._suspect(now)

    def _keep(self, extra: Extra) -> None:
        self.extras.append(extra)
        limit = self.outlet.limits.pending_bytes
        while len(self.extras) > WINDOW or sum(kept.size for kept in self.extras) > limit:
            self.extras.pop(0)

    def _turn(self) -> None:
        """What S sent in earlier epochs explains nothing new."""
        if self.epoch < self.outlet.current:
            self.epoch = self.outlet.current
            self.extras.clear()
            self.suspected, self.look_at = False, None

    def _flush(self) -> None:
        """A message does not overtake an earlier one of its flow."""
        while self.queue and self.queue[0].matched and self.outlet.may_agree(self.queue[0].held.epoch):
            self.outlet.release(self.queue.pop(0).held)

    def alone(self) -> None:
        pass

    def committed(self, now: int) -> None:  # noqa: ARG002
        self._flush()

    def forget_released(self) -> None:
        self.queue = [waiting for waiting in self.queue if waiting.held.serial in self.outlet.held]

    def _oldest_pair(self) -> tuple[Waiting, Extra] | None:
        """Both sides have something that the other has not."""
        unmatched = (w for w in self.queue if not w.matched and w.held.epoch == self.epoch)
        waiting = next(unmatched, None)
        return (waiting, self.extras[0]) if waiting and self.extras else None

    def _suspect(self, now: int) -> None:
        """Somebody looks again when reordering is no excuse any more."""
        if not self.suspected and self._oldest_pair():
            self.suspected, self.look_at = True, now + REORDER_NS

    def on_time(self, now: int) -> None:
        if self.look_at is None or now < self.look_at or self.epoch < self.outlet.current:
            return
        self.look_at = None
        pair = self._oldest_pair()
        if pair is None:
            self.suspected = False
        elif max(pair[0].since, pair[1].since) + REORDER_NS > now:
            self.look_at = now + REORDER_NS
        else:  # stays suspected: once in an epoch is enough
            self.outlet.diverged(self.epoch, "message")
