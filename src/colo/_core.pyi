

from os import PathLike
from typing import Any, Literal, final

PAGE_SIZE: int
"""Bytes of a guest page: 4096."""

class TrackingLostError(RuntimeError):
    ...

class StagingLimitError(RuntimeError):
    ...

def boottime_ns() -> int:
    ...

def uffd_shim() -> bytes:
    ...

def guest_program() -> bytes:
    ...

def receive_uffd(fd: int, timeout_ms: int) -> tuple[int, int]:
    ...

def probe_trackers() -> list[tuple[Literal["pagemap-scan", "soft-dirty", "compare"], bool, str]]:
    ...

@final
class GuestRam:


    def __new__(cls, fd: int, size: int) -> GuestRam:
        ...

    def blocks(self) -> int:
        ...

@final
class PageSet:


    @staticmethod
    def all(pages: int) -> PageSet:
        ...

    def union(self, other: PageSet) -> PageSet: ...
    def runs(self) -> int:
        ...

    def __len__(self) -> int:
        ...

@final
class Tracker:


    def __new__(
        cls,
        kind: Literal["pagemap-scan", "soft-dirty", "compare"],
        pid: int,
        ram: GuestRam,
        uffd: int | None,
    ) -> Tracker:
        ...

    def collect(self, *, stopped: bool = False) -> PageSet:
        ...

@final
class Staging:


    def __new__(cls, ram: GuestRam, limit_bytes: int) -> Staging:
        ...

    def gather(self, pages: PageSet) -> int:
        ...

@final
class Replica:


    def __new__(cls, ram: GuestRam, staging_limit: int) -> Replica:
        ...

    def device(self, checkpoint: int) -> bytes:
        ...

    def apply(self, checkpoint: int, dirty: PageSet) -> int:
        ...

    def mend(self, dirty: PageSet) -> int:
        ...

    def forget(self, checkpoint: int) -> None:
        ...

    def ram_hash(self) -> int:
        ...

    def cache_hash(self) -> int:
        ...

@final
class Tls:


    def __new__(cls, ca: str | PathLike[str], cert: str | PathLike[str], key: str | PathLike[str]) -> Tls:
        ...

@final
class Relay:


    def __new__(
        cls,
        nics: int,
        hold_ms: int,
        held_mib: int,
        heartbeat_ms: int,
        peer_timeout_ms: int,
        stall_timeout_ms: int,
    ) -> Relay:
        ...

    def fileno(self) -> int:
        ...

    def events(self) -> list[tuple[Any, ...]]:
        ...

    def attach_vm(self, nic: int, fd: int) -> None:
        ...

    def attach_uplink(self, nic: int, fd: int, kind: Literal["tap", "stream"]) -> None:
        ...

    def attach_link(self, fd: int, tls: Tls, peer: str, *, server: bool) -> None:
        ...

    def detach_link(self) -> None:
        ...

    def send(self, payload: bytes) -> None:
        ...

    def progress(self) -> None:
        ...

    def gate(self, until_ns: int) -> None:
        ...

    def pause_ingress(self, timeout_ms: int) -> bool:
        ...

    def cut(self, checkpoint: int) -> None:
        ...

    def resume_ingress(self) -> None:
        ...

    def send_pages(self, ram: GuestRam, pages: PageSet) -> None:
        ...

    def send_state(self, checkpoint: int, staging: Staging, device: bytes) -> None:
        ...

    def commit(self, checkpoint: int) -> None:
        ...

    def loaded(self, checkpoint: int) -> None:
        ...

    def alone(self) -> None:
        ...

    def begin_secondary(self, replica: Replica) -> None:
        ...

    def svm_stopped(self) -> None:
        ...

    def enter_epoch(self, epoch: int) -> None:
        ...

    def deliver(self) -> None:
        ...

    def forget_cut(self) -> None:
        ...

    def promote(self) -> None:
        ...

    def close(self) -> None:
        ...

    def inject(self, nic: int, frame: bytes) -> None:
        ...

    def guest_addresses(self, nic: int) -> list[tuple[str, str]]:
        ...

    def stats(self) -> dict[str, int]:
        ...

    def stop(self) -> None:
        ...
