"""`colo demo`: watch a VM outlive its host, on one machine."""

from __future__ import annotations

from pathlib import Path

import click

from colo.errors import CapabilityError, ColoError


@click.command()
@click.option(
    "--qemu",
    default="qemu-system-x86_64",
    envvar="COLO_QEMU",
    show_default=True,
    help="QEMU to use, 7.2 or newer: a program or a path.",
)
@click.option(
    "--guest",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("guest"),
    show_default=True,
    help="Folder of the demo guest (colo guest build).",
)
@click.option(
    "--seconds", default=8.0, show_default=True, help="How long clients work before the host is killed."
)
def command(qemu: str, guest: Path, seconds: float) -> None:
    """Boot a guest, protect it, kill its host under load, and check that no client noticed.

    Two agents and a witness run as separate processes in network namespaces of this machine: needs root, or
    a user namespace that may open /dev/net/tun. Exit code 0 only if every client got every byte, in order,
    once.
    """
    import anyio

    from colo.demo.demo import Plan, run
    from colo.demo.privilege import gain
    from colo.demo.show import Show
    from colo.hypervisor.probe import probe
    from colo.lab.pair import Guest

    kernel, initrd = guest / "vmlinuz", guest / "initramfs"
    if not kernel.exists() or not initrd.exists():
        raise CapabilityError(f"there is no guest in {guest}", f"build it: colo guest build --output {guest}")
    gain()
    program = anyio.run(probe, qemu)
    report = anyio.run(
        run, Guest(kernel.resolve(), initrd.resolve(), Path(program.path)), Plan(before_s=seconds), Show()
    )
    if report.problems:
        raise ColoError("a client noticed the failover", "the lines above say which and what")
