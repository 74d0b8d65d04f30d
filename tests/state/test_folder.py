from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from colo.errors import AddressInUseError, StateFolderError
from colo.state import hold_folder

if TYPE_CHECKING:
    from pathlib import Path


def test_a_second_owner_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    with hold_folder(tmp_path, "hint"):
        with (
            pytest.raises(AddressInUseError, match=str(os.getpid())) as e,
            hold_folder(tmp_path, "stop that one"),
        ):
            pass
        assert e.value.hint == "stop that one"
    with hold_folder(tmp_path, "hint"):
        pass


def test_a_killed_owner_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from colo.state import hold_folder\n"
        "with hold_folder(pathlib.Path(sys.argv[1]), ''): os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    with hold_folder(tmp_path, "hint"):
        pass


def test_the_folder_is_made_and_private(tmp_path: Path) -> None:
    with hold_folder(tmp_path / "a" / "b", "hint"):
        assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateFolderError), hold_folder(tmp_path / "file", "hint"):
        pass
