"""Files that survive a crash at any instruction."""

from colo.state.savefile import load, save

__all__ = ["load", "save"]
