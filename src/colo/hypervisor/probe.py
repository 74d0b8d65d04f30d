"""Finds QEMU on this machine: which program, which version, which accelerators."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import anyio
import attrs

from colo.errors import QemuError

OLDEST = (7, 2)
_DEADLINE_S = 10.0
_VERSION = re.compile(r"emulator version (\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?")
_INSTALL = "install QEMU 7.2 or newer (Debian: qemu-system-x86), or name its program as vm.qemu"


@attrs.frozen
class QemuProgram:
    """A QEMU that can be used."""

    path: str
    version: tuple[int, int, int]
    accels: frozenset[str]

    @property
    def version_text(self) -> str:
        """As people write it: `7.2.22`."""
        return ".".join(map(str, self.version))


async def probe(program: str) -> QemuProgram:
    """Find `program` (a name on PATH or a path).

    Raises `QemuError` when it is missing, no QEMU, or too old.
    """
    path = shutil.which(program)
    if path is None:
        raise QemuError(f"no program {program!r}", _INSTALL)
    text = await _output(path, "--version")
    found = _VERSION.search(text)
    if found is None:
        raise QemuError(f"{path} does not say that it is QEMU: {text[:200]!r}", _INSTALL)
    version = (int(found[1]), int(found[2]), int(found[3] or 0))
    if version < OLDEST:
        raise QemuError(
            f"{path} is version {found[1]}.{found[2]}, too old (-netdev stream came with 7.2)", _INSTALL
        )
    listed = await _output(path, "-accel", "help")
    return QemuProgram(path, version, frozenset(listed.split()) & {"kvm", "tcg"})


async def _output(path: str, *arguments: str) -> str:
    try:
        with anyio.fail_after(_DEADLINE_S):
            done = await anyio.run_process([path, *arguments], check=False, start_new_session=True)
    except TimeoutError as error:
        raise QemuError(f"{path} {arguments[0]} gave no answer within {_DEADLINE_S:g} s", _INSTALL) from error
    except OSError as error:
        raise QemuError(f"{path} cannot be started: {error.strerror}", _INSTALL) from error
    output = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-200:]
        raise QemuError(
            f"{path} {arguments[0]} failed with status {done.returncode}: {said or output[-200:]}", _INSTALL
        )
    return output


def kvm_refusal(device: Path = Path("/dev/kvm"), cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """Why KVM must not be used here, or None.

    The device alone proves nothing: there are machines where it opens and a stock Linux guest cannot run,
    so the CPU must show virtualisation as well.
    """
    if not re.search(r"^flags\s*:.*\b(vmx|svm)\b", cpuinfo.read_text(), re.MULTILINE):
        return f"the CPU shows neither vmx nor svm ({cpuinfo})"
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{device}: {error.strerror}"
    return None


def choose_accel(wanted: str, program: QemuProgram) -> str:
    """`kvm` or `tcg` for a wish of `auto`, `kvm` or `tcg`. Raises `QemuError` when the wish cannot be met."""
    refusal = kvm_refusal() if "kvm" in program.accels else f"{program.path} was built without it"
    if wanted == "kvm" and refusal:
        raise QemuError(
            f"KVM cannot be used: {refusal}", 'set vm.accel = "tcg", or enable virtualisation on this host'
        )
    if wanted == "kvm" or (wanted == "auto" and refusal is None):
        return "kvm"
    if "tcg" not in program.accels:
        raise QemuError(f"{program.path} was built without TCG, and KVM cannot be used: {refusal}", _INSTALL)
    return "tcg"
