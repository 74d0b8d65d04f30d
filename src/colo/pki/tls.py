"""TLS 1.3 in both directions: each side shows a certificate of the deployment's authority."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from colo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from colo.config import TlsConfig


def server_context(files: TlsConfig) -> ssl.SSLContext:
    """Wants a client certificate of the authority; whom it names, the caller checks (`peer_names`)."""
    context = _context(files, ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0  # resumption would spare nothing here and keep key material around
    return context


def client_context(files: TlsConfig) -> ssl.SSLContext:
    """Checks that the server's certificate is of the authority and carries the name that is dialled."""
    return _context(files, ssl.PROTOCOL_TLS_CLIENT)


def peer_names(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """DNS names of a verified peer (the shape of `SSLSocket.getpeercert()`)."""
    entries = (certificate or {}).get("subjectAltName", ())
    return frozenset(value for kind, value in entries if kind == "DNS")


def _context(files: TlsConfig, protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(files.ca)
    except (OSError, ssl.SSLError) as e:
        raise _unusable(files.ca, e) from e
    try:
        context.load_cert_chain(files.cert, files.key)
    except (OSError, ssl.SSLError) as e:
        raise _unusable(f"{files.cert} with {files.key}", e) from e
    return context


def _unusable(what: object, error: Exception) -> ConfigError:
    return ConfigError(
        f"cannot use {what}: {error}", "make certificates with: colo cert init, colo cert node NAME"
    )
