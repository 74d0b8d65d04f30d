from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import attrs
import pytest

from colo.config import NicConfig, TapUplink, UnixUplink, VmConfig
from colo.hypervisor.command import Inherited, command_line
from colo.hypervisor.probe import QemuProgram

_CARD = NicConfig("52:54:00:c0:10:01", UnixUplink(Path("/x")))
_VM = VmConfig(name="web", memory_mib=256, nic=(_CARD, attrs.evolve(_CARD, mac="52:54:00:c0:10:02")))
_TAP_CARD = NicConfig("52:54:00:c0:10:03", TapUplink("colo0", "br0"), "tap")
_QEMU = QemuProgram("qemu", (7, 2, 22), frozenset({"tcg"}))
_INHERITED = Inherited(7, (8, 9), Path("/mem/colo,vm/ram"))


def _pairs(vm: VmConfig) -> list[tuple[str, str]]:
    words = command_line(_QEMU, vm, "tcg", _INHERITED)
    return list(pairwise(words))


def test_memory_is_a_shared_file_whose_path_may_hold_a_comma() -> None:
    backend = "memory-backend-file,id=ram,size=256M,mem-path=/mem/colo,,vm/ram,share=on"
    assert ("-object", backend) in _pairs(_VM)
    assert ("-m", "256M") in _pairs(_VM)


def test_every_card_has_its_own_inherited_socket_and_no_boot_rom() -> None:
    pairs = _pairs(_VM)
    for number, fd in ((0, 8), (1, 9)):
        assert ("-netdev", f"stream,id=n{number},server=on,addr.type=fd,addr.str={fd}") in pairs
    devices = [value for option, value in pairs if option == "-device"]
    assert len(devices) == 2
    assert all(device.endswith(",romfile=") for device in devices)


@pytest.mark.parametrize(("version", "uso"), [((7, 2, 22), False), ((8, 2, 0), True), ((10, 0, 2), True)])
def test_a_card_with_offloads_inherits_a_tap_and_has_none_for_udp(
    version: tuple[int, int, int], *, uso: bool
) -> None:
    vm = attrs.evolve(_VM, nic=(_CARD, _TAP_CARD))
    pairs = list(pairwise(command_line(attrs.evolve(_QEMU, version=version), vm, "tcg", _INHERITED)))
    assert ("-netdev", "stream,id=n0,server=on,addr.type=fd,addr.str=8") in pairs
    assert ("-netdev", "tap,id=n1,fd=9") in pairs
    stream, tap = (set(value.split(",")) for option, value in pairs if option == "-device")
    assert not any("ufo" in word for word in stream)
    assert {"host_ufo=off", "guest_ufo=off"} <= tap
    assert ({"host_uso=off", "guest_uso4=off", "guest_uso6=off"} <= tap) == uso


def test_the_vm_starts_stopped_and_stays_when_it_powers_off() -> None:
    words = command_line(_QEMU, _VM, "tcg", _INHERITED)
    assert {"-S", "-no-shutdown", "-nodefaults", "-no-user-config"} <= set(words)


def test_the_guests_clock_stands_still_with_it() -> None:
    """So both copies read the same after a load; docs/operations.md says what the guest does about it."""
    assert ("-rtc", "base=utc,clock=vm") in _pairs(_VM)


def test_flash_of_the_firmware_is_only_read_and_that_of_its_variables_is_each_hosts_own() -> None:
    vm = attrs.evolve(_VM, machine="pc", firmware=Path("/f/code,1"), firmware_vars=Path("/f/vars"))
    pairs = _pairs(vm)
    code = "driver=raw,node-name=firmware,read-only=on,file.driver=file,file.filename=/f/code,,1"
    variables = "driver=raw,node-name=firmware-vars,read-only=off,file.driver=file,file.filename=/f/vars"
    assert {("-blockdev", code), ("-blockdev", variables)} <= set(pairs)
    assert dict(pairs)["-machine"].endswith(",pflash0=firmware,pflash1=firmware-vars")


def test_a_microvm_has_the_cards_of_the_other_machines() -> None:
    machine = dict(_pairs(attrs.evolve(_VM, machine="microvm")))["-machine"]
    assert "pcie=on" in machine
    assert "vmport" not in machine


def test_cpu_features_that_cannot_be_carried_are_off() -> None:
    cpu = dict(_pairs(attrs.evolve(_VM, cpu="max")))["-cpu"]
    assert cpu.startswith("max,")
    assert {"rdrand=off", "rdseed=off", "invtsc=off", "vmx=off", "svm=off"} <= set(cpu.split(","))


def test_a_kernel_comes_with_its_arguments_and_extra_comes_last() -> None:
    vm = attrs.evolve(
        _VM, kernel=Path("/k"), initrd=Path("/i"), append="console=ttyS0 quiet", extra=("-vga", "std")
    )
    words = command_line(_QEMU, vm, "kvm", _INHERITED)
    pairs = list(pairwise(words))
    assert {("-kernel", "/k"), ("-initrd", "/i"), ("-append", "console=ttyS0 quiet")} <= set(pairs)
    assert words[-2:] == ("-vga", "std")
