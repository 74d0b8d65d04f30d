"""Following guest memory takes no privilege: the same user, and a process that its user may look into."""

from __future__ import annotations

import ctypes
import json
import os

import pytest

from colo import _core

NOBODY = 65534
_PR_SET_DUMPABLE = 4  # linux/prctl.h


def _probed_by_nobody(*, dumpable: bool) -> dict[str, tuple[bool, str]]:
    """What a child that gave up root finds. exec(2) would make it dumpable again, setuid does not."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, int(dumpable), 0, 0, 0)
            os.write(writing, json.dumps(_core.probe_trackers()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return {kind: (usable, why) for kind, usable, why in json.loads(said)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_trackers_work_for_a_user_without_any_right() -> None:
    expected = {kind: usable for kind, usable, _ in _core.probe_trackers()}
    found = _probed_by_nobody(dumpable=True)
    assert {kind: usable for kind, (usable, _) in found.items()} == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_a_process_that_may_not_be_looked_into_cannot_be_followed() -> None:
    usable, why = _probed_by_nobody(dumpable=False)["pagemap-scan"]
    assert not usable
    assert "ermission" in why
