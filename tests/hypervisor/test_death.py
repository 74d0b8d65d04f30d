"""QEMU dies, hangs, or cannot start: it is noticed soon, said clearly, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import attrs
import pytest
from counting import Ram

from colo.errors import QemuError, StateFolderError
from colo.hypervisor import QemuDiedError, QmpTimeoutError, end_leftover, probe
from colo.hypervisor.leftover import write_pid_file

if TYPE_CHECKING:
    from conftest import Start

pytestmark = pytest.mark.anyio


def _children() -> list[str]:
    """Our living child processes; see proc(5), /proc/pid/task/tid/children."""
    return [
        pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()
    ]


async def test_death_is_noticed_with_its_cause(start: Start, qemu: Path) -> None:
    async with start(qemu) as vm:
        os.kill(vm.pid, signal.SIGKILL)
        with anyio.fail_after(1):
            await vm.died.wait()
        assert "SIGKILL" in vm.why_died
        with pytest.raises(QemuDiedError, match="SIGKILL"):
            await vm.begin_save()


async def test_ctrl_c_for_the_agent_is_not_for_qemu_and_the_scheduler_takes_both_for_one(
    start: Start, qemu: Path
) -> None:
    async with start(qemu) as vm:
        assert os.getpgid(vm.pid) == vm.pid
        assert os.getsid(vm.pid) == os.getsid(0)


async def test_a_qemu_that_is_another_one_by_now_is_not_run(start: Start, qemu: Path, memory: Path) -> None:
    before = attrs.evolve(await probe(str(qemu)), version=(6, 2, 0))
    with pytest.raises(ExceptionGroup) as caught:
        async with start(qemu, options={"program": before}):
            pass
    (error,) = caught.value.exceptions
    assert isinstance(error, QemuError)
    assert f"is version {(await probe(str(qemu))).version_text} now, and was 6.2.0" in str(error)
    assert not list((memory / "vm").iterdir())


async def test_a_save_ends_with_qemu(start: Start, qemu: Path) -> None:
    async with start(qemu) as vm:
        await vm.boot()
        os.kill(vm.pid, signal.SIGSTOP)  # the save never begins, and then QEMU ends
        async with anyio.create_task_group() as tasks:

            async def save() -> None:
                with pytest.raises(QemuDiedError, match="SIGKILL"):
                    await vm.begin_save()

            tasks.start_soon(save)
            await anyio.wait_all_tasks_blocked()
            os.kill(vm.pid, signal.SIGKILL)


async def test_a_frozen_qemu_misses_the_deadline_and_is_killed(start: Start, qemu: Path) -> None:
    async with start(qemu, options={"timeout_ms": 300}) as vm:
        await vm.boot()
        os.kill(vm.pid, signal.SIGSTOP)
        with pytest.raises(QmpTimeoutError, match="no answer to getfd within 300 ms; it was killed"):
            await vm.begin_save()
        with anyio.fail_after(1):
            await vm.died.wait()
        assert "no answer to getfd" in vm.why_died


async def test_a_start_that_qemu_refuses_says_what_qemu_said_and_leaves_nothing(
    start: Start, qemu: Path, memory: Path
) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with start(qemu, extra=("-device", "no-such-device")):
            pass
    (error,) = caught.value.exceptions
    assert isinstance(error, QemuDiedError)
    assert "exited with status 1" in str(error)
    assert "no-such-device" in str(error)
    assert list((memory / "vm").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
async def test_a_full_run_folder_is_an_error_and_no_qemu_is_left(
    start: Start, qemu: Path, memory: Path
) -> None:
    folder = memory / "vm"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", folder], check=True)  # noqa: ASYNC221
    try:
        (folder / "fill").write_bytes(bytes(4096))
        with pytest.raises(ExceptionGroup) as caught:
            async with start(qemu):
                pass
        (error,) = caught.value.exceptions
        assert isinstance(error, StateFolderError)
        assert "No space left" in str(error)
        assert [entry.name for entry in folder.iterdir()] == ["fill"]
    finally:
        subprocess.run(["umount", folder], check=True)  # noqa: ASYNC221
    assert _children() == []


async def test_a_device_that_qemu_cannot_carry_is_refused_at_the_start(start: Start, qemu: Path) -> None:
    memory = "memory-backend-ram,id=shared,size=1M,share=on"
    with pytest.raises(ExceptionGroup) as caught:
        async with start(qemu, extra=("-object", memory, "-device", "ivshmem-plain,memdev=shared")):
            pass
    (error,) = caught.value.exceptions
    assert isinstance(error, QemuError)
    assert "cannot carry the state" in str(error)
    assert "ivshmem" in str(error)


async def test_quit_and_kill_leave_nothing(start: Start, qemu: Path, memory: Path) -> None:
    async with start(qemu) as vm:
        assert (memory / "vm" / "qemu.pid").exists()
        await vm.quit()
        assert "exited with status 0" in vm.why_died
        await vm.kill("again, which is harmless")
    assert list((memory / "vm").iterdir()) == []


async def test_guest_memory_is_in_no_folder_once_qemu_runs(start: Start, qemu: Path, memory: Path) -> None:
    async with start(qemu) as vm:
        await vm.boot()
        await vm.begin_save()
        await vm.save()
        (folder,) = (memory / "vm").glob("colo-vm-*")
        assert list(folder.iterdir()) == []
        assert folder.stat().st_mode & 0o777 == 0o700
        await vm.read_state()


async def test_qemu_outlives_its_agent_and_the_next_start_ends_it(
    start: Start, qemu: Path, memory: Path
) -> None:
    async with start(qemu) as first:
        await first.boot()
        await Ram(first).counting()
        # A second agent knows nothing but the run folder.
        async with start(qemu) as second:
            with anyio.fail_after(5):
                await first.died.wait()
            assert second.pid != first.pid
            assert json.loads((memory / "vm/qemu.pid").read_text())["pid"] == second.pid
            first_folder = first._launched.scratch.folder
            assert not first_folder.exists()


def test_a_process_that_got_the_same_pid_later_is_not_ended(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        write_pid_file(tmp_path, other.pid, tmp_path / "colo-vm-x")
        record = json.loads((tmp_path / "qemu.pid").read_text())
        (tmp_path / "qemu.pid").write_text(json.dumps({**record, "start_time": record["start_time"] - 1}))
        assert end_leftover(tmp_path) is None
        assert other.poll() is None
        write_pid_file(tmp_path, other.pid, tmp_path / "colo-vm-x")
        assert end_leftover(tmp_path) == other.pid
        assert other.wait(5) == -signal.SIGKILL
    assert end_leftover(tmp_path) is None


def test_a_damaged_pid_file_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "qemu.pid").write_text("{}")
    with pytest.raises(QemuError, match="damaged") as caught:
        end_leftover(tmp_path)
    assert "by hand" in caught.value.hint
