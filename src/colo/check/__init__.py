"""What a machine offers for protecting VMs, what is missing, and what to do about it."""

from colo.check.finding import Finding, Level
from colo.check.run import check

__all__ = ["Finding", "Level", "check"]
