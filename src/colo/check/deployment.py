"""What belongs to the configuration: its files, its certificates, its witness."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from colo.api.endpoint import SOCKET_NAME
from colo.check.finding import Finding, Level, failed, ok
from colo.config import check_files
from colo.errors import ConfigError, LeaseError
from colo.lock import LeaseClient
from colo.pki import certificate_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colo.config import Config

_DEADLINE_S = 3.0


def files(config: Config) -> Iterator[Finding]:
    """All that the configuration names can be read, and the certificate is this node's."""
    try:
        check_files(config)
        yield ok("files", "all that the configuration names can be read")
    except ConfigError as e:
        yield failed("files", e)
    problems = certificate_problems(config.tls, config.agent.node)
    for problem in problems:
        level = Level.FAIL if problem.fatal else Level.WARN
        yield Finding("certificate", level, problem.message, f"colo cert node {config.agent.node}")
    if not problems:
        yield ok("certificate", f"{config.tls.cert} is valid for {config.agent.node}")


def running_agent(config: Config) -> Finding | None:
    """Set if this VM's agent runs here: then its memory is taken and its port is in use, by itself."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(_DEADLINE_S)
        try:
            sock.connect(str(config.agent.run_dir / SOCKET_NAME))
        except OSError:
            return None
    return ok("agent", f"runs already (run folder {config.agent.run_dir}); memory and port are not checked")


async def witness(config: Config) -> Finding:
    """Ask it for the VM's record: that takes every certificate and name that a lease takes."""
    name = f"witness {config.witness.node}"
    try:
        client = LeaseClient(
            config.witness.address,
            config.tls,
            config.agent.node,
            config.vm.name,
            witness_node=config.witness.node,
            deadline_s=_DEADLINE_S,
        )
        record = await client.status()
        await client.aclose()
    except (LeaseError, ConfigError) as e:
        return failed(name, e)
    knows = f"{config.vm.name} is {record.holder}'s" if record else f"{config.vm.name} is not known yet"
    return ok(name, f"answers at {config.witness.address}; {knows}")
