"""Who may run a VM: the witness, and the client that asks it. The rules are in `colo.model.witness`."""

from colo.lock.client import Grant, LeaseClient, LeaseRefusedError, WitnessUnreachableError
from colo.lock.server import WitnessServer
from colo.lock.wire import LeaseRecord

__all__ = [
    "Grant",
    "LeaseClient",
    "LeaseRecord",
    "LeaseRefusedError",
    "WitnessServer",
    "WitnessUnreachableError",
]
