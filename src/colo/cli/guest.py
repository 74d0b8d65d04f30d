"""`colo guest`: the guest of the demonstration."""

from __future__ import annotations

from pathlib import Path

import click

from colo.errors import CapabilityError


@click.group()
def command() -> None:
    """Build the demo guest: Debian's kernel and one small program."""


@command.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("guest"),
    show_default=True,
    help="Folder for vmlinuz and initramfs.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="COLO_CACHE",
    default=Path(".cache"),
    show_default=True,
    help="Folder for what is downloaded.",
)
def build(output: Path, cache: Path) -> None:
    """Write vmlinuz and initramfs of the demo guest.

    The kernel is downloaded with this machine's apt.
    """
    import colo.guest

    try:
        from colo._core import guest_program
    except ImportError as e:
        raise CapabilityError(f"the Rust core is not built: {e}", "run `make setup`") from e
    image = colo.guest.build(output, cache, guest_program(), lambda line: click.echo(line, err=True))
    click.echo(image.kernel)
    click.echo(image.initramfs)
