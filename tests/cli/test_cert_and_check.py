from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from click.testing import Result

if TYPE_CHECKING:
    from pathlib import Path

Colo = Callable[..., Result]


def test_a_deployment_is_made_by_two_commands(colo: Colo, tmp_path: Path) -> None:
    assert colo("cert", "init", "--dir", tmp_path).exit_code == 0
    made = colo("cert", "node", "alpha", "--dir", tmp_path)
    assert made.exit_code == 0
    assert "keep it secret" in made.output
    assert {p.name for p in tmp_path.iterdir()} == {"ca.pem", "ca.key", "alpha.pem", "alpha.key"}
    again = colo("cert", "node", "alpha", "--dir", tmp_path)
    assert (again.exit_code, "exists already" in again.stderr) == (3, True)


def test_a_certificate_without_an_authority_tells_the_command(colo: Colo, tmp_path: Path) -> None:
    result = colo("cert", "node", "alpha", "--dir", tmp_path)
    assert result.exit_code == 3
    assert "colo cert init" in result.stderr


def test_check_fails_with_its_exit_code_and_both_forms(colo: Colo, tmp_path: Path) -> None:
    arguments = ["check", "--qemu", tmp_path / "no-qemu"]
    plain = colo(*arguments)
    assert plain.exit_code == 11
    assert "FAIL  QEMU: no program" in plain.output
    findings = json.loads(colo(*arguments, "--format", "json").stdout)
    assert [f["level"] for f in findings if f["name"] == "QEMU"] == ["FAIL"]


def test_check_of_a_configuration_looks_at_the_deployment_too(colo: Colo, config: Path) -> None:
    findings = json.loads(colo("check", config, "--format", "json").stdout)
    names = {finding["name"] for finding in findings}
    assert {"files", "certificate", "memory", "agent.listen", "witness witness"} <= names


def test_a_guest_cannot_be_built_without_the_core_or_is_built(colo: Colo) -> None:
    assert colo("guest", "build", "--help").exit_code == 0
