from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colo.errors import QemuError
from colo.hypervisor import QemuProgram, choose_accel, kvm_refusal, probe
from colo.hypervisor.probe import OLDEST

if TYPE_CHECKING:
    from pathlib import Path


def _script(folder: Path, body: str) -> str:
    path = folder / "qemu"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.anyio
async def test_a_real_qemu_tells_its_version_and_accelerators(qemu: Path) -> None:
    found = await probe(str(qemu))
    assert found.version[:2] >= OLDEST
    assert found.version_text.startswith(qemu.parent.name) or qemu.parent.name == "newest"
    assert "tcg" in found.accels


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("echo QEMU emulator version 6.0.1", "version 6.0, too old"),
        ("echo QEMU emulator version 7.1.9", "version 7.1, too old"),
        ("echo hello", "does not say that it is QEMU"),
        ("echo broken library >&2; exit 127", "broken library"),
    ],
)
async def test_what_cannot_be_used_is_refused_with_what_to_do(tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(QemuError, match=said) as caught:
        await probe(_script(tmp_path, body))
    assert "install QEMU 7.2" in caught.value.hint


@pytest.mark.anyio
async def test_a_missing_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QemuError, match="no program"):
        await probe(str(tmp_path / "qemu"))


@pytest.mark.parametrize(
    ("flags", "device", "refused"),
    [
        ("fpu vmx sse", "kvm", None),
        ("fpu svm", "kvm", None),
        ("fpu svm", "missing", "No such file"),
        ("fpu hypervisor", "kvm", "neither vmx nor svm"),
        ("fpu svm_lock vmxnet", "kvm", "neither vmx nor svm"),
    ],
)
def test_kvm_needs_the_device_and_the_cpu(
    tmp_path: Path, flags: str, device: str, refused: str | None
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(
        f"processor\t: 0\nmodel name\t: a svm vmx thing\nflags\t\t: {flags}\nbugs\t: spectre\n"
    )
    (tmp_path / "kvm").touch()
    answer = kvm_refusal(tmp_path / device, cpuinfo)
    assert (answer is None) if refused is None else (answer is not None and refused in answer)


def test_a_qemu_without_kvm_falls_back_or_refuses() -> None:
    program = QemuProgram("/q", (7, 2, 0), frozenset({"tcg"}))
    assert choose_accel("auto", program) == "tcg"
    assert choose_accel("tcg", program) == "tcg"
    with pytest.raises(QemuError, match="built without it"):
        choose_accel("kvm", program)
