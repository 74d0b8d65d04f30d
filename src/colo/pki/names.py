"""Names of nodes: they stand in certificates as DNS names, so they have to be DNS names."""

from __future__ import annotations

import re

from colo.errors import ConfigError

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_MAX = 253


def check_node_name(name: str) -> str:
    """`name` if it can stand in a certificate (RFC 1123, lower case), otherwise ConfigError.

    A last label of digits only is refused: TLS libraries would take such a name for an IPv4 address.
    """
    if len(name) > _MAX or not _NAME.fullmatch(name) or name.rpartition(".")[2].isdigit():
        raise ConfigError(
            f"{name!r} cannot be the name of a node",
            "use lower-case letters, digits and hyphens, such as 'alpha' or 'host-2.example'",
        )
    return name
