"""`make soak N=..`: the whole matrix of losses, again and again, until one client notices."""

from __future__ import annotations

import anyio
import click

from bench.kept import folder_of
from bench.laboratory import guest
from colo.lab.trial import Outcome, Trial, all_trials, carry_out

_VERSIONS = ("7.2", "10.0")


@click.command()
@click.argument("loops", type=int)
def main(loops: int) -> None:
    """Run the matrix LOOPS times; exit 1 at the first problem, keeping the logs."""
    done = 0
    for loop in range(loops):
        version = _VERSIONS[loop % len(_VERSIONS)]
        for trial in all_trials():
            outcome = _one(trial, version)
            done += 1
            click.echo(
                f"{done:4} {version:5} {trial!s:32} outage {outcome.outage_ms:6.0f} ms  step {outcome.step}"
            )
    click.echo(f"{done} losses of a host, no client noticed one")


def _one(trial: Trial, version: str) -> Outcome:
    with folder_of(str(trial)) as folder:
        outcome = anyio.run(carry_out, trial, folder, guest(version))
        if outcome.problems:
            raise RuntimeError("; ".join(outcome.problems))
    return outcome


if __name__ == "__main__":
    main()
