"""The two programs under measurement: each connects to three unix sockets, and its threads' cost is known."""

from __future__ import annotations

import json
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from bench.laboratory import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES = ("primary", "secondary", "out")
_START_S = 10


@frozen
class Subject:
    """A running comparison."""

    name: str
    process: subprocess.Popen[bytes]
    links: list[socket.socket]
    """Primary in, secondary in, out; connected."""

    def cpu_ns(self) -> int:
        """Nanoseconds that all its threads have run (/proc/PID/schedstat)."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


@frozen
class Ours:
    """`crates/relay/examples/compare_sockets.rs`."""

    program: Path
    name: str = "colo"

    def command(self, sockets: list[Path]) -> list[str]:
        return [str(self.program), *map(str, sockets)]


@frozen
class Theirs:
    """A stock QEMU without a guest."""

    program: Path
    name: str = "colo-compare"

    def command(self, sockets: list[Path]) -> list[str]:
        devices = [
            argument
            for name, path in zip(_NAMES, sockets, strict=True)
            for argument in ("-chardev", f"socket,id={name},path={path},server=off")
        ]
        comparison = "colo-compare,id=c,primary_in=primary,secondary_in=secondary,outdev=out,iothread=io"
        machine = ["-machine", "none", "-nodefaults", "-display", "none", "-accel", "tcg"]
        return [str(self.program), *machine, *devices, "-object", "iothread,id=io", "-object", comparison]


@contextmanager
def running(subject: Ours | Theirs, folder: Path) -> Iterator[Subject]:
    """Starts it and waits until it has connected; ends it."""
    paths = [folder / name for name in _NAMES]
    with ExitStack() as stack:
        listeners = [stack.enter_context(_listener(path)) for path in paths]
        process = stack.enter_context(subprocess.Popen(subject.command(paths)))
        stack.callback(process.kill)
        links = [stack.enter_context(listener.accept()[0]) for listener in listeners]
        yield Subject(subject.name, process, links)


def build(crate: str, example: str) -> Path:
    """Compiles an example, optimised, and returns the program."""
    command = ["cargo", "build", "--quiet", "--release", "--package", crate, "--example", example]
    done = subprocess.run(
        [*command, "--message-format=json"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    programs = [item["executable"] for item in found if item.get("executable")]
    return Path(programs[-1])


def _listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.settimeout(_START_S)
    listener.bind(str(path))
    listener.listen()
    return listener
