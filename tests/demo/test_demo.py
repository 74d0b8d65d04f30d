"""What the demonstration says when it cannot show anything; whole, it is run by `make demo`."""

from __future__ import annotations

import pytest

from colo.api.service import Status
from colo.demo.demo import check_protected
from colo.errors import ColoError


def _status(state: str) -> Status:
    return Status(
        "beta", "demo", "standby", state, "lockstep", 3, None, "this replica was left behind", "up", 1.0
    )


def test_a_host_is_lost_only_while_the_vm_is_protected() -> None:
    check_protected(_status("protected"))
    with pytest.raises(
        ColoError, match="beta is idle before any host has died: this replica was left behind"
    ):
        check_protected(_status("idle"))
