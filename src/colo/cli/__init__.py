"""The command `colo`: one file per command, loaded when it is used."""

from __future__ import annotations

import click

from colo import __version__
from colo.cli.group import ColoGroup

COMMANDS = {
    "agent": "Run this host's half of a protected VM.",
    "cert": "Make the certificates of a deployment.",
    "check": "Say what this machine offers, and what is missing.",
    "checkpoint": "Take a checkpoint now.",
    "demo": "Watch a VM outlive its host, on one machine.",
    "divergences": "Show where the two copies differed.",
    "events": "Follow what an agent does.",
    "failover": "Hand the VM over to the other host.",
    "guest": "Build the demo guest.",
    "lease": "Look at the witness's record of a VM, or drop it.",
    "plan": "Compute what protecting a VM takes.",
    "protect": "Bring the VM under protection.",
    "status": "Show what an agent is doing.",
    "stop": "End an agent.",
    "why": "Say why answers wait for the copy, or for checkpoints.",
    "witness": "Run the witness: it decides who may run a VM.",
}


@click.group(cls=ColoGroup, commands_of=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="colo")
def main() -> None:
    """Fault tolerance for virtual machines, from outside, on stock QEMU.

    Exit codes: 0 done, 1 other error, 2 usage, 3 configuration, 4 no agent, 5 QEMU, 6 peer unreachable, 7
    peer incompatible, 8 address in use, 9 state folder, 10 lease, 11 this machine lacks something, 12 not in
    this state, 130 interrupted.
    """
