"""Makes the QEMUs, firmware and the demo guest ready in the cache; started by tools/setup.py, in the venv."""

from __future__ import annotations

import sys
from pathlib import Path

import firmware
import qemu_releases

from colo import guest
from colo._core import guest_program
from colo.errors import ColoError
from colo.lab import netem


def main(cache: Path) -> None:
    """Fetches and builds what is missing or of another version; seconds when nothing is."""
    qemu_releases.provide(cache, say)
    firmware.provide(cache, say)
    guest.build(cache / "guest", cache, guest_program(), say)
    netem.build(cache, say)


def say(line: str) -> None:
    """One line of progress, at once."""
    print(line, flush=True)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except ColoError as error:
        sys.exit(f"error: {error.message}\nhint: {error.hint}")
