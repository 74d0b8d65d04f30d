"""The command line of QEMU for a VM. Pure: a description in, arguments out.

See https://www.qemu.org/docs/master/system/invocation.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from pathlib import Path

    from colo.config import NicConfig, VmConfig

CONSOLE_BYTES = 1 << 16
"""Size of the serial console's ring buffer: a guest that prints for ever fills nothing."""

# CPU features whose results or state a checkpoint cannot carry.
_NEVER = "svm=off,vmx=off,rdrand=off,rdseed=off,invtsc=off"


@attrs.frozen
class Inherited:
    """What QEMU finds when it starts: descriptors of listening unix sockets, the file for its RAM."""

    qmp_fd: int
    nic_fds: tuple[int, ...]
    ram: Path


def command_line(program: str, vm: VmConfig, accel: str, inherited: Inherited) -> tuple[str, ...]:
    """Arguments for `exec`, the program first. The VM starts stopped; when it powers off, the process stays.

    The sockets are inherited rather than named: they accept connections before QEMU runs, so nobody has to
    poll.
    """
    return (
        program,
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-shutdown", "-S"),
        *("-name", vm.name),
        *_memory(vm, inherited.ram),
        *("-machine", f"{vm.machine},memory-backend=ram,suppress-vmdesc=on,vmport=off,usb=off"),
        *("-accel", accel),
        *("-cpu", f"{vm.cpu},{_NEVER}"),
        *("-smp", str(vm.cpus)),
        *("-rtc", "base=utc,clock=vm"),
        *(
            "-chardev",
            f"socket,id=qmp,fd={inherited.qmp_fd},server=on,wait=off",
            "-mon",
            "chardev=qmp,mode=control",
        ),
        *("-chardev", f"ringbuf,id=console,size={CONSOLE_BYTES}", "-serial", "chardev:console"),
        *_linux(vm),
        *(word for i, nic in enumerate(vm.nic) for word in _card(i, nic, inherited.nic_fds[i])),
        *vm.extra,
    )


def escaped(path: Path) -> str:
    """A path as a value of QEMU's option syntax, where a comma is written twice."""
    return str(path).replace(",", ",,")


def _memory(vm: VmConfig, ram: Path) -> tuple[str, ...]:
    # A file, not a memfd: QEMU 10 does not skip memory-backend-memfd with x-ignore-shared.
    backend = f"memory-backend-file,id=ram,size={vm.memory_mib}M,mem-path={escaped(ram)},share=on,prealloc=on"
    return ("-m", f"{vm.memory_mib}M", "-object", backend)


def _linux(vm: VmConfig) -> tuple[str, ...]:
    arguments: tuple[str, ...] = ()
    if vm.kernel:
        arguments += ("-kernel", str(vm.kernel))
    if vm.initrd:
        arguments += ("-initrd", str(vm.initrd))
    if vm.append:
        arguments += ("-append", vm.append)
    return arguments


def _card(number: int, nic: NicConfig, listening_fd: int) -> tuple[str, ...]:
    # romfile= : the boot ROM would travel with every checkpoint. guest_announce=off: docs/decisions/0011.
    return (
        *("-netdev", f"stream,id=n{number},server=on,addr.type=fd,addr.str={listening_fd}"),
        *(
            "-device",
            f"virtio-net-pci,id=nic{number},netdev=n{number},mac={nic.mac},guest_announce=off,romfile=",
        ),
    )
