"""The demo guest: a small Linux with services whose answers two copies agree on."""

from colo.guest.base import GuestImage
from colo.guest.image import GUEST_APPEND, build

__all__ = ["GUEST_APPEND", "GuestImage", "build"]
