"""The command line as a process of its own, and one host of which nothing may be left behind."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, frozen

from colo.errors import AgentUnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEADLINE_S = 40.0
_SETTLED_S = 5.0
LOOPBACK = "127.0.0.1"
COLO = (sys.executable, "-m", "colo")


@frozen
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """What is wrong."""
        return f"\n{self.err}".rpartition("\nerror: ")[2].rpartition("\nhint: ")[0]

    @property
    def hint(self) -> str:
        """What to do about it."""
        return self.err.rpartition("\nhint: ")[2].strip()


def colo(*arguments: object, through: tuple[str, ...] = ()) -> Said:
    """Runs `colo` to its end, `through` another command if wanted."""
    argv = [*through, *COLO, *map(str, arguments)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_DEADLINE_S)
    assert "Traceback" not in done.stderr, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


@contextmanager
def running(log: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`colo`, ended with the context whatever happens in it; what it says on standard error goes to `log`."""
    with (
        log.open("w") as errors,
        subprocess.Popen([*COLO, *arguments], stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            yield process
            process.terminate()
            process.communicate(timeout=_DEADLINE_S)
        finally:
            process.kill()


@contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[Path]:
    """A small disk."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path, but: int = 0) -> None:
    """Leaves no room, or room for `but` bytes, on the disk of `folder`."""
    with (folder / "ballast").open("wb", buffering=0) as ballast:
        try:
            while ballast.write(bytes(4096)):
                pass
        except OSError:
            size = ballast.tell()
            ballast.truncate(max(size - but, 0))


def processes(folder: Path) -> list[str]:
    """Command lines of all processes that have to do with `folder`."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has just ended
        if str(folder) in line:
            found.append(line)
    return found


def sockets(folder: Path) -> list[Path]:
    """Sockets in a run folder, QEMU's too."""
    return [path for path in folder.rglob("*") if path.is_socket()]


def memory_files(folder: Path) -> set[Path]:
    """Folders with the memory and state of VMs that no process has to do with."""
    return {path for path in folder.rglob("colo-vm-*") if not processes(path)}


def abandoned(folders: set[Path]) -> set[Path]:
    """Those that stay as they are. Whoever else makes a VM on this machine uses or removes his soon."""
    end = time.monotonic() + _SETTLED_S
    while folders and time.monotonic() < end:
        folders = {folder for folder in folders if folder.exists() and not processes(folder)}
    return folders


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        return int(sock.getsockname()[1])


@define
class LoneHost:
    """A host whose world is the loopback device; its uplink is a socket of the test."""

    folder: Path
    config: Path
    qemu: Path
    witness_port: int
    port: int

    @classmethod
    def make(cls, folder: Path, certificates: Path, qemu: Path) -> LoneHost:
        """`certificates` holds those of alpha and of the witness."""
        host = cls(folder, folder / "web.toml", qemu, free_port(), free_port())
        folder.mkdir(exist_ok=True)
        host.config.write_text(_TOML.format(host=host, tls=certificates))
        return host

    @property
    def run_dir(self) -> Path:
        return self.folder / "run"

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    def change(self, old: str, new: str) -> None:
        """Edits the configuration."""
        text = self.config.read_text()
        assert text.count(old) == 1
        self.config.write_text(text.replace(old, new))

    @contextmanager
    def uplink(self) -> Iterator[None]:
        """The switch that the VM's network card is to be connected to."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(self.folder / "uplink.sock"))
            listener.listen()
            yield

    @contextmanager
    def agent(self) -> Iterator[subprocess.Popen[str]]:
        """Runs until the end of the context; answers from the beginning on."""
        with self.uplink(), running(self.folder / "agent.log", "agent", str(self.config)) as agent:
            while colo("status", self.config).code == AgentUnreachableError.exit_code:
                assert agent.poll() is None
            yield agent

    @contextmanager
    def witness(self, certificates: Path) -> Iterator[None]:
        """Runs until the end of the context, and listens from the beginning on."""
        command = witness_command(certificates, self.folder / "witness", self.witness_port)
        with running(self.folder / "witness.log", *command) as witness:
            assert witness.stdout
            assert any("listens on port" in line for line in witness.stdout)
            yield

    def status(self) -> dict[str, object]:
        """What its agent says."""
        status: dict[str, object] = json.loads(colo("status", self.config, "--format", "json").out)
        return status

    def nothing_is_left(self) -> bool:
        """No process, no socket, no file of a VM."""
        return not (processes(self.folder) or sockets(self.run_dir) or memory_files(self.run_dir))


def witness_command(certificates: Path, state_dir: Path, port: int) -> tuple[str, ...]:
    """The arguments of `colo` for a witness."""
    files = [f"--{option}={certificates / file}" for option, file in _WITNESS_FILES.items()]
    listen = ["--listen", f"{LOOPBACK}:{port}", "--state-dir", str(state_dir)]
    return ("witness", *listen, *files)


_WITNESS_FILES = {"ca": "ca.pem", "cert": "witness.pem", "key": "witness.key"}
_TOML = """
[agent]
node = "alpha"
peer_node = "beta"
run_dir = "run"
state_dir = "state"
listen = "127.0.0.1:{host.port}"
peer = "127.0.0.1:1"
[tls]
ca = "{tls}/ca.pem"
cert = "{tls}/alpha.pem"
key = "{tls}/alpha.key"
[witness]
address = "127.0.0.1:{host.witness_port}"
[vm]
name = "web"
memory_mib = 32
qemu = "{host.qemu}"
[[vm.nic]]
mac = "52:54:00:c0:10:01"
uplink = {{ unix = "uplink.sock" }}
"""
