"""The way out: uplinks that the relay reads and writes, and the frames that tell switches who moved."""

from colo.network.announce import announcements
from colo.network.cable import Cable, open_cable
from colo.network.tap import Tap, open_tap
from colo.network.unix_uplink import UplinkListener, connect_uplink

__all__ = [
    "Cable",
    "Tap",
    "UplinkListener",
    "announcements",
    "connect_uplink",
    "open_cable",
    "open_tap",
]
