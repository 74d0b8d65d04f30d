from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
import pytest

import colo.state
from colo.agent.seen_token import SeenToken
from colo.errors import StateFolderError

if TYPE_CHECKING:
    from pathlib import Path


def on_disk(folder: Path) -> int:
    token = json.loads((folder / "token.json").read_bytes())["token"]
    assert isinstance(token, int)
    return token


class Disk:
    """`colo.state.save`, which tells when it is done, or fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self.done = anyio.Event()
        self._save = colo.state.save
        monkeypatch.setattr("colo.state.save", self.save)

    def save(self, path: Path, data: bytes) -> None:
        try:
            if self.full:
                raise StateFolderError("no space left")
            self._save(path, data)
        finally:
            anyio.from_thread.run_sync(self.done.set)

    async def until_done(self) -> None:
        with anyio.fail_after(10):
            await self.done.wait()
        self.done = anyio.Event()


@pytest.mark.anyio
async def test_the_highest_token_outlives_the_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = SeenToken(tmp_path, "web")
    disk = Disk(monkeypatch)
    assert seen.highest == 0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(seen.keep)
        seen.see(7)
        seen.see(3)
        assert seen.highest == 7, "at once, before the disk has it"
        await disk.until_done()
        tasks.cancel_scope.cancel()
    monkeypatch.undo()
    assert SeenToken(tmp_path, "web").highest == 7


@pytest.mark.anyio
async def test_a_disk_that_is_full_later_ends_nothing_and_the_next_token_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = SeenToken(tmp_path, "web")
    disk = Disk(monkeypatch)
    disk.full = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(seen.keep)
        seen.see(2)
        await disk.until_done()
        assert (seen.highest, on_disk(tmp_path)) == (2, 0)
        disk.full = False
        seen.see(3)
        await disk.until_done()
        assert on_disk(tmp_path) == 3
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"7",
        b"null",
        b"[" * 100_000,
        b'{"form":1,"vm":"web"}',
        b'{"form":1,"vm":"web","token":-1}',
        b'{"form":1,"vm":"web","token":"many"}',
    ],
)
def test_a_damaged_file_is_told_and_kept(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token.json").write_bytes(content)
    with pytest.raises(StateFolderError, match="damaged") as told:
        SeenToken(tmp_path, "web")
    assert "move it away" in told.value.hint
    assert (tmp_path / "token.json").read_bytes() == content


def test_the_folder_of_another_vm_is_refused(tmp_path: Path) -> None:
    SeenToken(tmp_path, "web")
    with pytest.raises(StateFolderError, match="'web', not of 'mail'"):
        SeenToken(tmp_path, "mail")


def test_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token.json").write_text('{"form":2,"vm":"web","token":1}')
    with pytest.raises(StateFolderError, match="another version"):
        SeenToken(tmp_path, "web")


def test_a_folder_that_cannot_be_written_is_told_at_start(tmp_path: Path) -> None:
    with pytest.raises(StateFolderError):
        SeenToken(tmp_path / "missing", "web")
