"""The debug mode `[checkpoint] verify`, on the secondary: is its memory what the primary's was at the cut?

Looked at twice, by hashes over all of it: the RAM cache once it holds the checkpoint, the VM's RAM when all
is loaded and mended and the VM has not run yet.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal

import anyio.to_thread
from attrs import define, field

from colo.errors import ColoError

if TYPE_CHECKING:
    from collections.abc import Callable

    from colo._core import Replica

Memory = Literal["cache", "VM"]

_NAMES: dict[Memory, str] = {"cache": "the RAM cache", "VM": "the VM's RAM"}
_ANNOUNCED = 2
"""The checkpoint that was stored last, which may still be loaded, and the one that comes in."""


class DifferenceError(ColoError):
    """The copy is none. It must never run."""


@define(eq=False)
class Verification:
    """`announce` what the primary's RAM was; `check` that it is here. What was not announced passes."""

    replica: Replica
    tell: Callable[[int, Memory], None]
    """A checkpoint, and which memory was found to be equal."""
    _announced: deque[tuple[int, int]] = field(factory=lambda: deque(maxlen=_ANNOUNCED))

    def announce(self, checkpoint: int, ram_hash: int) -> None:
        """The primary's RAM at the cut of this checkpoint."""
        self._announced.append((checkpoint, ram_hash))

    async def check(self, checkpoint: int, memory: Memory) -> None:
        """Raises DifferenceError."""
        expected = dict(self._announced).get(checkpoint)
        if expected is None:
            return
        look = self.replica.cache_hash if memory == "cache" else self.replica.ram_hash
        found = await anyio.to_thread.run_sync(look)
        if found != expected:
            raise DifferenceError(
                f"{_NAMES[memory]} is not what the primary's RAM was at the cut"
                f" (xxh3 {found:016x} instead of {expected:016x})"
            )
        self.tell(checkpoint, memory)
