"""`colo agent`: one host's half of one VM."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from colo.cli.output import config_argument


@click.command()
@config_argument
@click.option("--boot", is_flag=True, help="Start the VM here, if the witness agrees.")
@click.option(
    "--capture",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the frames around divergences into this folder, for Wireshark.",
)
def command(config: Path, *, boot: bool, capture: Path | None) -> None:
    """Run this host's half of the VM that CONFIG describes, until stopped.

    Without --boot it waits for the other host to ask for protection.
    """
    import anyio

    import colo.agent
    from colo.cli import logs
    from colo.config import check_files, load
    from colo.pki import require_certificate

    logs.configure()
    loaded = load(config)
    check_files(loaded, config)
    require_certificate(loaded.tls, loaded.agent.node)
    anyio.run(partial(colo.agent.run, loaded, boot=boot, capture=capture))
