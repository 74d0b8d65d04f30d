from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from colo.errors import StateFolderError
from colo.hypervisor import scratch
from colo.hypervisor.scratch import MIB, make_scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 8 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_memory_is_private_and_takes_none_before_it_is_used(tmp_path: Path) -> None:
    scratch = make_scratch(tmp_path, 4 * MIB)
    try:
        status = os.fstat(scratch.ram_fd)
        assert status.st_size == 4 * MIB
        assert status.st_blocks == 0
        assert status.st_mode & 0o777 == 0o600
        assert scratch.folder.stat().st_mode & 0o777 == 0o700
        scratch.forget_ram()
        assert list(scratch.folder.iterdir()) == []
    finally:
        scratch.close()
    assert not scratch.folder.exists()


def test_a_run_folder_on_tmpfs_is_preferred(mount: Path) -> None:
    scratch = make_scratch(mount, 4 * MIB)
    assert scratch.folder.parent == mount
    scratch.close()
    scratch = make_scratch(mount, 16 * MIB)
    assert scratch.folder.parent == SHARED_MEMORY
    scratch.close()


def test_no_room_anywhere_is_an_error_with_numbers_and_leaves_nothing(mount: Path) -> None:
    (mount / "other").write_bytes(bytes(3 * MIB))
    with pytest.raises(StateFolderError, match=r"16 MiB of guest memory.*only 5 MiB are free") as caught:
        make_scratch(mount, 16 * MIB, fallback=mount)
    assert "remount" in caught.value.hint
    assert [entry.name for entry in mount.iterdir()] == ["other"]


def test_more_than_the_host_can_give_is_an_error_with_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:       24 kB\nMemAvailable:    7168 kB\n")
    monkeypatch.setattr(scratch, "_PROC", tmp_path)
    make_scratch(tmp_path, 7 * MIB).close()
    with pytest.raises(StateFolderError, match=r"8 MiB of guest memory \(only 7 MiB are available\)"):
        make_scratch(tmp_path, 8 * MIB)


def test_a_disk_is_no_place_for_guest_memory() -> None:
    with pytest.raises(StateFolderError, match="not a tmpfs"):
        make_scratch(Path("/proc"), MIB, fallback=Path("/proc"))


def test_huge_pages_are_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder = tmp_path / "huge"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "huge=always", "none", folder], check=False).returncode:
        pytest.skip("this kernel has no huge pages in tmpfs")
    try:
        with pytest.raises(StateFolderError, match="huge=always"):
            make_scratch(folder, MIB, fallback=folder)
    finally:
        subprocess.run(["umount", folder], check=True)


def test_huge_pages_in_every_tmpfs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = tmp_path / "shmem_enabled"
    setting.write_text("always within_size advise never deny [force]\n")
    monkeypatch.setattr(scratch, "_HUGE", setting)
    with pytest.raises(StateFolderError, match="is force"):
        make_scratch(SHARED_MEMORY, MIB, fallback=SHARED_MEMORY)
    setting.write_text("always within_size advise [never] deny force\n")
    make_scratch(SHARED_MEMORY, MIB).close()


def test_a_hugetlbfs_is_no_place_for_guest_memory(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder = tmp_path / "hugetlb"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "hugetlbfs", "none", folder], check=False).returncode:
        pytest.skip("this kernel has no hugetlbfs")
    try:
        with pytest.raises(StateFolderError, match="not a tmpfs"):
            make_scratch(folder, MIB, fallback=folder)
    finally:
        subprocess.run(["umount", folder], check=True)
