"""The command line of QEMU for a VM. Pure: a description in, arguments out.

See https://www.qemu.org/docs/master/system/invocation.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from pathlib import Path

    from colo.config import NicConfig, VmConfig
    from colo.hypervisor.probe import QemuProgram

FLASH = ("firmware", "firmware-vars")
"""Block nodes that the guest sees as memory: code, which only it reads, and its variables."""
CONSOLE_BYTES = 1 << 16
"""Size of the serial console's ring buffer: a guest that prints for ever fills nothing."""

# What a tap offers for UDP depends on the host's kernel, and a state with it fits no other. 8.2 added some.
_NO_UFO = "host_ufo=off,guest_ufo=off"
_NO_USO = "host_uso=off,guest_uso4=off,guest_uso6=off"
_USO_SINCE = (8, 2)

# CPU features whose results or state a checkpoint cannot carry.
_NEVER = "svm=off,vmx=off,rdrand=off,rdseed=off,invtsc=off"


@attrs.frozen
class Inherited:
    """What QEMU finds when it starts: descriptors of listening sockets and of taps, its RAM's file."""

    qmp_fd: int
    nic_fds: tuple[int, ...]
    """Of each card: its tap if it has offloads, a listening socket otherwise."""
    ram: Path


def command_line(program: QemuProgram, vm: VmConfig, accel: str, inherited: Inherited) -> tuple[str, ...]:
    """Arguments for `exec`, the program first. The VM starts stopped; when it powers off, the process stays.

    The sockets are inherited rather than named: they accept connections before QEMU runs, so nobody has to
    poll.
    """
    return (
        program.path,
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-shutdown", "-S"),
        *("-name", vm.name),
        *_memory(vm, inherited.ram),
        *_machine(vm),
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
        *(word for i, nic in enumerate(vm.nic) for word in _card(program, i, nic, inherited)),
        *vm.extra,
    )


def escaped(path: Path) -> str:
    """A path as a value of QEMU's option syntax, where a comma is written twice."""
    return str(path).replace(",", ",,")


def _memory(vm: VmConfig, ram: Path) -> tuple[str, ...]:
    # A file, not a memfd: QEMU 10 does not skip memory-backend-memfd with x-ignore-shared.
    # Without prealloc: docs/decisions/0030.
    backend = f"memory-backend-file,id=ram,size={vm.memory_mib}M,mem-path={escaped(ram)},share=on"
    return ("-m", f"{vm.memory_mib}M", "-object", backend)


def _machine(vm: VmConfig) -> tuple[str, ...]:
    """With its flash: code that only reads, and variables, each host its own file of them.

    What the guest writes into flash is carried with the device state; the file follows what is loaded.
    """
    # microvm has no PCI of its own accord, and its cards would be other ones than everywhere else.
    kind = "pcie=on" if vm.machine == "microvm" else "vmport=off"
    machine = f"{vm.machine},memory-backend=ram,suppress-vmdesc=on,usb=off,{kind}"
    arguments: tuple[str, ...] = ()
    for unit, (flash, name) in enumerate(zip((vm.firmware, vm.firmware_vars), FLASH, strict=True)):
        if flash:
            machine += f",pflash{unit}={name}"
            read_only = "off" if unit else "on"
            file = f"file.driver=file,file.filename={escaped(flash)}"
            arguments += ("-blockdev", f"driver=raw,node-name={name},read-only={read_only},{file}")
    return (*arguments, "-machine", machine)


def _linux(vm: VmConfig) -> tuple[str, ...]:
    arguments: tuple[str, ...] = ()
    if vm.kernel:
        arguments += ("-kernel", str(vm.kernel))
    if vm.initrd:
        arguments += ("-initrd", str(vm.initrd))
    if vm.append:
        arguments += ("-append", vm.append)
    return arguments


def _card(program: QemuProgram, number: int, nic: NicConfig, inherited: Inherited) -> tuple[str, ...]:
    fd = inherited.nic_fds[number]
    # romfile= : the boot ROM would travel with every checkpoint. guest_announce=off: docs/decisions/0011.
    card = f"virtio-net-pci,id=nic{number},netdev=n{number},mac={nic.mac},guest_announce=off,romfile="
    if not nic.has_offloads:
        return ("-netdev", f"stream,id=n{number},server=on,addr.type=fd,addr.str={fd}", "-device", card)
    without = f"{_NO_UFO},{_NO_USO}" if program.version >= _USO_SINCE else _NO_UFO
    return ("-netdev", f"tap,id=n{number},fd={fd}", "-device", f"{card},{without}")
