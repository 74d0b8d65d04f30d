"""The witness's memory: one file, saved before an answer leaves whenever something in it changes.

When a lease ends is not in the file. After a restart every lease that was not given back counts as renewed
just now (`colo.model.witness.restarted`), so a renewal changes nothing that must be saved: the disk is
touched only when a lease changes hands, a standby changes, or a lease is given back.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import cattrs
from attrs import evolve, frozen

from colo.errors import StateFolderError
from colo.model.witness import Record, Witness, restarted
from colo.state import load, save

if TYPE_CHECKING:
    from pathlib import Path

_FILE = "leases.json"
_FORM = 1
_RELEASED, _LIVE = 0, 1


@frozen
class _Stored:
    form: int
    records: dict[str, Record]


class LeaseStore:
    """The file in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._converter = cattrs.Converter(forbid_extra_keys=True)

    def load(self, now: int) -> Witness:
        """What was saved last, every lease renewed at `now`. A damaged file is an error, not an empty one."""
        data = load(self._path)
        if data is None:
            return Witness()
        try:
            stored = self._parse(data)
        except (ValueError, RecursionError, cattrs.BaseValidationError) as e:
            hint = "restore it, or move it away once you are certain that none of its VMs runs on two hosts"
            raise StateFolderError(f"{self._path} is damaged: {e}", hint) from e
        if stored.form != _FORM:
            raise StateFolderError(f"{self._path} was written by another version of colo", "use that version")
        return restarted(Witness(stored.records), now)

    def _parse(self, data: bytes) -> _Stored:
        body = json.loads(data)
        if not isinstance(body, dict):
            raise ValueError("no object")  # noqa: TRY004 - damage of a file, not a bug
        return self._converter.structure(body, _Stored)

    def save(self, witness: Witness) -> None:
        """Returns when it is durable."""
        records = {vm: durable(record) for vm, record in witness.records.items()}
        save(self._path, json.dumps(self._converter.unstructure(_Stored(_FORM, records)), indent=1).encode())


def durable(record: Record) -> Record:
    """What of a record has to outlive the witness: all but the time at which the lease ends."""
    return evolve(record, expires_ns=_LIVE if record.expires_ns else _RELEASED)
