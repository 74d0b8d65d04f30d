"""The command lines and objects of an x-colo pair, after QEMU's docs/COLO-FT.txt; why so where that leaves a
choice: docs/decisions/0028. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from colo.guest import GUEST_APPEND
from colo.lab.pair import MANAGEMENT
from colo.lab.settings import GUEST_ADDRESS, GUEST_ADDRESS6, GUEST_MAC

if TYPE_CHECKING:
    from pathlib import Path

    from colo.lab.pair import Guest

TAP = "xcolo0"
MACHINE = "pc"
_MIRROR_PORT, _COMPARE_PORT = 9003, 9004
_OFFLOADS = (
    *("csum", "gso", "guest_csum", "guest_tso4", "guest_tso6", "guest_ecn", "guest_ufo"),
    *("host_tso4", "host_tso6", "host_ecn", "host_ufo", "ctrl_guest_offloads"),
)
COMPARE_TIMEOUT_MS, COMPARE_SCAN_MS = 1000, 100
_UNLIMITED = 1 << 40  # bytes/s
ODD_KIB = 8
"""More RAM than a multiple of 256 KiB: QEMU then looks for written pages one by one, and misses none."""


def primary(guest: Guest, memory_kib: int, folder: Path) -> tuple[str, ...]:
    """Boots the guest at once; its filters come with `primary_objects`."""
    compared, released = folder / "compared", folder / "released"
    return (
        *_machine(guest, memory_kib, folder / "primary.qmp", folder / "primary.console"),
        *_listener("mirror", _MIRROR_PORT),
        *_listener("replica", _COMPARE_PORT),
        *("-chardev", f"socket,id=compared,path={compared},server=on,wait=off"),
        *("-chardev", f"socket,id=compared-in,path={compared}"),
        *("-chardev", f"socket,id=released,path={released},server=on,wait=off"),
        *("-chardev", f"socket,id=released-out,path={released}"),
        *("-object", "iothread,id=comparing"),
    )


def secondary(guest: Guest, memory_kib: int, folder: Path) -> tuple[str, ...]:
    """Waits for `migrate-incoming`."""
    return (
        *_machine(guest, memory_kib, folder / "secondary.qmp", folder / "secondary.console"),
        *_connection("to-guest", _MIRROR_PORT),
        *_connection("from-guest", _COMPARE_PORT),
        *_object("filter-redirector,id=in,netdev=n0,queue=tx,indev=to-guest"),
        *_object("filter-redirector,id=out,netdev=n0,queue=rx,outdev=from-guest"),
        *_object("filter-rewriter,id=rewriter,netdev=n0,queue=all"),
        *("-incoming", "defer"),
    )


def primary_objects() -> tuple[dict[str, Any], ...]:
    """Arguments of `object-add`, in this order."""
    header = {"vnet_hdr_support": True}
    card = {"netdev": "n0", **header}
    return (
        {"qom-type": "filter-mirror", "id": "mirroring", "queue": "tx", "outdev": "mirror", **card},
        {"qom-type": "filter-redirector", "id": "letting", "queue": "rx", "indev": "released", **card},
        {"qom-type": "filter-redirector", "id": "taking", "queue": "rx", "outdev": "compared", **card},
        {
            "qom-type": "colo-compare",
            "id": "comparison",
            "primary_in": "compared-in",
            "secondary_in": "replica",
            "outdev": "released-out",
            "iothread": "comparing",
            "compare_timeout": COMPARE_TIMEOUT_MS,
            "expired_scan_cycle": COMPARE_SCAN_MS,
            **header,
        },
    )


def settings(period_ms: int) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Commands for both sides: no limit of the bandwidth, where QEMU's default is 128 MiB/s."""
    x_colo = {"capabilities": [{"capability": "x-colo", "state": True}]}
    return (
        ("migrate-set-capabilities", x_colo),
        ("migrate-set-parameters", {"x-checkpoint-delay": period_ms, "max-bandwidth": _UNLIMITED}),
    )


def _machine(guest: Guest, memory_kib: int, control: Path, console: Path) -> tuple[str, ...]:
    card = f"virtio-net-pci,netdev=n0,mac={GUEST_MAC},guest_announce=off,romfile="
    without = "".join(f",{name}=off" for name in _OFFLOADS)
    return (
        *(str(guest.qemu), "-nodefaults", "-no-user-config", "-display", "none", "-m", f"{memory_kib}K"),
        *("-machine", f"{MACHINE},vmport=off,usb=off,suppress-vmdesc=on", "-accel", "tcg"),
        *("-cpu", "qemu64,svm=off,vmx=off,rdrand=off,rdseed=off,invtsc=off", "-rtc", "base=utc,clock=vm"),
        *("-kernel", str(guest.kernel), "-initrd", str(guest.initrd)),
        *("-append", f"{GUEST_APPEND} colo.ip={GUEST_ADDRESS}/24 colo.ipv6={GUEST_ADDRESS6}/64"),
        *("-chardev", f"file,id=console,path={console}", "-serial", "chardev:console"),
        *("-qmp", f"unix:{control},server=on,wait=off"),
        *("-netdev", f"tap,id=n0,ifname={TAP},script=no,downscript=no,vnet_hdr=on"),
        *("-device", f"{card}{without}"),
    )


def _listener(name: str, port: int) -> tuple[str, str]:
    where = f"host={MANAGEMENT['alpha']},port={port},nodelay=on"
    return ("-chardev", f"socket,id={name},{where},server=on,wait=off")


def _connection(name: str, port: int) -> tuple[str, str]:
    return ("-chardev", f"socket,id={name},host={MANAGEMENT['alpha']},port={port},nodelay=on")


def _object(description: str) -> tuple[str, str]:
    return ("-object", f"{description},vnet_hdr_support=on")
