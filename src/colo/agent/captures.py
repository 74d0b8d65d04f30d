"""Files with the frames around a divergence, for Wireshark (`colo agent --capture FOLDER`).

The relay keeps the last frames in memory and stops soon after a divergence; here they go into a file. One
file a second at most: with divergences that follow each other faster, the frames kept are those around the
first one since the last file. Frames are the guest's traffic: only our user may read the files.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from attrs import define, field

from colo.errors import StateFolderError

if TYPE_CHECKING:
    from pathlib import Path

    from colo._core import Relay
    from colo.agent.inbox import Inbox
    from colo.agent.journal import Journal

KEPT = 16
"""Files of a VM that are kept; the oldest go."""
_RING_MIB = 8
_AFTER_S = 0.25
"""What comes so soon after a divergence belongs to its picture: the answer that was late, the checkpoint."""
_PAUSE_S = 1.0


def prepare(folder: Path) -> None:
    """Makes the folder (0700). Raises StateFolderError when nothing can be written there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StateFolderError(f"cannot use the folder {folder}: {error}", "choose another one") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StateFolderError(f"cannot write to the folder {folder}", "choose another one")


@define(eq=False)
class Captures:
    """Captures from when it is made; `keep` writes the files."""

    relay: Relay
    inbox: Inbox
    journal: Journal
    folder: Path
    vm: str
    _why: str | None = None
    _noticed: anyio.Event = field(factory=anyio.Event)

    def __attrs_post_init__(self) -> None:
        self.relay.capture(_RING_MIB)

    def noticed(self, why: str) -> None:
        """There was a divergence: `why` in words."""
        if self._why is None:
            self._why = why
            self._noticed.set()

    async def keep(self) -> None:
        """Until cancelled. What cannot be written is told, and the next one is tried."""
        while True:
            await self._noticed.wait()
            await anyio.sleep(_AFTER_S)
            why, self._why, self._noticed = self._why or "", None, anyio.Event()
            try:
                path = await anyio.to_thread.run_sync(self._write, why)
            except (OSError, RuntimeError) as error:
                self._note("capture-failed", f"the frames around {why} are lost: {error}")
            else:
                self._note("capture", f"the frames around {why} are in {path}")
            await anyio.sleep(_PAUSE_S)

    def _note(self, kind: str, why: str) -> None:
        self.inbox.post(lambda: self.journal.note(kind, why))

    def _write(self, why: str) -> Path:
        frames = self.relay.captured(f"{self.vm}: {why}")
        self._make_room()
        time = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        path = self.folder / f"{self._prefix}{time}.pcapng"
        _write_new(path, frames)
        return path

    def _make_room(self) -> None:
        files = sorted(self.folder.glob(f"{self._prefix}*.pcapng"))
        for oldest in files[: max(len(files) - KEPT + 1, 0)]:
            oldest.unlink(missing_ok=True)

    @property
    def _prefix(self) -> str:
        return f"{self.vm}.divergence-"


def _write_new(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
    except OSError:
        path.unlink(missing_ok=True)
        raise
