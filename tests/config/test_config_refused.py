from __future__ import annotations

import pytest

from colo.config.refused import refusals

REFUSED = [
    "-device virtio-balloon-pci",
    "-device virtio-net-pci,free-page-reporting=on",
    "-device virtio-mem-pci,id=m",
    "-object memory-backend-ram,id=x,size=1G",
    "-device virtio-pmem-pci",
    "-chardev socket,path=/x,id=vhost0",
    "-device vhost-user-fs-pci,tag=x",
    "-device vhost-vsock-pci,guest-cid=3",
    "-device vfio-pci,host=01:00.0",
    "-device ivshmem-plain,memdev=m",
    '-device {"driver":"ivshmem-doorbell"}',
    "-device virtio-9p-pci",
    "-virtfs local",
    "-tpmdev emulator,id=t",
    "-device tpm-tis",
    "-object rng-random,id=r,filename=/dev/urandom",
    "-device virtio-rng-pci",
    "-drive file=nvme://0000:01:00.0/1,readonly=on",
    "-blockdev driver=nvme,device=0000:01:00.0,read-only=on",
    "-drive file=/x.img",
    "-drive file=/x.img,readonly=off",
    "-blockdev driver=file,filename=/x",
    "-hda /x.img",
    "-snapshot",
    "--snapshot",
    "-incoming defer",
    "-netdev user,id=u",
    "-nic none",
    "-machine pc",
    "-M pc",
    "-cpu host",
    "-m 1G",
    "-qmp stdio",
    "-monitor stdio",
    "-serial mon:stdio",
    "-mon chardev=x,mode=control",
    "-gdb tcp::1",
    "-s",
    "-daemonize",
    "-device usb-host",
    "-global cpu,hv-time=on",
    "-icount shift=0",
]
TAKEN = [
    "-device virtio-blk-pci,drive=d",
    "-drive if=none,id=d,readonly=on,file=/srv/strng-balloon.img",
    "-blockdev driver=file,node-name=d,read-only=on,filename=/tpm/vfio",
    '-blockdev {"driver":"file","node-name":"d","read-only": true}',
    "-vga std",
    "-device virtio-scsi-pci",
    "-global virtio-blk-pci.romfile=",
    "-D /var/log/qemu.log",
]


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_be_protected_is_refused_with_a_reason(line: str) -> None:
    assert [reason for _, reason in refusals(tuple(line.split(" ", 1)))]


@pytest.mark.parametrize("line", TAKEN)
def test_what_can_be_protected_is_taken(line: str) -> None:
    assert list(refusals(tuple(line.split(" ", 1)))) == []


def test_the_position_of_each_refused_argument_is_told() -> None:
    arguments = ("-vga", "std", "-snapshot", "-device", "tpm-tis")
    assert [position for position, _ in refusals(arguments)] == [2, 4]
