"""The VM's places in this host's network, opened for the life of the agent."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from colo.config import TapUplink, UnixUplink
from colo.network import connect_uplink, open_tap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from colo._core import Relay
    from colo.config import Config


@asynccontextmanager
async def uplinks(config: Config, relay: Relay) -> AsyncIterator[None]:
    """Every NIC's uplink is at the relay while this lasts. Raises CapabilityError."""
    async with AsyncExitStack() as stack:
        for number, nic in enumerate(config.vm.nic):
            match nic.uplink:
                case TapUplink(name, bridge):
                    tap = await open_tap(name, bridge, offloads=nic.has_offloads)
                    stack.callback(tap.close)
                    relay.attach_uplink(number, tap.fd, "tap")
                case UnixUplink(path):
                    uplink = stack.enter_context(await connect_uplink(path))
                    relay.attach_uplink(number, uplink.fileno(), "stream")
        yield
