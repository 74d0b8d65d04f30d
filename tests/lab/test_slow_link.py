"""A real slow cable between two namespaces; needs root."""

from __future__ import annotations

import os
import socket
import threading
from ipaddress import IPv4Interface
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from colo.lab.impairment import Impairment
from colo.lab.namespaces import Network, Port

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOW = Impairment(delay_ms=1, rate_mbit=1000, offloads=True)
PAYLOAD = bytes(range(256)) * 16384  # 4 MiB


@pytest.fixture
def network() -> Iterator[Network]:
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        pytest.skip("needs root and /dev/net/tun")
    hosts = {
        "one": (Port("lan", "lan0", (IPv4Interface("10.88.0.1/24"),), cable=SLOW),),
        "other": (Port("lan", "lan0", (IPv4Interface("10.88.0.2/24"),)),),
    }
    with Network(hosts) as network:
        yield network


def test_what_goes_in_in_large_segments_comes_out_whole(network: Network) -> None:
    with network.inside("other"):
        listener = socket.create_server(("10.88.0.2", 0))
    listener.settimeout(10)
    with listener, network.inside("one"), socket.create_connection(listener.getsockname(), 10) as sender:
        receiver, _ = listener.accept()
        receiver.settimeout(10)
        sending = threading.Thread(target=_send, args=(sender,))
        sending.start()
        with receiver:
            got = receiver.makefile("rb").read()
        sending.join()
    assert got == PAYLOAD


def _send(sender: socket.socket) -> None:
    sender.sendall(PAYLOAD)
    sender.shutdown(socket.SHUT_WR)
