"""QEMU: finding it, starting it, talking to it, taking the VM's state out of it and putting one in."""

from colo.hypervisor.errors import QemuDiedError, QmpRefusedError, QmpTimeoutError
from colo.hypervisor.hypervisor import Hooks, Hypervisor
from colo.hypervisor.inventory import Inventory
from colo.hypervisor.leftover import end_leftover
from colo.hypervisor.probe import QemuProgram, choose_accel, kvm_refusal, probe
from colo.hypervisor.qmp_events import QemuEvent
from colo.hypervisor.trial import Platform, try_out
from colo.hypervisor.uffd import UffdSource

__all__ = [
    "Hooks",
    "Hypervisor",
    "Inventory",
    "Platform",
    "QemuDiedError",
    "QemuEvent",
    "QemuProgram",
    "QmpRefusedError",
    "QmpTimeoutError",
    "UffdSource",
    "choose_accel",
    "end_leftover",
    "kvm_refusal",
    "probe",
    "try_out",
]
