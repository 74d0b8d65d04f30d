"""Striking a host hits its agent and its QEMU, and no process that got their pids later."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from colo.lab.namespaces import Network
from colo.lab.pair import Host
from colo.lab.process import HostProcess, Stranger

if TYPE_CHECKING:
    import pytest

SLEEP = ("sleep", "60")


class Here(Network):
    """No namespaces: its hosts are this one."""

    def __init__(self) -> None:
        super().__init__({})

    def command(self, host: str, argv: tuple[str, ...]) -> tuple[str, ...]:
        assert host == "alpha"
        return argv


def test_both_of_a_host_are_struck(tmp_path: Path) -> None:
    with HostProcess(Here(), "alpha", SLEEP, tmp_path / "log") as agent, subprocess.Popen(SLEEP) as qemu:
        host = Host("alpha", tmp_path, agent)
        host.runs(qemu.pid)
        host.strike(signal.SIGKILL)
        assert agent.wait(5) == qemu.wait(5) == -signal.SIGKILL
        host.runs(None)


def test_a_process_that_got_the_pid_of_an_ended_qemu_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HostProcess(Here(), "alpha", SLEEP, tmp_path / "log") as agent, subprocess.Popen(SLEEP) as later:
        with subprocess.Popen(SLEEP) as qemu:
            host = Host("alpha", tmp_path, agent)
            host.runs(qemu.pid)
            qemu.kill()
        # Whoever opens or signals the pid from here on gets the later process.
        pid, opened, killed = qemu.pid, os.pidfd_open, os.kill
        monkeypatch.setattr(os, "pidfd_open", lambda one: opened(later.pid if one == pid else one))
        monkeypatch.setattr(os, "kill", lambda one, number: killed(later.pid if one == pid else one, number))
        host.strike(signal.SIGKILL)
        assert agent.wait(5) == -signal.SIGKILL
        assert later.poll() is None
        host.runs(None)
        later.kill()


def test_a_qemu_that_ended_before_it_could_be_held_is_none(tmp_path: Path) -> None:
    with subprocess.Popen(("true",)) as qemu:
        pass
    with HostProcess(Here(), "alpha", SLEEP, tmp_path / "log") as agent:
        host = Host("alpha", tmp_path, agent)
        host.runs(qemu.pid)
        assert host.qemu is None


def test_what_was_held_and_let_go_of_runs_on() -> None:
    with subprocess.Popen(SLEEP) as qemu:
        before = len(list(Path("/proc/self/fd").iterdir()))
        held = Stranger(qemu.pid)
        held.close()
        assert len(list(Path("/proc/self/fd").iterdir())) == before
        assert qemu.poll() is None
        qemu.kill()
