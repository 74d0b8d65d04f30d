"""The attempts as a table for people."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.table import Table

from bench.checkpoints import spread
from bench.xcolo.figures import FIGURES, NAMES, ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.xcolo.figures import Attempt, Figure

Sides = dict[str, list["Attempt"]]


def table(cases: dict[tuple[int, str], Sides]) -> Table:
    """By memory (MiB) and link: a row for each figure, and one for how the attempts ended."""
    found = Table(title="median / p99 (n)", title_justify="left")
    for name in ("MiB", "link", "", *NAMES, "ratio", "goal", ""):
        found.add_column(name)
    for (memory, link), sides in cases.items():
        for cells in rows(link, sides):
            found.add_row(str(memory), link, *cells)
    return found


def rows(link: str, sides: Sides) -> list[tuple[str, ...]]:
    """Of one case."""
    found = [_row(figure, link, sides) for figure in FIGURES]
    return [*found, ("attempts", *(endings(sides[name]) for name in NAMES), "", "", "")]


def _row(figure: Figure, link: str, sides: Sides) -> tuple[str, ...]:
    theirs, ours = (sides[name] for name in NAMES)
    share, goal = ratio(figure, theirs, ours), figure.goals.get(link)
    told = "" if share is None else f"{share:.2f}"
    return (figure.title, cell(figure, theirs), cell(figure, ours), told, *_judged(share, goal))


def _judged(share: float | None, goal: float | None) -> tuple[str, str]:
    if goal is None:
        return "", ""
    return f"<= {goal:.2f}", "" if share is None else "met" if share <= goal else "missed"


def cell(figure: Figure, attempts: Sequence[Attempt]) -> str:
    """The number, or why there is none."""
    if values := figure.values(attempts):
        found = spread(values)
        return f"{found['median']:.1f}/{found['p99']:.1f} ({found['n']})"
    return f"none: {_reasons(attempts)}"


def endings(attempts: Sequence[Attempt]) -> str:
    """How many went through, to how many checkpoints each of them came, what stopped the others."""
    through = sum(not attempt.ended for attempt in attempts)
    counts = ", ".join(str(attempt.checkpoints) for attempt in attempts)
    text = f"{through} of {len(attempts)} through; checkpoints: {counts}"
    return text if through == len(attempts) else f"{text}; {_reasons(attempts)}"


def _reasons(attempts: Sequence[Attempt]) -> str:
    counted = Counter(attempt.ended for attempt in attempts if attempt.ended)
    return ", ".join(f"{count}x {why}" for why, count in counted.most_common())
