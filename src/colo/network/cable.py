"""A cable of two taps: QEMU at the near end, the relay at the far one (docs/decisions/0020).

QEMU offers a guest offloads on a tap only, and a tap's other end is the kernel. So there are two, and what
arrives in one is redirected into the other before the host's network sees it (act_mirred at the ingress
hook): 64 KiB segments pass uncut. With no queueing discipline a redirected frame stands in the other tap's
queue when the write that sent it returns, so whoever stopped the writer can read all that it wrote.

Source: tc-mirred(8), tc-u32(8), drivers/net/tun.c of the Linux kernel (`tun_get_user`, `tun_net_xmit`).
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from typing import Any

import anyio
from attrs import frozen
from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from colo.errors import CapabilityError
from colo.network.tap import open_device, open_header_device, silence_ipv6

_NEAR, _FAR = "colonear%d", "colofar%d"
_TUNGETIFF = 0x800454D2
_INGRESS = 0xFFFF0000  # the handle of the ingress hook
_ALL_PROTOCOLS = 0x0003
_ANY_FRAME = "0x0/0x0+0"
_RPS = Path("/proc/sys/net/core/rps_default_mask")
_HINT = (
    "run as root or give CAP_NET_ADMIN; the kernel needs sch_ingress, cls_u32 and act_mirred: "
    'modprobe them, or use backend = "stream"'
)


@frozen
class Cable:
    """Both ends. They are gone when the last process has closed its descriptors of them."""

    near: int
    """For QEMU (`-netdev tap,fd=`), which sets it up. Readable while QEMU has not read everything."""
    far: int
    """One frame per read and write, virtio's header of 12 bytes before it. Non-blocking."""

    def close(self) -> None:
        """Close our descriptors."""
        os.close(self.near)
        os.close(self.far)


async def open_cable(deadline_s: float = 5.0) -> Cable:
    """Make both taps, connect them, bring them up. CapabilityError says what is missing."""
    _refuse_steering(_RPS)
    near = open_device(_NEAR, headers=True)
    try:
        cable = Cable(near, open_header_device(_FAR, offloads=True))
    except BaseException:
        os.close(near)
        raise
    try:
        with anyio.fail_after(deadline_s):
            await _connect(_name(cable.near), _name(cable.far))
    except (NetlinkError, TimeoutError) as e:
        cable.close()
        raise CapabilityError(f"cannot connect two taps: {e or 'no answer from the kernel'}", _HINT) from e
    except BaseException:
        cable.close()
        raise
    return cable


def _refuse_steering(mask: Path) -> None:
    """With it another CPU would deliver a frame after the write that sent it has returned."""
    if mask.exists() and int(mask.read_text().replace(",", ""), 16):
        raise CapabilityError(
            "new network devices get receive packet steering, which would reorder a cut",
            'sysctl -w net.core.rps_default_mask=0, or use backend = "stream"',
        )


def _name(fd: int) -> str:
    answer = fcntl.ioctl(fd, _TUNGETIFF, bytes(40))
    return struct.unpack_from("16s", answer)[0].rstrip(b"\0").decode()  # type: ignore[no-any-return]


async def _connect(near: str, far: str) -> None:
    async with AsyncIPRoute() as netlink:
        (one,) = await netlink.link_lookup(ifname=near)
        (other,) = await netlink.link_lookup(ifname=far)
        for port, opposite in ((one, other), (other, one)):
            await silence_ipv6(netlink, port)
            await netlink.tc("add", "noqueue", port)
            await netlink.tc("add", "ingress", port, _INGRESS)
            await netlink.tc("add-filter", "u32", port, **_redirect(opposite))
        for port in (one, other):
            await netlink.link("set", index=port, state="up")


def _redirect(to: int) -> dict[str, Any]:
    """A filter that takes every frame and sends it out of another device."""
    action = {"kind": "mirred", "direction": "egress", "action": "redirect", "ifindex": to}
    return {
        "parent": _INGRESS,
        "protocol": _ALL_PROTOCOLS,
        "prio": 1,
        "target": 0,
        "keys": [_ANY_FRAME],
        "action": action,
    }
