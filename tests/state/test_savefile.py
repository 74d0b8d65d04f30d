"""A save that is cut off anywhere leaves the old content or the new one."""

from __future__ import annotations

import ctypes
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from colo.errors import StateFolderError
from colo.state import load, save
from colo.state.savefile import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STEPS = ["open", "write", "fsync", "close", "rename"]


class PowerCut(BaseException):
    """Not an Exception: nothing may catch it, as nothing catches a crash."""


def crash_at(monkeypatch: pytest.MonkeyPatch, step: str, call: int, *, before: bool) -> None:
    real: Callable[..., Any] = getattr(os, step)
    calls = 0

    def crashing(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and before:
            raise PowerCut
        result = real(*args, **kwargs)
        if calls == call:
            raise PowerCut
        return result

    monkeypatch.setattr(f"colo.state.savefile.os.{step}", crashing)


def test_loads_what_was_saved_last(tmp_path: Path) -> None:
    path = tmp_path / "record"
    save(path, b"one")
    save(path, b"two")
    assert load(path) == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["record"]


def test_nothing_saved_is_none(tmp_path: Path) -> None:
    assert load(tmp_path / "record") is None


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        save(tmp_path / "record", b"secret")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "record").stat().st_mode) == 0o600


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_leaves_old_or_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, call: int, *, before: bool
) -> None:
    path = tmp_path / "record"
    save(path, b"old content")
    with monkeypatch.context() as patch:
        crash_at(patch, step, call, before=before)
        try:
            save(path, b"new")
        except PowerCut:
            pass
        else:
            assert (step, call) in {("write", 2), ("rename", 2)}, "the crash was not injected"
    landed = call == 2 or (step == "rename" and not before)
    assert load(path) == (b"new" if landed else b"old content")
    save(path, b"newer")  # a left-over is no obstacle
    assert load(path) == b"newer"
    assert [p.name for p in tmp_path.iterdir()] == ["record"]


def test_the_new_content_is_on_disk_before_it_gets_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    for step in STEPS:
        real = getattr(os, step)

        def noting(*args: Any, step: str = step, real: Callable[..., Any] = real, **kwargs: Any) -> Any:
            order.append(step)
            return real(*args, **kwargs)

        monkeypatch.setattr(f"colo.state.savefile.os.{step}", noting)
    save(tmp_path / "record", b"x")
    assert order == ["open", "write", "fsync", "close", "rename", "open", "fsync", "close"]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr("colo.state.savefile.os.write", lambda fd, data: real(fd, data[:3]))
    save(tmp_path / "record", b"0123456789")
    assert load(tmp_path / "record") == b"0123456789"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateFolderError, match="nowhere/record") as e:
        save(tmp_path / "nowhere" / "record", b"x")
    assert "create the folder" in e.value.hint


def test_too_much_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(StateFolderError):
        save(tmp_path / "record", bytes(MAX_BYTES + 1))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_ours_is_not_read_whole(tmp_path: Path) -> None:
    (tmp_path / "record").write_bytes(bytes(MAX_BYTES + 1))
    with pytest.raises(StateFolderError, match="not ours"):
        load(tmp_path / "record")


@pytest.fixture
def small_tmpfs(tmp_path: Path) -> Iterator[Path]:
    libc = ctypes.CDLL(None, use_errno=True)
    folder = tmp_path / "small"
    folder.mkdir()
    if libc.mount(b"colo-test", bytes(folder), b"tmpfs", 0, b"size=64k") != 0:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield folder
    finally:
        libc.umount2(bytes(folder), 2)


def test_a_full_disk_keeps_the_old_content_and_says_so(small_tmpfs: Path) -> None:
    path = small_tmpfs / "record"
    save(path, b"old")
    with pytest.raises(StateFolderError, match="No space left") as e:
        save(path, bytes(100_000))
    assert "free some space" in e.value.hint
    assert load(path) == b"old"
    assert [p.name for p in small_tmpfs.iterdir()] == ["record"]
    save(path, b"new")
    assert load(path) == b"new"
