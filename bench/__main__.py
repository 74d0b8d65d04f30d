"""`make bench`: what protection costs, as a table and as JSON (bench/results/)."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import click
from rich.console import Console

from bench import report
from bench.checkpoint import plan
from bench.checkpoint.measure import measure, room_for
from bench.failover import measure_failovers
from bench.traffic import measure_traffic
from colo import __version__
from colo.hypervisor.probe import probe
from colo.lab.pair import Guest

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("COLO_CACHE") or ROOT / ".cache").resolve()
console = Console(width=190)


@click.command()
@click.option("--memory", "memories", type=int, multiple=True, help="MiB, instead of some sizes; may repeat.")
@click.option("--seconds", default=10.0, help="How long each load runs.")
@click.option("--failovers", default=5, help="How many failovers.")
@click.option("--qemu", default="7.2", help="Version under .cache/qemu, or a path.")
def main(memories: tuple[int, ...], seconds: float, failovers: int, qemu: str) -> None:
    """Measure pauses, traffic and failovers of a pair on this machine."""
    path = Path(qemu) if "/" in qemu else CACHE / f"qemu/{qemu}/qemu-system-x86_64"
    guest = Guest(CACHE / "guest/vmlinuz", CACHE / "guest/initramfs", path)
    results = anyio.run(_measure, guest, memories, seconds, failovers)
    name = result_file(results)
    name.write_text(json.dumps(results, indent=1))
    for table in report.tables(results):
        console.print(table)
    console.print(f"as JSON: {name.relative_to(ROOT)}")


async def _measure(guest: Guest, memories: tuple[int, ...], seconds: float, failovers: int) -> dict[str, Any]:
    results = await about(guest) | {"seconds_per_load": seconds, "checkpoints": []}
    for setup in plan.chosen(memories, (1,), ()) if memories else plan.short():
        if reason := room_for(setup):
            console.print(f"checkpoints, {setup.memory_mib} MiB: left out, {reason}")
        else:
            results["checkpoints"] += await measure(guest, setup, seconds, console.print)
    console.print("traffic, unprotected and protected ...")
    results["traffic"] = await measure_traffic(guest, seconds)
    console.print(f"failovers, {failovers} times ...")
    results["failover"] = await measure_failovers(guest, failovers)
    return results


async def about(guest: Guest) -> dict[str, Any]:
    """When, where and with what a result was taken."""
    program = await probe(str(guest.qemu))
    return {
        "when": datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"),
        "machine": _machine(),
        "versions": {"colo": __version__, "qemu": program.version_text, "kernel": platform.release()},
    }


def result_file(results: dict[str, Any]) -> Path:
    """Where they are kept."""
    folder = ROOT / "bench/results"
    folder.mkdir(exist_ok=True)
    return folder / f"{results['when']}.json"


def _machine() -> dict[str, Any]:
    cpuinfo = Path("/proc/cpuinfo").read_text()
    models = {line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")}
    return {"cpu": ", ".join(sorted(models)), "cores": cpuinfo.count("processor\t")}


if __name__ == "__main__":
    main()
