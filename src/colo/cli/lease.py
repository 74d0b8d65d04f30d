"""`colo lease`: the witness's record of a VM."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - click's callbacks are inspected at run time
from typing import TYPE_CHECKING

import click

from colo.cli.output import config_argument, format_option, is_json, print_json, print_pairs
from colo.cli.parameters import ADDRESS, tls_options

if TYPE_CHECKING:
    from colo.config import Address, TlsConfig
    from colo.lock import LeaseRecord

DEADLINE_S = 2.0


@click.group()
def command() -> None:
    """Look at the witness's record of a VM, or drop it."""


@command.command()
@config_argument
@format_option
def show(config: Path) -> None:
    """Show who holds the lease of CONFIG's VM, and who may take over."""
    import anyio

    record = anyio.run(_status, config)
    if is_json():
        print_json({"record": record})
    elif record is None:
        click.echo("the witness has no record of this VM: any node may start it")
    else:
        left = f"{record.remaining_ms} ms" if record.remaining_ms else "run out"
        print_pairs(
            {
                "holder": record.holder,
                "standby": record.standby or "nobody",
                "token": record.token,
                "lease": f"{left} of {record.ttl_ms} ms",
            }
        )


async def _status(config: Path) -> LeaseRecord | None:
    from colo.config import load
    from colo.lock import LeaseClient

    loaded = load(config)
    client = LeaseClient(
        loaded.witness.address,
        loaded.tls,
        loaded.agent.node,
        loaded.vm.name,
        witness_node=loaded.witness.node,
        deadline_s=DEADLINE_S,
    )
    try:
        return await client.status()
    finally:
        await client.aclose()


@command.command()
@click.argument("vm")
@click.option("--address", type=ADDRESS, default="127.0.0.1:7790", show_default=True, help="The witness.")
@click.option("--node", default="witness", show_default=True, help="The witness's name in its certificate.")
@tls_options
@click.confirmation_option(
    prompt="Are you certain that neither host runs this VM? Whichever starts first will then own it"
)
@format_option
def forget(vm: str, address: Address, node: str, tls: TlsConfig) -> None:
    """Drop the witness's record of VM.

    Then any node may start it, with whatever copy it has. Run it on the witness's host: only the witness's
    own certificate may do this, and only when the lease has run out.
    """
    import anyio

    anyio.run(_forget, vm, address, node, tls)
    click.echo(f"the record of {vm} is dropped")


async def _forget(vm: str, address: Address, node: str, tls: TlsConfig) -> None:
    from colo.lock import LeaseClient

    client = LeaseClient(address, tls, node, vm, witness_node=node, deadline_s=DEADLINE_S)
    try:
        await client.forget()
    finally:
        await client.aclose()
