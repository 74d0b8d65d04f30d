"""A laboratory whose process was killed leaves nothing that the next one does not clear; needs root."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from colo.hypervisor.leftover import start_time
from colo.lab.impairment import Impairment
from colo.lab.namespaces import Network, Port
from colo.lab.remains import NAMESPACES

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTS = {"one": (Port("lan", "lan0", cable=Impairment()),)}
MAKER = """
import subprocess, sys
from colo.lab.impairment import Impairment
from colo.lab.namespaces import Network, Port
with Network({"one": (Port("lan", "lan0", cable=Impairment()),)}) as network:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    inside = subprocess.Popen(network.command("one", ("sleep", "100")), **quiet)
    print(inside.pid, network.path("one"), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _root() -> None:
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        pytest.skip("needs root and /dev/net/tun")


@pytest.fixture
def maker() -> Iterator[subprocess.Popen[str]]:
    command = (sys.executable, "-c", MAKER)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True) as process:
        yield process
        process.kill()


def told(maker: subprocess.Popen[str]) -> tuple[int, Path]:
    """Who runs in its namespace, and the name of that."""
    assert maker.stdout is not None
    pid, path = maker.stdout.readline().split()
    return int(pid), Path(path)


def of(maker: subprocess.Popen[str]) -> list[str]:
    return [path.name for path in NAMESPACES.glob(f"colo{maker.pid}-*")]


def test_what_a_killed_laboratory_left_is_cleared_by_the_next(maker: subprocess.Popen[str]) -> None:
    inside = os.pidfd_open(told(maker)[0])
    try:
        assert len(of(maker)) == 2
        maker.kill()
        maker.wait()
        assert maker.stderr is not None
        assert maker.stderr.read() == "", "its cable ends by itself: nobody else holds this pipe"
        with Network(HOSTS):
            assert of(maker) == []
            ended = select.poll()
            ended.register(inside, select.POLLIN)
            assert ended.poll(5000)
    finally:
        os.close(inside)


def test_a_laboratory_that_lives_is_left_alone(maker: subprocess.Popen[str]) -> None:
    inside, path = told(maker)
    with Network(HOSTS):
        assert path.exists()
        assert len(of(maker)) == 2
        assert start_time(inside) is not None
