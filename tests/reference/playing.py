"""Plays steps to an implementation and gives what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from comparison import MS, Limits, Reference

from colo._core import Comparison

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from notation import Step, Vector

Output = str | tuple[int, bytes]


class Implementation(Protocol):
    def primary(self, nic: int, frame: bytes, now: int) -> None: ...
    def secondary(self, nic: int, epoch: int, frame: bytes, now: int) -> None: ...
    def cut(self, checkpoint: int, now: int) -> None: ...
    def commit(self, checkpoint: int, now: int) -> None: ...
    def loaded(self, checkpoint: int, now: int) -> None: ...
    def alone(self, now: int) -> None: ...
    def on_time(self, now: int) -> None: ...
    def full(self) -> bool: ...
    def held_frames(self) -> int: ...
    def outputs(self) -> Iterator[Output]: ...


class Core(Comparison):
    """The Rust crate, its events in the words of the vectors."""

    def held_frames(self) -> int:
        return self.stats()["held_frames"]

    def outputs(self) -> Iterator[Output]:
        while (event := self.pop_event()) is not None:
            yield _in_words(event)
        while (frame := self.pop_release()) is not None:
            yield frame


def core(limits: Limits) -> Core:
    return Core(
        hold_ns=limits.hold_ns,
        held_bytes=limits.held_bytes,
        flows=limits.flows,
        pending_bytes=limits.pending_bytes,
    )


IMPLEMENTATIONS: dict[str, Callable[[Limits], Implementation]] = {"core": core, "reference": Reference}


def _in_words(event: tuple[object, ...]) -> str:
    match event:
        case ("isn", _, _, isn):
            return f"isn {isn}"
        case ("divergence", _, _, kind, *_):
            return f"divergence {kind}"
        case ("hold_limit", *_):
            return "hold"
        case ("queue_limit", _):
            return "queue"
    raise ValueError(f"an event that the vectors do not know: {event}")


def limits_of(vector: Vector) -> Limits:
    given = vector.limits
    return Limits(given["hold"] * MS, given["held"], given["flows"], given["pending"])


def play(step: Step, to: Implementation) -> list[Output]:
    match step.verb:
        case "p":
            to.primary(step.nic, step.frame, step.time)
        case "s":
            to.secondary(step.nic, step.argument, step.frame, step.time)
        case "cut":
            to.cut(step.argument, step.time)
        case "commit":
            to.commit(step.argument, step.time)
        case "loaded":
            to.loaded(step.argument, step.time)
        case "alone":
            to.alone(step.time)
        case "time":
            to.on_time(step.time)
    return list(to.outputs())


def failure(vector: Vector, to: Implementation) -> str | None:
    """The first step that goes another way than the vector says."""
    for step in vector.steps:
        came = play(step, to)
        if came != step.expected:
            return f"line {step.line}: expected {_shown(step.expected)}, came {_shown(came)}"
        for check in step.checks:
            if not _holds(check, to):
                return f"line {step.line}: not so: {check} ({to.held_frames()} held)"
    return None


def _holds(check: str, to: Implementation) -> bool:
    match check.split():
        case ["held", count]:
            return to.held_frames() == int(count)
        case ["full"]:
            return to.full()
        case ["room"]:
            return not to.full()
    raise ValueError(f"no such check: {check}")


def _shown(outputs: list[Output]) -> list[str]:
    return [output if isinstance(output, str) else f"{output[0]} {output[1].hex()}" for output in outputs]
