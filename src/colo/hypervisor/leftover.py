"""The pid file: lets an agent find, after its own death, the QEMU that it had started; and no other process.

A pid alone may have been given to somebody else. The start time of the process (proc(5), `starttime`) and
the boot id of the machine make it unique.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
from pathlib import Path

import attrs

from colo.errors import QemuError

_NAME = "qemu.pid"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_START_TIME = 19  # fields after the command's name: `starttime` is field 22, the state field 3
_DEADLINE_MS = 5000
_MAX_BYTES = 4096


@attrs.frozen
class PidFile:
    """What identifies a running QEMU, and the scratch folder to remove when it is gone."""

    pid: int
    start_time: int
    boot_id: str
    scratch: str


def write_pid_file(run_dir: Path, pid: int, scratch: Path) -> None:
    """Record the process `pid`, a child of ours. A crash while writing leaves no file or a whole one."""
    began = start_time(pid)
    if began is None:  # died already; its watcher tells why
        return
    record = PidFile(pid, began, _BOOT_ID.read_text().strip(), str(scratch))
    temporary = run_dir / f"{_NAME}.new"
    with temporary.open("w") as stream:
        stream.write(json.dumps(attrs.asdict(record)))
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(run_dir / _NAME)


def remove_pid_file(run_dir: Path) -> None:
    """Forget the process: it has ended."""
    (run_dir / _NAME).unlink(missing_ok=True)
    (run_dir / f"{_NAME}.new").unlink(missing_ok=True)


def end_leftover(run_dir: Path) -> int | None:
    """End the QEMU that an earlier agent left in `run_dir`, and remove its files; its pid if there was one.

    Blocks up to 5 s. Raises `QemuError` when the process does not end.
    """
    record = _read(run_dir / _NAME)
    if record is None:
        return None
    ended = _end(record) if record.boot_id == _BOOT_ID.read_text().strip() else False
    folder = Path(record.scratch)
    if folder.name.startswith("colo-vm-"):
        shutil.rmtree(folder, ignore_errors=True)
    remove_pid_file(run_dir)
    return record.pid if ended else None


def _end(record: PidFile) -> bool:
    try:
        pidfd = os.pidfd_open(record.pid)
    except ProcessLookupError:
        return False
    try:
        # After pidfd_open the pid cannot change hands unseen: compare now.
        if start_time(record.pid) != record.start_time:
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if not poll.poll(_DEADLINE_MS):
            raise QemuError(
                f"left-over QEMU (pid {record.pid}) does not end", "it hangs in the kernel; see its stack"
            )
    finally:
        os.close(pidfd)
    return True


def start_time(pid: int) -> int | None:
    """When the process began, in ticks since boot: with the pid it is unique. None: there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name is in brackets and may hold anything, brackets too.
    return int(stat.rpartition(")")[2].split()[_START_TIME])


def _read(path: Path) -> PidFile | None:
    try:
        with path.open() as stream:
            raw = json.loads(stream.read(_MAX_BYTES))
        return PidFile(int(raw["pid"]), int(raw["start_time"]), str(raw["boot_id"]), str(raw["scratch"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise QemuError(
            f"{path} is damaged: {error!r}",
            "end the QEMU of this VM by hand if it still runs, and remove the file",
        ) from error
