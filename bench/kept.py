"""The logs of a failure are kept."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def folder_of(what: str) -> Iterator[Path]:
    """A folder for one trial. It stays, and the command ends with its name, when that fails."""
    folder = Path(mkdtemp(prefix="colo-bench-"))
    try:
        yield folder
    except Exception as error:
        raise click.ClickException(f"{what}: {error!r}; logs are in {folder}") from error
    shutil.rmtree(folder)
