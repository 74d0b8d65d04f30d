"""`colo witness`: the third host."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from colo.cli.parameters import ADDRESS, tls_options

if TYPE_CHECKING:
    from anyio import CancelScope

    from colo.config import Address, TlsConfig


@click.command()
@click.option(
    "--listen", type=ADDRESS, default="0.0.0.0:7790", show_default=True, help="Address to listen on."
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="What it must not forget (0700).",
)
@click.option("--node", default="witness", show_default=True, help="Its name in its certificate.")
@tls_options
def command(listen: Address, state_dir: Path, node: str, tls: TlsConfig) -> None:
    """Run the witness on a third host: it grants leases, and so decides which host may run a VM."""
    import anyio

    from colo.cli import logs
    from colo.pki import require_certificate

    logs.configure()
    require_certificate(tls, node)
    anyio.run(_serve, listen, state_dir, node, tls)


async def _serve(listen: Address, state_dir: Path, node: str, tls: TlsConfig) -> None:
    import anyio

    from colo.lock import WitnessServer
    from colo.state import hold_folder

    with hold_folder(state_dir, "another witness uses it: give each its own --state-dir"):
        server = WitnessServer(state_dir, tls, node)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_on_signal, tasks.cancel_scope)
            port: Any = await tasks.start(server.serve, listen)
            click.echo(f"witness {node} listens on port {port}")


async def _end_on_signal(scope: CancelScope) -> None:
    import anyio

    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()
            return
