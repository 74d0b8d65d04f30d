"""`colo demo`: boot a guest, protect it, kill its host under load, and look whether any client noticed."""

from __future__ import annotations

import signal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from attrs import define, frozen

from colo.demo.show import Show, traffic
from colo.errors import ColoError
from colo.lab.pair import HOSTS, Pair

if TYPE_CHECKING:
    from colo.api.service import Status
    from colo.lab.pair import Guest
    from colo.lab.records import WatchedClient

_TICK_S = 0.25
_END_S = 90.0
_ONE_MACHINE = (
    "This was one machine pretending to be four: it shows what colo does, it protects nothing.\n"
    "To go to two: `colo cert init`, `colo witness` on a third host, `colo agent CONFIG` on both, and\n"
    "`colo protect CONFIG` on the one that is to run the VM. Step by step: docs/operations.md."
)


@frozen
class Plan:
    """How long to let clients work before and after the host is killed, in seconds."""

    before_s: float = 8.0
    after_s: float = 6.0
    download_mib: int = 16


@frozen
class Report:
    """What the clients saw."""

    counted: int
    gets: int
    downloaded_mib: int
    outage_ms: float
    problems: tuple[str, ...]


async def run(guest: Guest, plan: Plan, show: Show) -> Report:
    """The whole demonstration. Raises ColoError when it could not be carried out at all."""
    with TemporaryDirectory(prefix="colo-demo-") as folder, show:
        show.say("Three hosts and a client, in network namespaces of this machine.")
        async with Pair(Path(folder), guest) as pair:
            return await _Demo(pair, plan, show).run()


def check_protected(status: Status) -> None:
    """ColoError when a host's death would be more than this machine could show."""
    if status.state != "protected":
        raise ColoError(
            f"{status.node} is {status.state} before any host has died: {status.why}",
            "two VMs need two processors to themselves: end what else works here, and try again",
        )


@define
class _Demo:
    pair: Pair
    plan: Plan
    show: Show
    clients: tuple[WatchedClient, ...] = ()

    async def run(self) -> Report:
        await self._protect()
        self.clients = tuple(self._clients())
        await self._watch(HOSTS[0], self.plan.before_s)
        await self._kill()
        await self._watch(HOSTS[1], self.plan.after_s)
        report = await self._report()
        self._tell(report)
        return report

    async def _protect(self) -> None:
        async for progress in self.pair.protect(HOSTS[0]):
            self.show.line(progress.sentence)
            if progress.phase != "pre-copy" or progress.done_bytes == 0:
                self.show.say(f"  {progress.sentence}")
        await self.pair.guest_answers()
        self.show.say("The guest answers, and is protected: two copies of it run in lock-step.")

    def _clients(self) -> list[WatchedClient]:
        mib = str(self.plan.download_mib)
        wanted = (
            ("counter", ("--interval", "0.01")),
            ("gets", ("--interval", "0.02")),
            ("download", ("--mib", mib)),
        )
        self.show.say("Clients: a counter over one connection held open, HTTP GETs, large downloads.")
        return [self.pair.client(kind, kind, *arguments) for kind, arguments in wanted]

    async def _watch(self, host: str, seconds: float) -> None:
        end = anyio.current_time() + seconds
        while anyio.current_time() < end:
            self._read()
            self.show.line(traffic(await self.pair.status(host), *(client.record for client in self.clients)))
            await anyio.sleep(_TICK_S)
        self.show.say(
            f"  {traffic(await self.pair.status(host), *(client.record for client in self.clients))}"
        )

    def _read(self) -> None:
        for client in self.clients:
            client.record.read()
            if client.record.verdict == "broken":
                raise ColoError(f"{client.name}: {client.record.why}", "see docs/operations.md")

    async def _kill(self) -> None:
        victim = self.pair.hosts[HOSTS[0]]
        for name in HOSTS:
            check_protected(await self.pair.status(name))
        victim.strike(signal.SIGKILL)
        self.show.say(f"Killed {victim.name}: its agent and its QEMU, with SIGKILL, under load.", "bold red")
        with anyio.fail_after(_END_S):
            status = await self.pair.until(HOSTS[1], "degraded")
        self.show.say(f"  {status.node}: {status.why}")

    async def _report(self) -> Report:
        for client in self.clients:
            await client.finish(_END_S)
        counter, gets, downloads = (client.record for client in self.clients)
        problems = tuple(problem for client in self.clients if (problem := client.problem) is not None)
        return Report(counter.answers, gets.answers, downloads.mib, counter.longest_ms, problems)

    def _tell(self, report: Report) -> None:
        self.show.say("")
        if report.problems:
            for problem in report.problems:
                self.show.say(f"FAILED  {problem}", "bold red")
        else:
            self.show.say("The host died; its client did not notice:", "bold green")
            self.show.say(f"  one connection, {report.counted} answers: no gap, no repeat, none out of order")
            self.show.say(
                f"  {report.gets} GETs and {report.downloaded_mib} MiB of downloads: every byte as it must be"
            )
        self.show.say(
            f"  the longest wait for an answer, over the death of the host: {report.outage_ms:.0f} ms"
        )
        self.show.say("")
        self.show.say(_ONE_MACHINE, "dim")
