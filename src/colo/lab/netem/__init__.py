"""A cable that is a VM with the kernel's netem, for hosts whose kernel has none (docs/decisions/0044)."""

from colo.lab.netem.image import build
from colo.lab.netem.wire import Netem

__all__ = ["Netem", "build"]
