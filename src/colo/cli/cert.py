"""`colo cert`: the certificates of a deployment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from colo.pki import Issued

F = TypeVar("F", bound="Callable[..., Any]")


@click.group()
def command() -> None:
    """Make the certificates of a deployment: the authority, then one per node and one for the witness."""


def _dir_option(function: F) -> F:
    folder = click.Path(path_type=Path, file_okay=False)
    option = click.option(
        "--dir", "folder", type=folder, default=Path(), show_default=True, help="Where the files are."
    )
    return option(function)


@command.command()
@_dir_option
def init(folder: Path) -> None:
    """Make the authority of a deployment.

    That is ca.pem, which every host needs, and ca.key, which no host should have.
    """
    from colo.pki import create_authority

    _tell(create_authority(folder))


@command.command()
@click.argument("name")
@_dir_option
def node(name: str, folder: Path) -> None:
    """Make NAME.pem and NAME.key, signed by the authority.

    NAME is agent.node of a host, or `witness`.
    """
    from colo.pki import issue_node

    _tell(issue_node(folder, name))


def _tell(issued: Issued) -> None:
    click.echo(f"{issued.cert}  valid until {issued.expires:%Y-%m-%d}")
    click.echo(f"{issued.key}  keep it secret")
