"""What a laboratory has left whose process was killed: namespaces, and whoever still runs in them.

The name of a namespace says which process made it. A pid alone may be somebody else's by now; with the start
time it is that process, or nobody (proc(5), `starttime`).
"""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pyroute2 import netns

from colo.hypervisor.leftover import start_time
from colo.lab.process import Stranger

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACES = Path("/run/netns")
_NAME = re.compile(r"colo(\d+)-(\d+)\.\d+-[a-z]+")


def prefix(number: int) -> str:
    """Of the names in the laboratory of that number that this process makes."""
    return f"colo{os.getpid()}-{start_time(os.getpid())}.{number}"


def clear() -> None:
    """Ends the processes in namespaces whose maker is gone, and removes these; those of the living stay."""
    for name in sorted(path.name for path in NAMESPACES.glob("colo*")):
        found = _NAME.fullmatch(name)
        if found is None or start_time(int(found[1])) == int(found[2]):
            continue
        with suppress(FileNotFoundError):  # somebody else clears, too
            for process in _inside(NAMESPACES / name):
                process.signal(signal.SIGKILL)
                process.close()
            netns.remove(name)


def _inside(namespace: Path) -> Iterator[Stranger]:
    inode = namespace.stat().st_ino
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):  # gone, or not ours
            process = Stranger(int(folder.name))
            if (folder / "ns/net").stat().st_ino == inode:
                yield process
            else:
                process.close()
