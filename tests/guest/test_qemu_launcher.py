from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SHIM = """
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void report(void) {
    FILE *file = fopen(getenv("SHIM_REPORT"), "a");
    fprintf(file, "%d\\n", getpid());
    fclose(file);
}
"""


@contextmanager
def started(qemu: Path, environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A QEMU without a machine that has said its QMP greeting."""
    command = [str(qemu), "-machine", "none", "-nodefaults", "-display", "none", "-qmp", "stdio"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **(environment or {})}
    ) as process:
        assert process.stdout is not None
        assert b"QMP" in process.stdout.readline()
        yield process
        process.kill()


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "shim.so", "shim.c"], cwd=folder, check=True)
    return folder / "shim.so"


def test_the_process_that_is_started_is_qemu(qemu: Path) -> None:
    with started(qemu) as process, open(f"/proc/{process.pid}/comm") as comm:  # noqa: PTH123
        assert comm.read() == "qemu-system-x86\n"


def test_no_library_of_the_machine_is_loaded(qemu: Path) -> None:
    with started(qemu) as process, open(f"/proc/{process.pid}/maps") as maps:  # noqa: PTH123
        files = {words[5] for line in maps if len(words := line.split()) > 5 and words[5].startswith("/")}
    foreign = {path for path in files if not path.startswith((f"{qemu.parent}/", "/memfd:", "/dev/zero"))}
    assert any(path.endswith("/libc.so.6") for path in files)
    assert foreign == set()


def test_firmware_is_looked_for_in_its_own_release_first(qemu: Path) -> None:
    listed = subprocess.run(
        [qemu, "-L", "help"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    own = [Path(path) for path in listed[:3]]
    assert all(path.is_relative_to(qemu.parent) for path in own)
    assert any((path / "bios-256k.bin").exists() for path in own)


def test_a_preloaded_library_gets_into_qemu_and_into_nothing_before_it(
    qemu: Path, shim: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    with started(qemu, {"LD_PRELOAD": str(shim), "SHIM_REPORT": str(report)}) as process:
        assert report.read_text() == f"{process.pid}\n"
