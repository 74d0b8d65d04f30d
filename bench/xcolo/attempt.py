"""One attempt, the same for either system: boot, protect, idle, pages that differ (on a connection each, then
on one), loss of the primary.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import anyio.to_thread

from bench.xcolo.figures import SETTLE_S, Attempt
from colo.errors import ColoError
from colo.lab.pair import CLIENT
from colo.lab.process import HostProcess
from colo.lab.records import Record
from colo.lab.settings import GUEST_ADDRESS

if TYPE_CHECKING:
    from bench.xcolo.system import Case, System

_DIFFERING = ("gets", "--path", "/random", "--any-body", "--interval", "0.1")
_ONE = ("gets", "--path", "/random", "--any-body", "--count", "1")
_BOOT_S = 120.0
_ANSWER_S = 15.0
"""How long an answer may take before the system hangs."""


async def attempt(kind: type[System], case: Case) -> Attempt:
    """With a new pair."""
    found = Attempt()
    with TemporaryDirectory(prefix="colo-bench-") as folder:
        try:
            async with kind(Path(folder), case) as system:
                try:
                    await _steps(system, case.seconds, found)
                finally:
                    found.checkpoints = system.checkpoints
        except (ColoError, TimeoutError) as error:
            found.ended = str(error) or "no end within the deadline"
    return found


async def _steps(system: System, seconds: float, found: Attempt) -> None:
    await _client(system, "boot", "await-guest")
    await _client(system, "first", *_ONE)  # for which the guest's kernel gathers randomness, a second long
    found.sync_s = await system.protect()
    await idle(system, seconds, found)
    found.apart_first_ms, found.apart_ms = await _differing(system, seconds, "apart")
    found.kept_first_ms, found.kept_ms = await _differing(system, seconds, "kept", "--keep")
    await system.lose_primary()
    try:
        await _client(system, "replica", "gets", "--count", "5")
    except ColoError as error:
        raise ColoError("the replica does not answer", "") from error
    found.replica_whole = True


async def idle(system: System, seconds: float, found: Attempt) -> None:
    """Notes the pauses, also those before something goes wrong."""
    try:
        await system.watch(seconds)
    finally:
        found.idle_ms = list(system.pauses_ms)


async def _differing(
    system: System, seconds: float, name: str, *options: str
) -> tuple[list[float], list[float]]:
    """What the answers of the first `SETTLE_S` took, and what those of the seconds after that took."""
    with _started(system, name, *_DIFFERING, *options) as client:
        await system.work(SETTLE_S)
        soon = Record(client.log)
        soon.read()
        await system.work(seconds)
        client.signal(signal.SIGTERM)  # it waits for its last answer
        all_ms = (await _ended(client, _ANSWER_S)).waits_ms
    return all_ms[: soon.answers], all_ms[soon.answers :]


async def _client(system: System, name: str, *arguments: str) -> None:
    with _started(system, name, *arguments) as client:
        await _ended(client, _BOOT_S if name == "boot" else _ANSWER_S)


def _started(system: System, name: str, kind: str, *arguments: str) -> HostProcess:
    command = (sys.executable, "-m", "colo.lab.clients", kind, GUEST_ADDRESS, *arguments)
    return HostProcess(system.network, CLIENT, command, system.folder / f"client-{name}.log")


async def _ended(client: HostProcess, seconds: float) -> Record:
    try:
        await anyio.to_thread.run_sync(client.wait, seconds)
    except ColoError as error:
        raise ColoError("a client waits for an answer for ever", "") from error
    record = Record(client.log)
    record.read()
    if not record.whole:
        raise ColoError(f"the client says: {record.why}", "")
    return record
