"""What an agent tells of checkpoints, in its journal and its measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from colo.agent.journal import Journal
    from colo.agent.measures import CheckpointMeasure, Measures
    from colo.agent.phases import Phases
    from colo.agent.verification import Memory
    from colo.model.policy.machine import Policy


@frozen
class Reports:
    """In words for the operator, with the figures as fields."""

    journal: Journal
    measures: Measures

    def done(self, measure: CheckpointMeasure) -> None:
        """The primary has finished one."""
        self.journal.note(
            "checkpoint",
            f"checkpoint {measure.checkpoint}: {measure.reason}",
            checkpoint=measure.checkpoint,
            reason=measure.reason,
            pages=measure.pages,
            state_bytes=measure.state_bytes,
            **measure.sent_counts(),
            **{f"{name}_ms": ms for name, ms in measure.phases_ms.items()},
        )

    def policy(self, decided: Policy) -> None:
        """Lock-step or epochs."""
        self.journal.note("policy", decided.why, mode="epoch" if decided.rests else "lockstep")

    def verified(self, checkpoint: int, memory: Memory) -> None:
        """Memory was found to be what it must be."""
        self.measures.verified[memory] += 1
        self.journal.note(
            "verified", f"{memory}: what the primary's RAM was", checkpoint=checkpoint, memory=memory
        )

    def placed(self, measure: Phases) -> None:
        """The secondary has put one of the primary's in place."""
        self.measures.placed(measure)
        self.journal.note(
            "placed",
            f"checkpoint {measure.checkpoint} of the primary is in place",
            checkpoint=measure.checkpoint,
            **{f"{name}_ms": ms for name, ms in measure.phases_ms.items()},
        )
