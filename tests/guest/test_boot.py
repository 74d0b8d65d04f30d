"""The demo guest on real QEMUs: it boots, its services say what `colo.guest.protocol` says, it powers off."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import subprocess
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import attrs
import pytest

from colo.guest import GUEST_APPEND, GuestImage
from colo.guest.protocol import (
    BULK_PORT,
    COUNTER_PORT,
    ECHO_PORT,
    HTTP_PORT,
    MIB,
    CounterCheck,
    LargeCheck,
    large_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 30  # seconds
LOCALHOST = "127.0.0.1"


@attrs.frozen
class Running:
    """A booted guest; `port(kind, number)` of this machine leads to that port of the guest."""

    process: subprocess.Popen[str]
    monitor: Path
    ports: dict[tuple[str, int], int]

    def connect(self, port: int) -> socket.socket:
        return socket.create_connection((LOCALHOST, self.ports["tcp", port]), timeout=PATIENCE)


def free_port(kind: str) -> int:
    with socket.socket(type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as probe:
        probe.bind((LOCALHOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def booted(qemu: Path, guest: GuestImage, machine: str, folder: Path) -> Iterator[Running]:
    tcp = (HTTP_PORT, ECHO_PORT, COUNTER_PORT, BULK_PORT)
    services = [*(("tcp", port) for port in tcp), ("udp", ECHO_PORT)]
    ports = {service: free_port(service[0]) for service in services}
    forwards = "".join(f",hostfwd={kind}:{LOCALHOST}:{ports[kind, port]}-:{port}" for kind, port in services)
    second = free_port("tcp")
    ports["tcp via eth1", HTTP_PORT] = second
    command = [
        *(str(qemu), "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"),
        *("-machine", f"{machine},accel=tcg", "-cpu", "qemu64", "-m", "256"),
        *("-kernel", str(guest.kernel), "-initrd", str(guest.initramfs)),
        *("-append", f"{GUEST_APPEND} colo.ip=10.0.2.15/24 colo.gw=10.0.2.2 colo.ip1=10.0.3.15/24"),
        *("-netdev", f"user,id=n0{forwards}", "-device", "virtio-net-pci,netdev=n0,romfile="),
        *("-netdev", f"user,id=n1,net=10.0.3.0/24,hostfwd=tcp:{LOCALHOST}:{second}-10.0.3.15:{HTTP_PORT}"),
        *("-device", "virtio-net-pci,netdev=n1,romfile="),
        *("-qmp", f"unix:{folder}/qmp,server=on,wait=off"),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if line.startswith("colo-guest: ready"):
                    break
            else:
                pytest.fail("the guest did not boot: " + "".join(said)[-2000:])
            yield Running(process, folder / "qmp", ports)
        finally:
            process.kill()


@pytest.fixture(scope="module", params=["pc", "q35"])
def running(
    request: pytest.FixtureRequest, qemu: Path, guest: GuestImage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    with booted(qemu, guest, request.param, tmp_path_factory.mktemp("guest")) as running:
        yield running


def test_the_counter_counts_every_line_of_a_connection(running: Running) -> None:
    check = CounterCheck()
    lines = [f"line {number}".encode() for number in range(50)]
    with running.connect(COUNTER_PORT) as connection, connection.makefile("rb") as answers:
        connection.sendall(b"".join(line + b"\n" for line in lines))
        for line in lines:
            assert answers.readline() == check.expect(line)


def test_the_large_file_is_right_to_its_last_byte_and_the_connection_lives_on(running: Running) -> None:
    port = running.ports["tcp", HTTP_PORT]
    with closing(http.client.HTTPConnection(LOCALHOST, port, timeout=PATIENCE)) as client:
        client.request("GET", "/large?mib=2")
        response = client.getresponse()
        assert response.getheader("Date") is None
        check = LargeCheck()
        check.feed(response.read())
        assert check.position == 2 * MIB
        client.request("GET", "/small")
        assert len(client.getresponse().read()) == 1024


def test_an_upload_is_answered_with_its_sha256(running: Running) -> None:
    port = running.ports["tcp", HTTP_PORT]
    body = large_bytes(0, 2 * MIB + 777)
    with closing(http.client.HTTPConnection(LOCALHOST, port, timeout=PATIENCE)) as client:
        client.request("POST", "/upload", body)
        expected = f"{len(body)} {hashlib.sha256(body).hexdigest()}\n".encode()
        assert client.getresponse().read() == expected


@pytest.mark.parametrize(("wrong", "verdict"), [(0, b"right\n"), (1, b"wrong after ")])
def test_bulk_is_checked_in_both_directions(running: Running, wrong: int, verdict: bytes) -> None:
    body = bytearray(large_bytes(0, MIB))
    body[MIB // 2] ^= wrong
    with running.connect(BULK_PORT) as connection, connection.makefile("rb") as answers:
        connection.sendall(b"2 1\n")
        sender = threading.Thread(target=connection.sendall, args=(body,))
        sender.start()
        assert answers.read(2 * MIB) == large_bytes(0, 2 * MIB)
        assert answers.readline().startswith(verdict)
        sender.join()


def test_random_answers_differ(running: Running) -> None:
    port = running.ports["tcp", HTTP_PORT]
    with closing(http.client.HTTPConnection(LOCALHOST, port, timeout=PATIENCE)) as client:
        bodies = set()
        for _ in range(5):
            client.request("GET", "/random")
            bodies.add(client.getresponse().read())
    assert len(bodies) == 5


def test_tcp_and_udp_come_back_as_they_were_sent(running: Running) -> None:
    with running.connect(ECHO_PORT) as connection, connection.makefile("rb") as answers:
        connection.sendall(b"x" * 10_000)
        assert answers.read(10_000) == b"x" * 10_000
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(PATIENCE)
        datagrams.sendto(b"y" * 1000, (LOCALHOST, running.ports["udp", ECHO_PORT]))
        assert datagrams.recv(2000) == b"y" * 1000


def test_a_second_nic_has_its_address(running: Running) -> None:
    port = running.ports["tcp via eth1", HTTP_PORT]
    with closing(http.client.HTTPConnection(LOCALHOST, port, timeout=PATIENCE)) as client:
        client.request("GET", "/")
        assert client.getresponse().status == 200


def test_the_power_button_ends_the_guest(qemu: Path, guest: GuestImage, tmp_path: Path) -> None:
    with booted(qemu, guest, "q35", tmp_path) as running, socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(PATIENCE)
        monitor.connect(str(running.monitor))
        for command in ("qmp_capabilities", "system_powerdown"):
            monitor.sendall(json.dumps({"execute": command}).encode())
        assert running.process.wait(PATIENCE) == 0
