"""Download throughput by the way a card is plugged in: `python -m bench.nic`.

Unprotected VMs, two side by side, on taps without and with offloads: what the machine gives when nobody
protects anything, for both copies have the same work to do. Then a VM of ours, alone and protected, with
either back end. Each row is the median of downloads that check every byte.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import anyio
import click
from pyroute2 import NetNS

from bench.laboratory import ended, guest, whole
from colo.config import CheckpointConfig
from colo.guest import GUEST_APPEND
from colo.lab.namespaces import BRIDGE, Network
from colo.lab.pair import CLIENT, HOSTS, Guest, Options, Pair, topology
from colo.lab.process import HostProcess
from colo.lab.records import Record, WatchedClient

_WAIT_S = 120.0
_TAP = "plain0"


@click.command()
@click.option("--qemu", default="10.0", help="Version under .cache/qemu.")
@click.option("--count", default=5, help="Downloads per row.")
@click.option("--mib", default=64, help="Size of one.")
@click.option("--memory", default=256, help="Of each VM, MiB.")
def main(qemu: str, count: int, mib: int, memory: int) -> None:
    """Measure each way once."""
    subject = guest(qemu)
    load = ("--count", str(count), "--mib", str(mib))
    for offloads in (False, True):
        rates = _side_by_side(subject, memory, load, offloads=offloads)
        click.echo(f"two unprotected, tap, offloads={offloads}: {rates} MiB/s each")
    for backend in ("stream", "tap"):
        anyio.run(_ours, subject, memory, load, backend)


def _side_by_side(subject: Guest, memory: int, load: tuple[str, ...], *, offloads: bool) -> list[float]:
    """One plain QEMU on each host, both loaded at once; MiB/s of each."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="colo-bench-")))
        network = stack.enter_context(Network(topology()))
        addresses = {host: f"10.77.0.{number}" for number, host in enumerate(HOSTS, 2)}
        for host, address in addresses.items():
            command = _plain(subject, memory, address, offloads=offloads)
            stack.enter_context(HostProcess(network, host, command, folder / f"{host}.log"))
            _join_bridge(network.path(host))

        def client(kind: str, address: str, *arguments: str) -> WatchedClient:
            command = (sys.executable, "-m", "colo.lab.clients", kind, address, *arguments)
            log = folder / f"{kind}-{address}.log"
            return WatchedClient(kind, stack.enter_context(HostProcess(network, CLIENT, command, log)))

        for kind, arguments in (("await-guest", ()), ("download", load)):
            clients = [client(kind, address, *arguments) for address in addresses.values()]
            for one in clients:
                one.process.wait(_WAIT_S)
                one.record.read()
        return [_rate(whole(one.record)) for one in clients]


def _plain(subject: Guest, memory: int, address: str, *, offloads: bool) -> tuple[str, ...]:
    """A QEMU as anyone would start it, with the machine that ours have."""
    header = "on" if offloads else "off"
    return (
        *(str(subject.qemu), "-nodefaults", "-no-user-config", "-display", "none"),
        *("-m", f"{memory}M", "-machine", "q35,vmport=off,usb=off", "-accel", "tcg", "-cpu", "qemu64"),
        *("-kernel", str(subject.kernel), "-initrd", str(subject.initrd), "-serial", "null"),
        *("-append", f"{GUEST_APPEND} colo.ip={address}/24"),
        *("-netdev", f"tap,id=n0,ifname={_TAP},script=no,downscript=no,vnet_hdr={header}"),
        *("-device", f"virtio-net-pci,netdev=n0,mac=52:54:00:c0:20:0{address[-1]},romfile="),
    )


def _join_bridge(namespace: str) -> None:
    deadline = time.monotonic() + _WAIT_S
    with NetNS(namespace) as space:
        bridge = space.link_lookup(ifname=BRIDGE)[0]
        while not (found := space.link_lookup(ifname=_TAP)):
            if time.monotonic() > deadline:
                raise RuntimeError("QEMU does not make its tap")
            time.sleep(0.05)  # nobody tells
        space.link("set", index=found[0], master=bridge, state="up")


def _rate(record: Record) -> float:
    each = record.mib / record.answers
    return round(median(each / (wait / 1000) for wait in record.waits_ms), 1)


async def _ours(subject: Guest, memory: int, load: tuple[str, ...], backend: str) -> None:
    with TemporaryDirectory(prefix="colo-bench-") as folder:
        checkpoint = {"period_ms": CheckpointConfig().period_ms}
        options = Options(backend=backend, vm={"memory_mib": memory}, checkpoint=checkpoint)
        async with Pair(Path(folder), subject, options, boot=True) as pair:
            await pair.guest_answers()
            alone = await _download(pair, "alone", load)
            async for _ in pair.protect(HOSTS[0]):
                pass
            protected = await _download(pair, "protected", load)
            checkpoints = (await pair.status(HOSTS[0])).checkpoints.by_reason
    click.echo(f"ours, {backend}: alone {alone}, protected {protected} MiB/s; checkpoints {checkpoints}")


async def _download(pair: Pair, name: str, load: tuple[str, ...]) -> float:
    return _rate(await ended(pair.client(name, "download", *load)))


if __name__ == "__main__":
    main()
