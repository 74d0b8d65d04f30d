"""The VM that is a bad cable; needs root. Traffic through it: tests/live/test_bad_network.py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from colo.errors import ColoError
from colo.lab.namespaces import Network, Port
from colo.lab.netem import Netem

if TYPE_CHECKING:
    from colo.guest import GuestImage


def test_a_cable_with_rules_that_tc_does_not_know_says_so_when_it_ends(
    qemus: tuple[Path, ...], netem_image: GuestImage, capfd: pytest.CaptureFixture[str]
) -> None:
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        pytest.skip("needs root and /dev/net/tun")
    cable = Netem(qemus[0], netem_image, ("nonsense", "1%"))
    with (
        pytest.raises(ColoError, match="a cable ended with 1"),
        Network({"one": (Port("lan", "lan0", cable=cable),)}),
    ):
        pass
    assert 'What is "nonsense"?' in capfd.readouterr().err
