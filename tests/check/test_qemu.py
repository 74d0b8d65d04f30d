from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import evolve

from colo.check import Finding, Level
from colo.check import qemu as check

if TYPE_CHECKING:
    from pathlib import Path

    from colo.config import Config

pytestmark = pytest.mark.anyio


async def found(program: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in await check.findings(None, str(program))}


async def test_a_real_qemu_has_all_that_is_needed(qemu: Path) -> None:
    findings = await found(qemu)
    assert findings["QEMU"].level is Level.OK
    assert findings["QEMU's abilities"].level is Level.OK
    assert findings["accelerator"].level is not Level.FAIL


async def test_without_qemu_what_to_install_and_what_the_machine_could_do(tmp_path: Path) -> None:
    findings = await found(tmp_path / "qemu")
    assert findings.keys() == {"QEMU", "accelerator"}
    assert (findings["QEMU"].level, "install" in findings["QEMU"].hint) == (Level.FAIL, True)


def script(path: Path, body: str) -> Path:
    """A program that calls itself QEMU 7.2, has TCG, and otherwise does `body`."""
    path.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        "--version) echo QEMU emulator version 7.2.0;;\n"
        "-accel) printf 'Accelerators\\ntcg\\n';;\n"
        f"*) {body};;\n"
        "esac\n"
    )
    path.chmod(0o700)
    return path


async def test_a_qemu_that_lacks_abilities_has_them_named(tmp_path: Path) -> None:
    answers = [
        '{"return": {}}',
        '{"return": [{"name": "snapshot-load"}, {"name": "blockdev-create"}]}',
        '{"return": [{"capability": "xbzrle", "state": false}]}',
        '{"error": {"class": "GenericError", "desc": "no such netdev"}}',
        '{"return": {}}',
    ]
    body = "; ".join(f"echo '{line}'" for line in answers)
    finding = (await found(script(tmp_path / "qemu", body)))["QEMU's abilities"]
    assert finding.level is Level.FAIL
    assert finding.message.endswith("lacks snapshot-save, x-ignore-shared, -netdev stream")


@pytest.mark.parametrize(
    "body", ["exit 1", "echo nonsense", "printf '[1]\\n\\377\\n'", "echo oops >&2; exit 3"]
)
async def test_a_session_that_ends_early_is_told(tmp_path: Path, body: str) -> None:
    finding = (await found(script(tmp_path / "qemu", body)))["QEMU's abilities"]
    assert (finding.level, "ended its QMP session early" in finding.message) == (Level.FAIL, True)


async def test_a_session_that_hangs_is_told_after_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("colo.check.qemu._DEADLINE_S", 0.2)
    finding = (await found(script(tmp_path / "qemu", "exec sleep 30")))["QEMU's abilities"]
    assert (finding.level, "did not answer" in finding.message) == (Level.FAIL, True)


async def test_the_machine_of_a_configuration_is_tried(qemu: Path, config: Config) -> None:
    vm = evolve(config.vm, qemu=str(qemu), kernel=None, initrd=None, append="", memory_mib=32, accel="tcg")
    finding = await check.machine(evolve(config, vm=vm))
    assert finding.level is Level.OK, finding.message
    assert "pc-q35-" in finding.message
    balloon = evolve(vm, extra=("-device", "virtio-balloon-pci"))
    finding = await check.machine(evolve(config, vm=balloon))
    assert finding.level is Level.FAIL
    assert "virtio-balloon-pci" in finding.message
