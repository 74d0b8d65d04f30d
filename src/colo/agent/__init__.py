"""One host's half of one VM: feeds what happens to `colo.model` and carries out what it decides."""

from colo.agent.agent import run

__all__ = ["run"]
