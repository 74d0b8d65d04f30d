"""Say what is wrong with a node's certificate files before TLS refuses them with less to go by."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from colo.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from colo.config import TlsConfig

SOON = timedelta(days=30)


@frozen
class CertificateProblem:
    """One thing that is wrong. `fatal`: TLS connections will fail because of it."""

    message: str
    fatal: bool


def certificate_problems(
    files: TlsConfig, node: str, now: datetime | None = None
) -> tuple[CertificateProblem, ...]:
    """Everything that is wrong with the files of `node`; empty when all is well."""
    now = now or datetime.now(UTC)
    try:
        ca, cert = _certificate(files.ca), _certificate(files.cert)
        key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
    except OSError as e:
        return (CertificateProblem(f"{e.filename}: {e.strerror}", fatal=True),)
    except (ValueError, TypeError) as e:
        return (CertificateProblem(str(e), fatal=True),)
    fatal = []
    if key.public_key() != cert.public_key():
        fatal.append(f"{files.key} is not the key of {files.cert}")
    if not _issued_by(cert, ca):
        fatal.append(f"{files.cert} is not signed by {files.ca}")
    names = _dns_names(cert)
    if node not in names:
        fatal.append(f"{files.cert} is for {', '.join(names) or 'nobody'}, not for {node}")
    fatal += [
        problem for c, path in ((ca, files.ca), (cert, files.cert)) for problem in _validity(c, path, now)
    ]
    mild = _expiring(cert, files.cert, now) + _readable_by_others(files.key)
    return (
        *(CertificateProblem(message, fatal=True) for message in fatal),
        *(CertificateProblem(message, fatal=False) for message in mild),
    )


def require_certificate(files: TlsConfig, node: str) -> None:
    """Raise one `ConfigError` with all for which TLS connections of `node` would fail."""
    fatal = [problem.message for problem in certificate_problems(files, node) if problem.fatal]
    if fatal:
        raise ConfigError("; ".join(fatal), f"make it with: colo cert node {node}")


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as e:
        raise ValueError(f"{path} is no PEM certificate: {e}") from e


def _issued_by(cert: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        cert.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _dns_names(cert: x509.Certificate) -> list[str]:
    try:
        extension = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return extension.value.get_values_for_type(x509.DNSName)


def _validity(cert: x509.Certificate, path: Path, now: datetime) -> list[str]:
    if now > cert.not_valid_after_utc:
        return [f"{path} has expired on {cert.not_valid_after_utc:%Y-%m-%d}"]
    if now < cert.not_valid_before_utc:
        return [f"{path} is valid from {cert.not_valid_before_utc:%Y-%m-%d} on only: check this host's date"]
    return []


def _expiring(cert: x509.Certificate, path: Path, now: datetime) -> list[str]:
    left = cert.not_valid_after_utc - now
    return [f"{path} expires in {left.days} days"] if timedelta(0) <= left < SOON else []


def _readable_by_others(key: Path) -> list[str]:
    mode = stat.S_IMODE(key.stat().st_mode)
    return [f"{key} can be read by others (mode {mode:04o}): chmod 600 {key}"] if mode & 0o077 else []
