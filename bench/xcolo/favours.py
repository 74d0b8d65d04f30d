"""What x-colo is given besides what its document says, without which it does not get far; see
docs/decisions/0028.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from colo.lab.pair import HOSTS, MANAGEMENT

if TYPE_CHECKING:
    from colo.lab.namespaces import Network

_PORT = 9998
_CONNECT_S = 5.0
_ON_ONE = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK  # the COLO thread, which is to come, is an ordinary one


def keep_from_deadlock(pid: int, vcpu: int) -> None:
    """COLO's thread waits for the vCPU's with a lock that it does not have, and takes it for good if it must
    wait (tcg_log_global_after_sync, do_run_on_cpu: under TCG only). It need not if all others go first.
    """
    for thread in map(int, os.listdir(f"/proc/{pid}/task")):  # noqa: PTH208 - numbers
        os.sched_setaffinity(thread, {min(os.sched_getaffinity(0))})
        os.sched_setscheduler(thread, _ON_ONE, os.sched_param(1 if thread == vcpu else 2))


def channel(network: Network) -> tuple[socket.socket, socket.socket]:
    """A connection between the hosts without Nagle's algorithm, which QEMU leaves on: a checkpoint's small
    messages would wait for delayed acknowledgements, 40 ms each time.
    """
    with network.inside(HOSTS[1]):
        listener = socket.create_server((MANAGEMENT[HOSTS[1]], _PORT))
    with listener, network.inside(HOSTS[0]):
        ours = socket.create_connection(listener.getsockname(), _CONNECT_S)
        theirs, _ = listener.accept()
    for end in (ours, theirs):
        end.setblocking(True)  # noqa: FBT003
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ours, theirs
