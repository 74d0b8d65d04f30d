"""The certificates of a deployment: one small authority, one certificate per node, TLS 1.3 both ways."""

from colo.pki.authority import Issued, create_authority, issue_node
from colo.pki.inspect import certificate_problems, require_certificate
from colo.pki.names import check_node_name
from colo.pki.tls import client_context, peer_names, server_context

__all__ = [
    "Issued",
    "certificate_problems",
    "check_node_name",
    "client_context",
    "create_authority",
    "issue_node",
    "peer_names",
    "require_certificate",
    "server_context",
]
