"""What is measured: pairs, and the loads that each of them gets."""

from __future__ import annotations

from itertools import product

from attrs import frozen

MEMORIES = (256, 1024, 4096, 8192)
CPUS = (1, 2)


@frozen
class Load:
    """A client that works meanwhile, or what the guest's own writer is to do, or nothing."""

    name: str
    client: tuple[str, ...] = ()
    pages_per_s: int = 0
    over_mib: int = 0

    @property
    def page(self) -> str:
        """Of the guest, which starts its writer."""
        return f"/write?pages={self.pages_per_s}&mib={self.over_mib}"


# Each writer comes round in about two seconds: from then on no page is new to the guest.
LOADS = (
    Load("idle"),
    Load("GETs", ("gets",)),
    Load("download", ("download", "--mib", "16")),
    Load("write 1k/s", pages_per_s=1_000, over_mib=8),
    Load("write 10k/s", pages_per_s=10_000, over_mib=64),
    Load("write 50k/s", pages_per_s=50_000, over_mib=128),
)


@frozen
class Setup:
    """A pair."""

    memory_mib: int
    cpus: int
    loads: tuple[Load, ...]


def short() -> tuple[Setup, ...]:
    """Every load on the smallest VM, and what only grows with memory on the others."""
    smallest, *others = MEMORIES
    return (
        *(Setup(smallest, cpus, LOADS) for cpus in CPUS),
        *(Setup(memory, 1, LOADS[:1]) for memory in others),
    )


def chosen(memories: tuple[int, ...], cpus: tuple[int, ...], names: tuple[str, ...]) -> tuple[Setup, ...]:
    """All combinations of these; nothing given is everything."""
    loads = tuple(load for load in LOADS if not names or load.name in names)
    return tuple(Setup(memory, count, loads) for memory, count in product(memories or MEMORIES, cpus or CPUS))
