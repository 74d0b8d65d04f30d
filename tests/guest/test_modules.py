from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colo.errors import CapabilityError
from colo.guest.modules import load_order

if TYPE_CHECKING:
    from pathlib import Path


def write_module(folder: Path, name: str, depends: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = f"\x7fELF\0license=GPL\0depends={depends}\0name={name}\0"
    (folder / f"{name}.ko").write_bytes(text.encode())


def test_every_module_comes_after_what_it_needs_and_once(tmp_path: Path) -> None:
    write_module(tmp_path / "net", "top", "middle,bottom")
    write_module(tmp_path / "net", "middle", "bottom")
    write_module(tmp_path / "core", "bottom", "")
    write_module(tmp_path / "core", "unwanted", "")
    assert [path.stem for path in load_order(tmp_path, ["top", "bottom"])] == ["bottom", "middle", "top"]


def test_dash_and_underscore_are_the_same(tmp_path: Path) -> None:
    write_module(tmp_path, "virtio-rng", "rng_core")
    write_module(tmp_path, "rng-core", "")
    assert [path.stem for path in load_order(tmp_path, ["virtio_rng"])] == ["rng-core", "virtio-rng"]


def test_a_kernel_without_a_module_is_refused_by_name(tmp_path: Path) -> None:
    write_module(tmp_path, "top", "missing")
    with pytest.raises(CapabilityError, match="no module missing"):
        load_order(tmp_path, ["top"])
