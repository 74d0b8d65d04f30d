"""Files and folders that survive a crash at any instruction."""

from colo.state.folder import hold_folder
from colo.state.savefile import load, save

__all__ = ["hold_folder", "load", "save"]
