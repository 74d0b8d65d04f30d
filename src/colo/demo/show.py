"""What the demonstration shows while it runs: one line that changes, and lines that stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field
from rich.console import Console
from rich.live import Live
from rich.text import Text

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from colo.api.service import Status
    from colo.lab.records import Record


@define
class Show:
    """A context. The live line changes in place on a terminal, and is left out elsewhere."""

    console: Console = field(factory=Console)
    _live: Live = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._live = Live(console=self.console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def say(self, text: str, style: str = "") -> None:
        """A line that stays."""
        self.console.print(Text(text, style), soft_wrap=True)

    def line(self, text: str) -> None:
        """The line that changes."""
        if self.console.is_terminal:
            self._live.update(Text(text))


def traffic(status: Status, counter: Record, gets: Record, downloads: Record) -> str:
    """Requests, identical answers, checkpoints and why, pause: one line."""
    checkpoints = status.checkpoints
    reasons = ", ".join(f"{count} {reason}" for reason, count in checkpoints.by_reason.items()) or "none"
    pause = f"{checkpoints.median_pause_ms:.1f} ms" if checkpoints.median_pause_ms is not None else "-"
    return (
        f"{status.node} {status.state}: {counter.answers} counted, {gets.answers} GETs,"
        f" {downloads.mib} MiB down; {status.traffic.get('released_agreed', 0)} identical frames;"
        f" checkpoints {checkpoints.total} ({reasons}), pause {pause}"
    )
