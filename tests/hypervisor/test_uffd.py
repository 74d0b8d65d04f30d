"""The shim, preloaded into a real QEMU, hands over a userfaultfd of QEMU's own memory."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Start

pytestmark = pytest.mark.anyio
SHIM = Path(__file__).parents[2] / "crates/python/shim/uffd_shim.c"


class Compiled:
    """A source of userfaultfds that needs no `colo._core`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "shim.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self.path, SHIM], check=True)

    def uffd_shim(self) -> bytes:
        return self.path.read_bytes()

    def receive_uffd(self, fd: int, timeout_ms: int) -> tuple[int, int]:
        with socket.socket(fileno=os.dup(fd)) as connection:
            connection.settimeout(timeout_ms / 1000)
            pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            body, fds, _, _ = socket.recv_fds(connection, 4, 1)
        if errno := struct.unpack("i", body)[0]:
            raise OSError(errno, os.strerror(errno))
        return fds[0], pid


class SomebodyElse(Compiled):
    def receive_uffd(self, fd: int, timeout_ms: int) -> tuple[int, int]:
        uffd, _ = super().receive_uffd(fd, timeout_ms)
        return uffd, os.getpid()


class Unable(Compiled):
    def receive_uffd(self, fd: int, timeout_ms: int) -> tuple[int, int]:
        uffd, _ = super().receive_uffd(fd, timeout_ms)
        os.close(uffd)
        raise PermissionError(1, "Operation not permitted")


async def test_qemus_userfaultfd_arrives(start: Start, qemu: Path, tmp_path: Path, memory: Path) -> None:
    async with start(qemu, options={"uffd_source": Compiled(tmp_path)}) as vm:
        assert vm.uffd is not None
        assert "userfaultfd" in os.readlink(f"/proc/self/fd/{vm.uffd}")  # noqa: PTH115
        await vm.boot()
    assert list((memory / "vm").iterdir()) == []


async def test_the_vm_starts_without_one_and_says_why(start: Start, qemu: Path, tmp_path: Path) -> None:
    async with start(qemu, options={"uffd_source": Unable(tmp_path)}) as vm:
        assert vm.uffd is None
        assert "not permitted" in vm.why_no_uffd
        await vm.boot()


async def test_another_processs_userfaultfd_is_not_taken(start: Start, qemu: Path, tmp_path: Path) -> None:
    async with start(qemu, options={"uffd_source": SomebodyElse(tmp_path)}) as vm:
        assert vm.uffd is None
        assert "not from QEMU" in vm.why_no_uffd
