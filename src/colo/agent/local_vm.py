"""The VM of this host: QEMU, our mapping of its RAM, the tracker of written pages, its network cards at the
relay.
"""

from __future__ import annotations

from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Literal

import anyio
import anyio.to_thread
import attrs

from colo import _core
from colo.errors import CapabilityError
from colo.hypervisor import Hooks, Hypervisor
from colo.network import open_cable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from anyio.abc import TaskGroup

    from colo._core import GuestRam, Relay, Tracker
    from colo.config import Config
    from colo.hypervisor import QemuEvent, QemuProgram
    from colo.network import Cable

TrackerKind = Literal["pagemap-scan", "soft-dirty", "compare"]
_MIB = 1 << 20


@attrs.frozen
class LocalHooks:
    """What is called meanwhile: with QEMU's events, and once with the RAM, long before QEMU is there."""

    on_event: Callable[[QemuEvent], None]
    on_memory: Callable[[GuestRam], None]


@attrs.define(eq=False)
class LocalVm:
    """Started with the VM stopped. `end` it, whether QEMU lives or not."""

    hypervisor: Hypervisor
    ram: GuestRam
    pages: int
    tracker_kind: TrackerKind
    tracker_why: str
    running: bool = False
    """The guest has been let run, as primary."""
    _tracker: Tracker | None = None
    _blocks: int = 0

    @classmethod
    async def start(
        cls,
        config: Config,
        program: QemuProgram,
        relay: Relay,
        tasks: TaskGroup,
        hooks: LocalHooks,
    ) -> LocalVm:
        """QEMU up, its network cards attached to the relay. Raises ColoError; nothing is left then."""
        size = config.vm.memory_mib * _MIB
        mapped: list[GuestRam] = []

        def map_ram(fd: int) -> None:
            mapped.append(_core.GuestRam(fd, size))
            hooks.on_memory(mapped[0])

        async with _cables(config) as cables:
            hypervisor = await Hypervisor.start(
                config.vm,
                config.agent.run_dir / "vm",
                tasks,
                timeout_ms=config.timing.qmp_timeout_ms,
                program=program,
                taps={number: cable.near for number, cable in cables.items()},
                uffd_source=_core,
                hooks=Hooks(hooks.on_event, map_ram),
            )
            try:
                kind, why = _choose_tracker(hypervisor)
                _plug_in(hypervisor, cables, relay)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await hypervisor.kill("the start failed")
                raise
        (ram,) = mapped
        return cls(hypervisor, ram, size // _core.PAGE_SIZE, kind, why, blocks=ram.blocks())

    def tracker(self) -> Tracker:
        """Made at the first call, which starts the tracking; one for the life of this QEMU."""
        if self._tracker is None:
            self._tracker = _core.Tracker(
                self.tracker_kind, self.hypervisor.pid, self.ram, self.hypervisor.uffd
            )
        return self._tracker

    def check_holes(self) -> None:
        """A hole punched into the RAM file reads as zero and is not reported as written: only the memory
        that the file takes tells. It grows as the VM first touches memory, which hides a smaller hole.
        """
        blocks = self.ram.blocks()
        if blocks < self._blocks:
            raise CapabilityError(
                f"guest memory was given back to the host ({self._blocks - blocks} blocks)",
                "remove balloon, free page reporting and virtio-mem from the VM",
            )
        self._blocks = blocks

    async def end(self, why: str) -> None:
        """Kills QEMU and frees everything; harmless when it is dead already."""
        self._tracker = None
        await self.hypervisor.kill(why)


@asynccontextmanager
async def _cables(config: Config) -> AsyncIterator[dict[int, Cable]]:
    """Those of the cards with offloads; ours until QEMU and the relay have their own descriptors."""
    with ExitStack() as undo:
        cables = {}
        for number, nic in enumerate(config.vm.nic):
            if nic.has_offloads:
                cables[number] = await open_cable()
                undo.callback(cables[number].close)
        yield cables


def _plug_in(hypervisor: Hypervisor, cables: dict[int, Cable], relay: Relay) -> None:
    for number, cable in cables.items():
        relay.attach_vm_tap(number, cable.far, cable.near)
    for number, wire in hypervisor.connect_nics().items():
        with wire:
            relay.attach_vm(number, wire.fileno())


def _choose_tracker(hypervisor: Hypervisor) -> tuple[TrackerKind, str]:
    """The best tracker that works here, and why it is that one."""
    for kind, usable, why in _core.probe_trackers():
        if kind == "pagemap-scan" and hypervisor.uffd is None:
            continue  # the shim told why: `colo check` shows it
        if usable:
            return kind, why
    raise CapabilityError("no way of tracking written pages works here", "run `colo check`")
