"""Make the authority of a deployment and the certificates of its nodes.

ECDSA P-256 with SHA-256: what every TLS library in use here signs and verifies. The authority's key is needed
only to issue certificates: keep it off the hosts. There is no revocation: after the loss of a node's key,
make a new authority and new certificates for all.
"""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from colo.errors import ConfigError, StateFolderError
from colo.pki.names import check_node_name

if TYPE_CHECKING:
    from pathlib import Path

CA_LIFETIME = timedelta(days=3650)
NODE_LIFETIME = timedelta(days=730)
# The clocks of the hosts need not agree: a certificate made on a fast host is valid on a slow one.
BACKDATED = timedelta(days=1)


@frozen
class Issued:
    """Where a certificate and its key were written, and the last moment at which it is valid (UTC)."""

    cert: Path
    key: Path
    expires: datetime


def create_authority(folder: Path) -> Issued:
    """Write `ca.pem` and `ca.key` (0600) into `folder`; refuses to overwrite either."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "colo authority")])
    builder = (
        _builder(name, name, key.public_key(), CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
    )
    return _write(folder, "ca", builder.sign(key, hashes.SHA256()), key)


def issue_node(folder: Path, node: str) -> Issued:
    """Write `<node>.pem` and `<node>.key` (0600), signed by the authority in `folder`."""
    check_node_name(node)
    if node == "ca":
        raise ConfigError("a node cannot be called 'ca': the authority has that name", "choose another name")
    ca_cert, ca_key = _load_authority(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node[:64])])
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    both_sides = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = (
        _builder(subject, ca_cert.subject, key.public_key(), NODE_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(node)]), critical=False)
        .add_extension(both_sides, critical=False)
        .add_extension(issuer_key, critical=False)
    )
    return _write(folder, node, builder.sign(ca_key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _load_authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    hint = f"make an authority first: colo cert init --dir {folder}"
    try:
        cert = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    except OSError as e:
        raise ConfigError(f"cannot read the authority: {e}", hint) from e
    except ValueError as e:
        raise ConfigError(f"ca.pem or ca.key in {folder} is damaged: {e}", hint) from e
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != cert.public_key():
        raise ConfigError(f"ca.key and ca.pem in {folder} do not belong together", hint)
    return cert, key


def _write(folder: Path, name: str, cert: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Issued:
    issued = Issued(folder / f"{name}.pem", folder / f"{name}.key", cert.not_valid_after_utc)
    for path in (issued.cert, issued.key):
        if path.exists():
            raise ConfigError(f"{path} exists already", "move it away first; nothing is ever overwritten")
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _make_folder(folder)
    _create(issued.key, key_pem, 0o600)
    try:
        _create(issued.cert, cert.public_bytes(serialization.Encoding.PEM), 0o644)
    except StateFolderError:
        issued.key.unlink(missing_ok=True)  # a key without a certificate would block the next try
        raise
    return issued


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise StateFolderError(
            f"cannot make the folder {folder}: {e.strerror}", "choose another folder"
        ) from e


def _create(path: Path, data: bytes, mode: int) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except OSError as e:
        raise StateFolderError(f"cannot write {path}: {e.strerror}", "check the folder") from e
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
    except OSError as e:
        with contextlib.suppress(
            OSError
        ):  # half a file is worse than none; the first error is the one to tell
            path.unlink()
        raise StateFolderError(f"cannot write {path}: {e.strerror}", "free some space") from e
