"""`colo plan`: from a configuration, from options, and from this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import Result

if TYPE_CHECKING:
    from pathlib import Path

Colo = Callable[..., Result]


def _planned(colo: Colo, *arguments: object) -> Any:
    result = colo("plan", *arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_for_people_it_says_what_fits_and_what_has_the_least_room(colo: Colo) -> None:
    lines = colo("plan", "--memory", 1024, "--writes", 10_000, "--over", 64).output.splitlines()
    names = [line.split("  ")[0] for line in lines]
    assert names[:4] == ["checkpoint", "pause", "answer that differs", "no agreement for"]
    assert any(line.startswith("fits") and "yes, least room: " in line for line in lines)
    assert not any(name == "writes" for name in names)
    slowed = colo("plan", "--memory", 1024, "--writes", 100_000, "--link", 1000).output
    assert "\nwrites " in slowed
    assert "slowed down to" in slowed
    assert "no, least room: " in slowed


def test_a_configuration_says_the_memory_and_the_settings(colo: Colo, config: Path) -> None:
    planned = _planned(colo, config)
    assert planned["primary_mib"]["guest RAM"] == 64
    assert planned["trigger"] == "period"
    config.write_text(config.read_text() + '[checkpoint]\nmode = "epoch"\nencoding = "none"\n')
    planned = _planned(colo, config)
    assert planned["trigger"] == "output"
    assert planned["primary_mib"]["shadow"] == 0


def test_options_go_before_the_configuration(colo: Colo, config: Path) -> None:
    planned = _planned(colo, config, "--memory", 128, "--period", 0, "--staging", 2)
    assert planned["primary_mib"]["guest RAM"] == 128
    assert (planned["trigger"], planned["interval_ms"]) == ("need", None)
    assert planned["limits"][0]["most"] == 512
    assert _planned(colo, config, "--mode", "epoch")["trigger"] == "output"


def test_this_machines_speed_can_be_taken(colo: Colo) -> None:
    measured, default = (_planned(colo, "--memory", 8192, *more) for more in (["--measure"], []))
    assert measured["pause_ms"] > 0
    assert measured["pause_ms"] != default["pause_ms"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--memory (MiB, 16 to 1048576)"),
        (("--memory", 8), "'--memory': 8 is not in the range 16<=x<=1048576"),
        (("--memory", 64, "--used", 2), "'--used': 2.0 is not in the range 0<=x<=1"),
        (("--memory", 64, "--mode", "both"), "'--mode': 'both' is not one of 'lockstep', 'epoch'"),
    ],
)
def test_a_mistake_names_the_option_the_value_and_the_range(
    colo: Colo, arguments: tuple[object, ...], said: str
) -> None:
    result = colo("plan", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
