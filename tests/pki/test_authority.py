from __future__ import annotations

import socket
import ssl
import stat
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from colo.config import TlsConfig
from colo.errors import ConfigError
from colo.pki import (
    certificate_problems,
    check_node_name,
    client_context,
    create_authority,
    issue_node,
    peer_names,
    server_context,
)

if TYPE_CHECKING:
    from pathlib import Path


def files_of(folder: Path, node: str) -> TlsConfig:
    return TlsConfig(folder / "ca.pem", folder / f"{node}.pem", folder / f"{node}.key")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_authority(tmp_path)
    for node in ("alpha", "beta"):
        issue_node(tmp_path, node)
    return tmp_path


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> frozenset[str]:
    """What the server sees as the client's names; raises what the client's side met."""
    left, right = socket.socketpair()
    left.settimeout(5)
    right.settimeout(5)
    seen: list[frozenset[str]] = []

    def serve() -> None:
        try:
            with server.wrap_socket(left, server_side=True) as tls:
                seen.append(peer_names(tls.getpeercert()))
                tls.sendall(b"!")
        except OSError:
            left.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(right, server_hostname=name) as tls:
            if tls.recv(1) != b"!":
                raise ssl.SSLError("the server hung up")
    finally:
        right.close()
        thread.join()
    return seen[0]


def test_two_nodes_of_one_authority_know_each_other_by_name(folder: Path) -> None:
    server, client = server_context(files_of(folder, "beta")), client_context(files_of(folder, "alpha"))
    assert handshake(server, client, "beta") == {"alpha"}


def test_a_server_with_another_name_is_refused(folder: Path) -> None:
    server, client = server_context(files_of(folder, "beta")), client_context(files_of(folder, "alpha"))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client, "gamma")


def test_a_client_of_another_authority_is_refused(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    create_authority(other)
    issue_node(other, "alpha")
    mixed = TlsConfig(folder / "ca.pem", other / "alpha.pem", other / "alpha.key")
    with pytest.raises(OSError, match=r"unknown ca|hung up|UNKNOWN_CA|reset"):
        handshake(server_context(files_of(folder, "beta")), client_context(mixed), "beta")


def test_a_client_without_certificate_is_refused(folder: Path) -> None:
    bare = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    with pytest.raises(OSError, match=r"required|hung up|REQUIRED|reset"):
        handshake(server_context(files_of(folder, "beta")), bare, "beta")


def test_openssl_accepts_the_chain_for_both_purposes(folder: Path) -> None:
    for purpose in ("sslserver", "sslclient"):
        command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.pem", "alpha.pem"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=10)
        assert done.returncode == 0, done.stderr


def test_keys_are_private_and_certificates_are_not(folder: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert {modes["ca.key"], modes["alpha.key"]} == {0o600}
    assert modes["alpha.pem"] & 0o200


def test_lifetimes(folder: Path) -> None:
    now = datetime.now(UTC)
    for name, days in (("ca", 3650), ("alpha", 730)):
        cert = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
        assert abs(cert.not_valid_after_utc - now - timedelta(days=days)) < timedelta(minutes=5)
        assert cert.not_valid_before_utc < now - timedelta(hours=23), "a slow clock must not reject it"


@pytest.mark.parametrize("left_over", ["alpha.pem", "alpha.key"])
def test_nothing_is_overwritten(folder: Path, left_over: str) -> None:
    for path in (folder / "alpha.pem", folder / "alpha.key"):
        if path.name != left_over:
            path.unlink()
    before = (folder / left_over).read_bytes()
    with pytest.raises(ConfigError, match="exists already"):
        issue_node(folder, "alpha")
    assert (folder / left_over).read_bytes() == before
    with pytest.raises(ConfigError, match="exists already"):
        create_authority(folder)


def test_without_an_authority_the_hint_tells_the_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as e:
        issue_node(tmp_path, "alpha")
    assert "colo cert init" in e.value.hint


@pytest.mark.parametrize("name", ["alpha", "host-2", "a.b-c.example", "n1"])
def test_node_names_that_fit_a_certificate(name: str) -> None:
    assert check_node_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "Alpha", "a b", "-a", "a_b", "10.0.0.1", "a..b", "ä", "x" * 300, "../up"]
)
def test_node_names_that_do_not(name: str) -> None:
    with pytest.raises(ConfigError):
        check_node_name(name)


def test_good_files_have_no_problem(folder: Path) -> None:
    assert certificate_problems(files_of(folder, "alpha"), "alpha") == ()


def problems(files: TlsConfig, node: str = "alpha", now: datetime | None = None) -> str:
    return "; ".join(p.message for p in certificate_problems(files, node, now))


def test_problems_are_named(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    good = files_of(folder, "alpha")
    later = datetime.now(UTC) + timedelta(days=720)
    assert "is for alpha, not for beta" in problems(good, "beta")
    assert "is not the key of" in problems(TlsConfig(good.ca, good.cert, folder / "beta.key"))
    assert "expires in" in problems(good, now=later)
    assert "has expired" in problems(good, now=later + timedelta(days=20))
    assert "check this host's date" in problems(good, now=later - timedelta(days=2000))
    assert "No such file" in problems(TlsConfig(good.ca, folder / "nope.pem", good.key))
    assert "is no PEM certificate" in problems(TlsConfig(good.key, good.cert, good.key))
    other = tmp_path_factory.mktemp("other")
    create_authority(other)
    assert "is not signed by" in problems(TlsConfig(other / "ca.pem", good.cert, good.key))
    good.key.chmod(0o644)
    assert "chmod 600" in problems(good)
    assert not any(p.fatal for p in certificate_problems(good, "alpha"))


def test_a_missing_file_is_a_config_error_with_its_name(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"gamma\.pem"):
        client_context(files_of(folder, "gamma"))
