"""The files of the frames around divergences; the relay is played, the folder is real."""

from __future__ import annotations

import stat
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

from colo.agent import captures
from colo.agent.captures import Captures
from colo.agent.inbox import Inbox
from colo.errors import StateFolderError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@attrs.define
class PlayedRelay:
    comments: list[str] = attrs.field(factory=list)
    mib: int = 0
    fails: Exception | None = None

    def capture(self, mib: int) -> None:
        self.mib = mib

    def captured(self, comment: str) -> bytes:
        self.comments.append(comment)
        if self.fails:
            raise self.fails
        return comment.encode()


@attrs.define
class PlayedJournal:
    notes: list[tuple[str, str]] = attrs.field(factory=list)

    def note(self, kind: str, why: str) -> None:
        self.notes.append((kind, why))


@attrs.define
class Scene:
    relay: PlayedRelay
    captures: Captures
    inbox: Inbox
    journal: PlayedJournal

    async def noted(self) -> tuple[str, str]:
        posted = anyio.Event()
        self.inbox.posted = posted.set
        with anyio.fail_after(5):
            while (job := self.inbox.take()) is None:
                await posted.wait()
        assert self.inbox.take() is None
        job()
        return self.journal.notes[-1]


def _texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


@asynccontextmanager
async def scene(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(captures, "_AFTER_S", 0.0)
    monkeypatch.setattr(captures, "_PAUSE_S", 0.0)
    relay, inbox, journal = PlayedRelay(), Inbox(), PlayedJournal()
    files: Any = Captures(relay, inbox, journal, folder, "web")  # type: ignore[arg-type]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(files.keep)
        yield Scene(relay, files, inbox, journal)
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_divergence_makes_one_private_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "made" / "here"
    captures.prepare(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    async with scene(folder, monkeypatch) as now:
        assert now.relay.mib > 0
        now.captures.noticed("this flow")
        now.captures.noticed("another flow before the file was written")
        kind, why = await now.noted()
    (file,) = folder.iterdir()
    assert (kind, str(file) in why) == ("capture", True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == "web: this flow"
    assert file.name.startswith("web.divergence-")
    assert now.relay.comments == ["web: this flow"]


@pytest.mark.anyio
async def test_the_oldest_files_go_and_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "web-2.divergence-20000101T000000.000000.pcapng").touch()
    (tmp_path / "notes.txt").touch()
    async with scene(tmp_path, monkeypatch) as now:
        for number in range(captures.KEPT + 3):
            now.captures.noticed(str(number))
            await now.noted()
    texts = _texts(tmp_path)
    ours = [text for name, text in texts.items() if name.startswith("web.divergence-")]
    assert ours == [f"web: {number}" for number in range(3, captures.KEPT + 3)]
    assert len(texts) == captures.KEPT + 2


@pytest.mark.anyio
async def test_what_cannot_be_written_is_told_and_the_next_one_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(tmp_path, monkeypatch) as now:
        for failure in (
            RuntimeError("the relay is stopped"),
            TimeoutError("no answer"),
            OSError("disk full"),
        ):
            now.relay.fails = failure
            now.captures.noticed("this flow")
            kind, why = await now.noted()
            assert (kind, str(failure) in why) == ("capture-failed", True)
        now.relay.fails = None
        now.captures.noticed("this flow")
        assert (await now.noted())[0] == "capture"


def test_a_link_in_the_folder_is_never_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises(FileExistsError):
        captures._write_new(link, b"x")
    assert not target.exists()


def test_a_folder_that_cannot_be_made_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "captures").touch()
    with pytest.raises(StateFolderError, match="captures"):
        captures.prepare(tmp_path / "captures")
