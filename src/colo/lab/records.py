"""The laboratory's clients at work: reads what they print, while they print it."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from colo.lab.process import HostProcess

_STEPS = {"answer", "progress"}
_LOOK_S = 0.02


@define
class Record:
    """Follows one client's output: answers, the longest wait for one, its verdict."""

    path: Path
    answers: int = 0
    steps: int = 0
    """Answers, and pieces of a transfer."""
    longest_ms: float = 0.0
    mib: int = 0
    mib_per_s: list[float] = field(factory=list)
    so_far: int = 0
    """Bytes of the transfer under way."""
    waits_ms: list[float] = field(factory=list)
    verdict: str = ""
    why: str = ""
    _offset: int = 0

    def read(self) -> None:
        """Takes in what was printed since the last call."""
        for entry in self._new():
            self.steps += entry.get("kind") in _STEPS
            if "verdict" in entry:
                self.verdict, self.why = entry["verdict"], entry.get("why", "")
            elif entry["kind"] == "answer":
                self.answers = entry["n"]
                self.waits_ms.append(entry["ms"])
                self.longest_ms = max(self.longest_ms, entry["ms"])
            elif entry["kind"] == "progress":
                self.so_far = entry["bytes"]
            elif "mib" in entry:
                self.mib += entry["mib"]
                self.mib_per_s.append(entry["mib_per_s"])

    @property
    def whole(self) -> bool:
        """The client ended and found nothing wrong."""
        return self.verdict == "whole"

    def _new(self) -> Iterator[dict[str, Any]]:
        with self.path.open("rb") as output:
            output.seek(self._offset)
            for line in output:
                if not line.endswith(b"\n"):
                    return  # it is being written
                self._offset += len(line)
                yield self._parse(line)

    def _parse(self, line: bytes) -> dict[str, Any]:
        try:
            entry = json.loads(line)
        except ValueError:
            return {"verdict": "broken", "why": f"the client said: {line.decode(errors='replace').strip()}"}
        assert isinstance(entry, dict)
        return entry


@define
class WatchedClient:
    """A client process and what it has printed so far."""

    name: str
    process: HostProcess
    record: Record = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.record = Record(self.process.log)

    async def goes_on(self, steps: int, seconds: float) -> None:
        """Until it has so many more answers or pieces of a transfer, or has ended. Raises TimeoutError."""
        self.record.read()
        goal = self.record.steps + steps
        with anyio.fail_after(seconds):
            while self.record.steps < goal and not self.record.verdict:
                await anyio.sleep(_LOOK_S)  # the client's own time
                self.record.read()

    async def ended(self, seconds: float) -> Record:
        """Its record, once it has ended by itself. Raises ColoError."""
        await anyio.to_thread.run_sync(self.process.wait, seconds)
        self.record.read()
        return self.record

    async def finish(self, seconds: float) -> Record:
        """Has it end after the answer that it waits for; its record. Raises ColoError."""
        if self.process.ended() is None:
            self.process.signal(signal.SIGTERM)
        return await self.ended(seconds)

    @property
    def problem(self) -> str | None:
        """What it found wrong, if anything."""
        return None if self.record.whole else f"{self.name}: {self.record.why or 'no verdict'}"
