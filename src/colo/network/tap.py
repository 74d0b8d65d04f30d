"""A tap device on a bridge: the VM's place in the host's network.

The device is not persistent: it lives as long as its file descriptor, so a dead agent leaves none behind. It
carries Ethernet frames without packet information (IFF_NO_PI), each with virtio's header before it. What is
written may be left to the kernel to cut and to sum; what is read is whole, but for a tap with offloads.

Source: Documentation/networking/tuntap.rst and include/uapi/linux/if_tun.h of the Linux kernel.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path

import anyio
from attrs import frozen
from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from colo.errors import CapabilityError

_TUN = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
_TUNSETOFFLOAD, _TUNSETVNETHDRSZ, _TUNSETVNETLE = 0x400454D0, 0x400454D8, 0x400454DC
_VNET_HEADER = 12  # of virtio 1.0; little-endian
# TUN_F_CSUM, TSO4, TSO6, TSO_ECN. Not UDP's: one frame is one datagram to whoever compares them.
_OFFLOADS = 0x01 | 0x02 | 0x04 | 0x08
_NAME_MAX = 15
# The host's own IPv6 must not speak into the guest's wire (router solicitations, MLD): no link-local address.
_IN6_ADDR_GEN_MODE_NONE = 1


@frozen
class Tap:
    """An open tap: `fd` is non-blocking, one frame per read and write; `mtu` in bytes, without headers."""

    name: str
    fd: int
    mtu: int

    def close(self) -> None:
        """Give the device back; the kernel removes it with its last descriptor."""
        os.close(self.fd)


async def open_tap(name: str, bridge: str, *, offloads: bool = False, deadline_s: float = 5.0) -> Tap:
    """Create the tap `name`, give it the bridge's MTU, attach it and bring it up.

    Each frame has virtio's header of 12 bytes. CapabilityError says what is missing: the device node, the
    right, the bridge, or the name.
    """
    if not name or len(name.encode()) > _NAME_MAX:
        raise CapabilityError(f"tap name {name!r} is too long", f"use 1 to {_NAME_MAX} characters")
    fd = open_header_device(name, offloads=offloads)
    try:
        with anyio.fail_after(deadline_s):
            mtu = await _attach(name, bridge)
    except TimeoutError as e:
        os.close(fd)
        raise CapabilityError(f"the kernel did not attach {name!r} in {deadline_s:g} s", "see dmesg") from e
    except BaseException:
        os.close(fd)
        raise
    return Tap(name, fd, mtu)


def open_header_device(name: str, *, offloads: bool) -> int:
    """As `open_device`, with virtio's header before each frame (12 bytes, little-endian); with `offloads`,
    what is read may have to be cut and summed.
    """
    fd = open_device(name, headers=True)
    try:
        fcntl.ioctl(fd, _TUNSETVNETHDRSZ, struct.pack("i", _VNET_HEADER))
        fcntl.ioctl(fd, _TUNSETVNETLE, struct.pack("i", 1))
        fcntl.ioctl(fd, _TUNSETOFFLOAD, _OFFLOADS if offloads else 0)
    except OSError as e:
        os.close(fd)
        raise CapabilityError(
            f"the kernel refuses virtio's header or offloads on a tap: {e.strerror}", "it is older than 4.4"
        ) from e
    return fd


def open_device(name: str, *, headers: bool = False) -> int:
    """The descriptor of a new tap, neither up nor attached. A `name` with %d gets a number.

    `headers`: with those of virtio, as whoever uses it will set them up.
    """
    flags = _IFF_TAP | _IFF_NO_PI | (_IFF_VNET_HDR if headers else 0)
    try:
        fd = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as e:
        raise _no_device(e) from e
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    except OSError as e:
        os.close(fd)
        raise _no_tap(name, e) from e
    return fd


async def _attach(name: str, bridge: str) -> int:
    try:
        async with AsyncIPRoute() as netlink:
            index, mtu = await _find_bridge(netlink, bridge)
            (port,) = await netlink.link_lookup(ifname=name)
            await silence_ipv6(netlink, port)
            await netlink.link("set", index=port, mtu=mtu, master=index)
            await netlink.link("set", index=port, state="up")
    except NetlinkError as e:
        raise _no_attach(name, bridge, e) from e
    return mtu


async def _find_bridge(netlink: AsyncIPRoute, bridge: str) -> tuple[int, int]:
    found = await netlink.link_lookup(ifname=bridge)
    if not found:
        raise CapabilityError(
            f"there is no bridge {bridge!r} on this host",
            f"make it: ip link add {bridge} type bridge && ip link set {bridge} up",
        )
    (link,) = await netlink.link("get", index=found[0])
    info = link.get_attr("IFLA_LINKINFO")
    if info is None or info.get_attr("IFLA_INFO_KIND") != "bridge":
        raise CapabilityError(f"{bridge!r} is a network device, but no bridge", "name a bridge as the uplink")
    return found[0], int(link.get_attr("IFLA_MTU"))


async def silence_ipv6(netlink: AsyncIPRoute, port: int) -> None:
    """The host's own IPv6 gets no address there, and so says nothing."""
    inet6 = {"attrs": [["IFLA_INET6_ADDR_GEN_MODE", _IN6_ADDR_GEN_MODE_NONE]]}
    try:
        await netlink.link("set", index=port, IFLA_AF_SPEC={"attrs": [["AF_INET6", inet6]]})
    except NetlinkError as e:
        if e.code not in {errno.EAFNOSUPPORT, errno.EOPNOTSUPP, errno.EINVAL}:
            raise  # those three: this host has no IPv6, and so nothing to silence


def _no_device(error: OSError) -> CapabilityError:
    hint = {
        errno.ENOENT: "load the module: modprobe tun",
        errno.ENODEV: "load the module: modprobe tun",
        errno.ENXIO: "load the module: modprobe tun",
    }.get(error.errno or 0, f"give the user that runs colo access to {_TUN}")
    return CapabilityError(f"cannot open {_TUN}: {error.strerror}", hint)


def _no_tap(name: str, error: OSError) -> CapabilityError:
    hint = {
        errno.EPERM: "run as root or give CAP_NET_ADMIN",
        errno.EBUSY: "another process has this device open: is an agent running already?",
        errno.EINVAL: "a device of another kind has this name: choose another",
    }.get(error.errno or 0, "see dmesg")
    return CapabilityError(f"cannot create the tap device {name!r}: {error.strerror}", hint)


def _no_attach(name: str, bridge: str, error: NetlinkError) -> CapabilityError:
    hint = (
        "run as root or give CAP_NET_ADMIN" if error.code == errno.EPERM else f"see: ip -d link show {bridge}"
    )
    why = os.strerror(error.code)
    return CapabilityError(f"cannot attach the tap {name!r} to the bridge {bridge!r}: {why}", hint)
