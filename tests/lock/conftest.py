from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colo.config import TlsConfig
from colo.pki import create_authority, issue_node

if TYPE_CHECKING:
    from pathlib import Path

NODES = ("witness", "alpha", "beta", "gamma")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TlsConfig]:
    folder = tmp_path_factory.mktemp("pki")
    create_authority(folder)
    for node in NODES:
        issue_node(folder, node)
    return {n: TlsConfig(folder / "ca.pem", folder / f"{n}.pem", folder / f"{n}.key") for n in NODES}


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "witness"
    folder.mkdir()
    return folder
