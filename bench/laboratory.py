"""What measurements begin and end with: this machine's guest, and a client that found nothing wrong."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from colo import __version__
from colo.hypervisor.probe import probe
from colo.lab.pair import Guest

if TYPE_CHECKING:
    from colo.lab.records import Record, WatchedClient

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("COLO_CACHE") or ROOT / ".cache").resolve()
_END_S = 120.0
console = Console(width=190)


def program(qemu: str) -> Path:
    """A version of QEMU under .cache/qemu, or the program at this path."""
    return Path(qemu) if "/" in qemu else CACHE / f"qemu/{qemu}/qemu-system-x86_64"


def guest(qemu: str) -> Guest:
    """To run with that version of QEMU."""
    return Guest(CACHE / "guest/vmlinuz", CACHE / "guest/initramfs", program(qemu))


def keep(results: dict[str, Any], prefix: str = "", file: Path | None = None) -> Path:
    """Writes bench/results/PREFIX<when>.json, or the file that is named."""
    path = file or ROOT / "bench/results" / f"{prefix}{results['when']}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=1))
    return path


async def about(subject: Guest) -> dict[str, Any]:
    """When, where and with what a result was taken."""
    version = await probe(str(subject.qemu))
    return {
        "when": datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"),
        "machine": _machine(),
        "versions": {"colo": __version__, "qemu": version.version_text, "kernel": platform.release()},
    }


def _machine() -> dict[str, Any]:
    cpuinfo = Path("/proc/cpuinfo").read_text()
    models = {line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")}
    return {"cpu": ", ".join(sorted(models)), "cores": cpuinfo.count("processor\t")}


async def stopped(client: WatchedClient) -> Record:
    """Its record, after the answer that it waits for."""
    return whole(await client.finish(_END_S))


async def ended(client: WatchedClient) -> Record:
    """Its record, once it has ended by itself."""
    return whole(await client.ended(_END_S))


def whole(record: Record) -> Record:
    """A number of a client that something went wrong with is no number."""
    if not record.whole:
        raise RuntimeError(f"the client says: {record.why or 'nothing'}")
    return record
