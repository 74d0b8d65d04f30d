"""The tracker for kernels without PAGEMAP_SCAN, on such a kernel: the demo guest's, booted for the purpose.

What runs there is `crates/ram/examples/soft_dirty.rs`, the crate itself in a static program.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from colo.guest import cpio

if TYPE_CHECKING:
    from colo.guest import GuestImage

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
TARGET = "x86_64-unknown-linux-gnu"
INIT = b"""#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/soft_dirty
/bin/busybox poweroff -f
"""


@pytest.fixture(scope="module")
def program() -> Path:
    """Static, in a target folder of its own: other flags would have everything else built anew."""
    folder = ROOT / "target/static"
    options = ["--quiet", "--release", "--package", "colo-ram", "--example", "soft_dirty"]
    subprocess.run(
        ["cargo", "build", *options, "--target", TARGET, "--target-dir", folder],
        cwd=ROOT,
        env={**os.environ, "RUSTFLAGS": "-C target-feature=+crt-static"},
        check=True,
    )
    return folder / TARGET / "release/examples/soft_dirty"


def _initramfs(program: Path, busybox: Path) -> bytes:
    return cpio.archive(
        [
            *(cpio.directory(path) for path in ("bin", "dev", "proc")),
            cpio.file("init", INIT, executable=True),
            cpio.file("bin/busybox", busybox.read_bytes(), executable=True),
            cpio.file("bin/soft_dirty", program.read_bytes(), executable=True),
        ]
    )


def test_soft_dirty_works_on_a_kernel_that_has_nothing_better(
    program: Path, qemus: tuple[Path, ...], guest: GuestImage, cache: Path, tmp_path: Path
) -> None:
    initramfs = tmp_path / "initramfs"
    initramfs.write_bytes(_initramfs(program, cache / "guest-parts/busybox"))
    command = [
        *(str(qemus[0]), "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-serial", "stdio", "-machine", "q35,accel=tcg", "-m", "256"),
        *("-kernel", str(guest.kernel), "-initrd", str(initramfs)),
        *("-append", "console=ttyS0 quiet panic=-1 no_timer_check"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    said = done.stdout.splitlines()
    assert any(line.startswith("soft-dirty: usable: ") for line in said), done.stdout
    assert any(line.startswith("pagemap-scan: not usable: ") for line in said), done.stdout
    assert "passed" in said, done.stdout
