"""Of timers that may not be set."""


def soonest(*timers: int | None) -> int | None:
    """The first of those that are set; None if none is."""
    return min((timer for timer in timers if timer is not None), default=None)
