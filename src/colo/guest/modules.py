"""Kernel modules and the order to load them in.

A package of a kernel has no modules.dep: depmod writes that on installation. What a module needs stands in
its own ".modinfo" section as `depends=a,b` (include/linux/module.h of Linux).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from colo.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


def load_order(folder: Path, wanted: Iterable[str]) -> list[Path]:
    """The files of the wanted modules under `folder` and of all they need, each after what it needs.

    CapabilityError for a module that is not there: this is not the kernel we know.
    """
    files = {_name(path): path for path in sorted(folder.rglob("*.ko"))}
    order: dict[str, Path] = {}

    def add(name: str) -> None:
        if name in order:
            return
        if name not in files:
            raise CapabilityError(f"the kernel in {folder} has no module {name}")
        for needed in _needs(files[name]):
            add(needed)
        order[name] = files[name]

    for name in wanted:
        add(name)
    return list(order.values())


def _name(path: Path) -> str:
    """The kernel takes - and _ for the same."""
    return path.stem.replace("-", "_")


def _needs(path: Path) -> list[str]:
    found = _DEPENDS.search(path.read_bytes())
    names = found[1].decode() if found else ""
    return [name.replace("-", "_") for name in names.split(",") if name]
