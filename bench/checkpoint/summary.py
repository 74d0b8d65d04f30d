"""From what the agent tells of each checkpoint to one row of numbers."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import Any

from bench.checkpoints import spread

PHASES = (
    "pause",
    "ahead",
    "drain",
    "prepare",
    "save",
    "collect",
    "resume",
    "encode",
    "send",
    "commit",
    "loaded",
)
OF_SECONDARY = ("received", "store", "stop", "restore", "load", "mend", "start", "ready")
_PAGE = 4096


def summary(checkpoints: list[dict[str, Any]], copy_rate: float) -> dict[str, Any]:
    """Phases in ms, pages and bytes: median, p99, number. `copy_rate` in bytes per second.

    `pages_per_s`: pages that were written between checkpoints, each counted once per checkpoint.
    `copies`: the pause without the save, in times that it takes to copy the dirty bytes.
    """
    if not checkpoints:
        raise ValueError("no checkpoint happened: is the period 0?")
    return {
        "checkpoints": len(checkpoints),
        "by_reason": dict(sorted(Counter(checkpoint["reason"] for checkpoint in checkpoints).items())),
        **{phase: spread(_of(phase, checkpoints)) for phase in PHASES},
        "pages": spread([checkpoint["pages"] for checkpoint in checkpoints]),
        "page_bytes": spread([checkpoint["pages"] * _PAGE for checkpoint in checkpoints]),
        "bytes_before": spread([checkpoint["bytes_before"] for checkpoint in checkpoints]),
        "bytes_sent": spread([checkpoint["bytes_sent"] for checkpoint in checkpoints]),
        "state_bytes": median(checkpoint["state_bytes"] for checkpoint in checkpoints),
        "pages_per_s": _rate(checkpoints),
        "copies": spread([_copies(checkpoint, copy_rate) for checkpoint in checkpoints]),
    }


def _of(phase: str, checkpoints: list[dict[str, Any]]) -> list[float]:
    return [checkpoint.get(f"{phase}_ms", 0.0) for checkpoint in checkpoints]  # some have no `ahead`


def of_secondary(placed: list[dict[str, Any]]) -> dict[str, Any]:
    """The secondary's phases in ms, of those that were loaded."""
    loaded = [one for one in placed if "load_ms" in one]
    return {phase: spread([one[f"{phase}_ms"] for one in loaded]) for phase in OF_SECONDARY if loaded}


def _rate(checkpoints: list[dict[str, Any]]) -> float | None:
    """None with a single checkpoint: it is not known since when its pages were written."""
    took_ns: int = checkpoints[-1]["at_ns"] - checkpoints[0]["at_ns"]
    if took_ns <= 0:
        return None
    pages: int = sum(checkpoint["pages"] for checkpoint in checkpoints[1:])
    return round(pages / took_ns * 1e9, 1)


def _copies(checkpoint: dict[str, Any], copy_rate: float) -> float:
    copying_ms: float = max(checkpoint["pages"], 1) * _PAGE / copy_rate * 1e3
    beside_ms: float = checkpoint["pause_ms"] - checkpoint["save_ms"]
    return max(0.0, beside_ms) / copying_ms
