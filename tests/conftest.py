"""What tests share: real QEMUs and the demo guest, both made by `make setup`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from colo.guest import GuestImage

ROOT = Path(__file__).resolve().parent.parent
QEMU_VERSIONS = ("7.2", "10.0", "newest", *filter(None, [os.environ.get("COLO_QEMU")]))
"""Folders of the cache, and a program of the operator's own."""


settings.register_profile("colo", deadline=None)  # how long an example takes says nothing on a busy machine
settings.load_profile("colo")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses the fixture `qemu` has the marker `qemu`."""
    for item in items:
        if "qemu" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.qemu)


@pytest.fixture(scope="session")
def cache() -> Path:
    """Where `make setup` keeps what it fetched."""
    return Path(os.environ.get("COLO_CACHE") or ROOT / ".cache").resolve()


@pytest.fixture(scope="session", params=QEMU_VERSIONS)
def qemu(request: pytest.FixtureRequest, cache: Path) -> Path:
    """The program to start a QEMU with: a test that asks for it runs once with each version."""
    return _program(cache, request.param)


@pytest.fixture(scope="session")
def qemus(cache: Path) -> tuple[Path, ...]:
    """All of them, for tests that take one after the other, or two at once."""
    return tuple(_program(cache, version) for version in QEMU_VERSIONS)


@pytest.fixture(scope="session")
def guest(cache: Path) -> GuestImage:
    """Kernel and initramfs of the demo guest."""
    return GuestImage(_made(cache / "guest/vmlinuz"), _made(cache / "guest/initramfs"))


@pytest.fixture(scope="session")
def netem_image(cache: Path) -> GuestImage:
    """Kernel and initramfs of the VM that is a bad cable."""
    return GuestImage(_made(cache / "netem/vmlinuz"), _made(cache / "netem/initramfs"))


def _program(cache: Path, version: str) -> Path:
    return _made(Path(version) if "/" in version else cache / "qemu" / version / "qemu-system-x86_64")


def _made(path: Path) -> Path:
    if not path.exists():
        pytest.fail(f"{path} is missing: run `make setup`", pytrace=False)
    return path
