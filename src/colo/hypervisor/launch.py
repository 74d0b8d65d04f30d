"""From a VM's description to a running QEMU: folder, memory, sockets, shim, process, pid file."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import attrs

from colo.errors import StateFolderError
from colo.hypervisor.command import Inherited, command_line
from colo.hypervisor.leftover import end_leftover, remove_pid_file, write_pid_file
from colo.hypervisor.process import QemuProcess
from colo.hypervisor.scratch import MIB, Scratch, make_scratch
from colo.hypervisor.sockets import connect, listen, make_run_dir
from colo.hypervisor.uffd import SHIM_NAME, environment

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from pathlib import Path

    from colo.config import VmConfig
    from colo.hypervisor.probe import QemuProgram

_UFFD_SOCKET = "uffd.sock"


@attrs.frozen
class Launched:
    """A QEMU that has just been started."""

    process: QemuProcess
    scratch: Scratch
    control: socket.socket
    """Connected to its monitor, though QEMU may not have accepted yet."""
    uffd_listener: socket.socket | None
    """Where the shim connects; None without a shim."""


def nic_path(run_dir: Path, number: int) -> Path:
    """The socket on which QEMU listens for the peer of a network card."""
    return run_dir / f"nic{number}.sock"


def qmp_path(run_dir: Path) -> Path:
    """The socket of QEMU's monitor."""
    return run_dir / "qmp.sock"


def launch(
    vm: VmConfig,
    run_dir: Path,
    program: QemuProgram,
    accel: str,
    shim: bytes | None,
    taps: Mapping[int, int],
    undo: ExitStack,
) -> Launched:
    """Start QEMU, first ending one that an earlier agent left in `run_dir`. `taps` are those of the cards
    with offloads, by number.

    What must be removed once QEMU is gone is registered
    with `undo`.
    """
    try:
        return _launch(vm, run_dir, program, accel, shim, taps, undo)
    except OSError as error:
        raise StateFolderError(f"{run_dir}: {error.strerror or error}", "see agent.run_dir") from error


def _launch(
    vm: VmConfig,
    run_dir: Path,
    program: QemuProgram,
    accel: str,
    shim: bytes | None,
    taps: Mapping[int, int],
    undo: ExitStack,
) -> Launched:
    make_run_dir(run_dir)
    end_leftover(run_dir)
    scratch = make_scratch(run_dir, vm.memory_mib * MIB)
    undo.callback(scratch.close)
    with ExitStack() as listening:
        qmp = _listen(qmp_path(run_dir), undo, listening)
        sockets = {
            i: _listen(nic_path(run_dir, i), undo, listening).fileno()
            for i, nic in enumerate(vm.nic)
            if not nic.has_offloads
        }
        nics = {**sockets, **taps}
        fds = (qmp.fileno(), *(nics[i] for i in range(len(vm.nic))))
        control = connect(qmp_path(run_dir))
        undo.callback(control.close)
        extra_environment, uffd_listener = _shim(run_dir, shim, undo)
        inherited = Inherited(fds[0], fds[1:], scratch.ram_path)
        process = QemuProcess.start(command_line(program, vm, accel, inherited), extra_environment, fds)
    # Our copies of the listening sockets are closed now: from here on the death of QEMU shows as end of file.
    undo.callback(remove_pid_file, run_dir)
    try:
        write_pid_file(run_dir, process.pid, scratch.folder)
    except BaseException:
        process.kill_now()  # nobody would ever find it again
        raise
    return Launched(process, scratch, control, uffd_listener)


def _listen(path: Path, undo: ExitStack, listening: ExitStack) -> socket.socket:
    undo.callback(path.unlink, missing_ok=True)
    return listening.enter_context(listen(path))


def _shim(run_dir: Path, shim: bytes | None, undo: ExitStack) -> tuple[dict[str, str], socket.socket | None]:
    """Put the shim where QEMU can load it, and listen for it."""
    if shim is None:
        return {}, None
    file, path = run_dir / SHIM_NAME, run_dir / _UFFD_SOCKET
    undo.callback(file.unlink, missing_ok=True)
    file.write_bytes(shim)
    undo.callback(path.unlink, missing_ok=True)
    listener = undo.enter_context(listen(path))
    return environment(file, path), listener
