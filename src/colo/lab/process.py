"""One process on a host of the laboratory: started in its namespace, logged to a file, killed or frozen by
pid.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from colo.errors import ColoError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from colo.lab.namespaces import Network


class HostProcess:
    """`argv` on `host`; standard output and error go to `log`. Ends with the context, whatever state it is
    in.
    """

    def __init__(self, network: Network, host: str, argv: tuple[str, ...], log: Path) -> None:
        self._argv = network.command(host, argv)
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self._argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    @property
    def pid(self) -> int:
        """The pid; nsenter replaces itself, so it is the program's own."""
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal; a process that is gone already is an error of the caller."""
        self._process.send_signal(number)

    def wait(self, seconds: float) -> int:
        """The exit status, or ColoError after `seconds`."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise ColoError(f"{self._argv[-1]} did not end within {seconds} s", f"read {self.log}") from error

    def ended(self) -> int | None:
        """The exit status of a process that has ended, None while it runs."""
        return self._process.poll()

    def end(self) -> None:
        """Asks it to end, then makes it; a frozen process is thawed first."""
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class Stranger:
    """A process that is no child of ours (QEMU is an agent's), held by a pidfd: once it has ended, nothing is
    signalled, though its pid may be somebody else's by then (pidfd_open(2)).
    """

    def __init__(self, pid: int) -> None:
        """Of the process that has the pid now. Raises ProcessLookupError."""
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, if the process is still there."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def close(self) -> None:
        """Lets go of it; it is not touched."""
        os.close(self._pidfd)
