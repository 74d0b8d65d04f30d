"""Real processes stand for QEMU: one that obeys, one that is frozen, one that is gone."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import anyio
import pytest

from colo.errors import QemuError
from colo.fence import SelfFence, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as child:
        yield child
        child.kill()


class Host:
    """Notes what the fence asks for, in order."""

    def __init__(self, *, stops: bool = True) -> None:
        self.calls: list[str] = []
        self.stops = stops

    def close_gate(self) -> None:
        self.calls.append("gate")

    async def stop_vm(self) -> None:
        self.calls.append("stop")
        if not self.stops:
            await anyio.sleep_forever()


def alive(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


async def test_a_vm_that_stops_is_left_intact(process: subprocess.Popen[bytes]) -> None:
    host = Host()
    report = await SelfFence.of_process(process.pid, host.close_gate, host.stop_vm).fence("test")
    assert (report.step, report.certain, report.errors) == (Step.STOPPED, True, ())
    assert host.calls == ["gate", "stop"], "the gate closes before anything that can take time"
    assert alive(process)


async def test_a_frozen_process_that_does_not_answer_is_killed(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGSTOP)
    host = Host(stops=False)
    fence = SelfFence.of_process(process.pid, host.close_gate, host.stop_vm, stop_timeout_s=0.05)
    report = await fence.fence("test")
    assert (report.step, report.certain) == (Step.KILLED, True)
    assert "not confirmed" in report.errors[0]
    assert not alive(process)


async def test_an_error_of_the_stop_leads_to_the_kill(process: subprocess.Popen[bytes]) -> None:
    async def broken() -> None:
        raise ConnectionResetError("no monitor")

    report = await SelfFence.of_process(process.pid, Host().close_gate, broken).fence("test")
    assert report.step is Step.KILLED
    assert "no monitor" in report.errors[0]


async def test_a_gate_that_cannot_be_closed_does_not_save_the_vm(process: subprocess.Popen[bytes]) -> None:
    def broken() -> None:
        raise RuntimeError("relay thread ended")

    host = Host()
    report = await SelfFence.of_process(process.pid, broken, host.stop_vm).fence("test")
    assert report.step is Step.STOPPED
    assert "relay thread ended" in report.errors[0]


async def test_a_process_that_has_ended_needs_no_stop(process: subprocess.Popen[bytes]) -> None:
    host = Host()
    fence = SelfFence.of_process(process.pid, host.close_gate, host.stop_vm)
    process.kill()
    process.wait()
    report = await fence.fence("test")
    assert (report.step, host.calls) == (Step.GONE, ["gate"])


async def test_fencing_twice_is_harmless(process: subprocess.Popen[bytes]) -> None:
    host = Host(stops=False)
    fence = SelfFence.of_process(process.pid, host.close_gate, host.stop_vm, stop_timeout_s=0.02)
    assert (await fence.fence("once")).step is Step.KILLED
    assert (await fence.fence("again")).step is Step.GONE


async def test_a_cancelled_caller_does_not_leave_it_half_done(process: subprocess.Popen[bytes]) -> None:
    host = Host(stops=False)
    fence = SelfFence.of_process(process.pid, host.close_gate, host.stop_vm, stop_timeout_s=0.1)
    with anyio.move_on_after(0.02):
        await fence.fence("test")
    process.wait(timeout=5)
    assert process.returncode == -signal.SIGKILL


async def test_a_process_that_never_was_is_told(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    with pytest.raises(QemuError, match="ended already"):
        SelfFence.of_process(process.pid, Host().close_gate, Host().stop_vm)
