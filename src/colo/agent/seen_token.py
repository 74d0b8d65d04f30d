"""The highest lease token that this node has seen, kept through its own death.

A node that has forgotten everything else still refuses a primary that was deposed before. The lease protects
without this file as well: it is the second lock on the same door, so a promotion does not wait for the disk.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import cattrs
import structlog
from attrs import asdict, field, frozen
from attrs.validators import and_, ge, le

from colo import state
from colo.errors import StateFolderError

if TYPE_CHECKING:
    from pathlib import Path

_NAME = "token.json"
_FORM = 1
_MAX = 2**63 - 1
_MOVE_AWAY = "move it away once you are certain that this VM runs on one host only"
_converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=False)
_log = structlog.get_logger()


@frozen
class _Stored:
    form: int
    vm: str
    token: int = field(validator=and_(ge(0), le(_MAX)))


class SeenToken:
    """`highest` is 0 until a token was seen. `folder` exists and is ours (`colo.state.hold_folder`)."""

    def __init__(self, folder: Path, vm: str) -> None:
        """Reads the file and writes it anew, so that a folder that cannot be used is told now.

        StateFolderError: disk full, no right, a damaged file, or that of another VM.
        """
        self.path = folder / _NAME
        self._vm = vm
        self.highest = self._load()
        self._save(self.highest)
        self._grown = anyio.Event()

    def see(self, token: int) -> None:
        """The witness granted it to us, or an authenticated peer showed it."""
        if token > self.highest:
            self.highest = token
            self._grown.set()

    async def keep(self) -> None:
        """Writes what grew, until cancelled. A disk that is full by now is told in the log; the next token
        tries again.
        """
        while True:
            await self._grown.wait()
            self._grown = anyio.Event()
            try:
                await anyio.to_thread.run_sync(self._save, self.highest)
            except StateFolderError as error:
                _log.warning("token-not-kept", why=error.message, token=self.highest)

    def _load(self) -> int:
        data = state.load(self.path)
        if data is None:
            return 0
        try:
            stored = _converter.structure(json.loads(data), _Stored)
        except Exception as error:  # cattrs lets through whatever a value provokes
            raise StateFolderError(f"{self.path} is damaged: {error!r}", _MOVE_AWAY) from error
        if stored.form != _FORM:
            raise StateFolderError(f"{self.path} was written by another version of colo", "use that version")
        if stored.vm != self._vm:
            raise StateFolderError(
                f"{self.path} is of the VM {stored.vm!r}, not of {self._vm!r}",
                "give each VM its own agent.state_dir",
            )
        return stored.token

    def _save(self, token: int) -> None:
        state.save(self.path, json.dumps(asdict(_Stored(_FORM, self._vm, token))).encode())
