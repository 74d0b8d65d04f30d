"""`colo witness` as a real process, asked by `colo lease` and ended by a signal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import anyio
import pytest
from click.testing import Result

from colo.config import Address, TlsConfig
from colo.lock import LeaseClient

if TYPE_CHECKING:
    from pathlib import Path

Colo = Callable[..., Result]


def tls(folder: Path, node: str) -> list[str]:
    return ["--ca", f"{folder}/ca.pem", "--cert", f"{folder}/{node}.pem", "--key", f"{folder}/{node}.key"]


@pytest.fixture
def witness(config: Path) -> Iterator[subprocess.Popen[str]]:
    """Runs, and is what the configuration names."""
    folder = config.parent
    port = free_port()
    argv = [sys.executable, "-m", "colo", "witness", "--listen", f"127.0.0.1:{port}"]
    argv += ["--state-dir", str(folder / "witness"), *tls(folder, "witness")]
    config.write_text(config.read_text().replace('"127.0.0.1:1"', f'"127.0.0.1:{port}"'))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if "listens on port" in line:
                break
        yield process
        process.kill()


def free_port() -> int:
    import socket  # noqa: PLC0415

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def acquire(config: Path) -> None:
    folder, port = config.parent, int(config.read_text().split('address = "127.0.0.1:')[1].split('"')[0])
    files = TlsConfig(folder / "ca.pem", folder / "alpha.pem", folder / "alpha.key")

    async def ask() -> None:
        client = LeaseClient(Address("127.0.0.1", port), files, "alpha", "web", deadline_s=5)
        token = (await client.acquire(60_000)).token
        await client.set_standby(token, 1, "beta")
        await client.release(token)
        await client.aclose()

    anyio.run(ask)


def test_show_and_forget(colo: Colo, config: Path, witness: subprocess.Popen[str]) -> None:
    assert witness.poll() is None
    assert "no record" in colo("lease", "show", config).output
    acquire(config)
    shown = colo("lease", "show", config).output
    assert "alpha" in shown
    assert "run out of 60000 ms" in shown
    record = json.loads(colo("lease", "show", config, "--format", "json").stdout)["record"]
    assert (record["holder"], record["standby"], record["token"]) == ("alpha", "beta", 1)

    port = config.read_text().split('address = "')[1].split('"')[0]
    forget = ["lease", "forget", "web", "--address", port]
    assert colo(*forget, *tls(config.parent, "witness"), input="n\n").exit_code == 1
    stranger = colo(*forget, *tls(config.parent, "alpha"), "--yes")
    assert stranger.exit_code == 10
    done = colo(*forget, *tls(config.parent, "witness"), "--yes")
    assert (done.exit_code, done.output) == (0, "the record of web is dropped\n")
    assert "no record" in colo("lease", "show", config).output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_by_signal_without_noise(witness: subprocess.Popen[str], number: signal.Signals) -> None:
    witness.send_signal(number)
    _, logged = witness.communicate(timeout=20)
    assert witness.returncode == 0
    assert [line for line in logged.splitlines() if "level=info" not in line] == []


def test_two_on_one_state_folder_are_refused(
    config: Path, witness: subprocess.Popen[str], colo: Colo
) -> None:
    assert witness.poll() is None
    folder = config.parent
    second = ["witness", "--listen", f"127.0.0.1:{free_port()}", "--state-dir", folder / "witness"]
    result = colo(*second, *tls(folder, "witness"))
    assert result.exit_code == 8
    assert str(witness.pid) in result.stderr


def test_a_certificate_of_another_node_is_refused_at_start(config: Path, colo: Colo) -> None:
    folder = config.parent
    result = colo("witness", "--state-dir", folder / "w", *tls(folder, "alpha"))
    assert result.exit_code == 3
    assert "is for alpha, not for witness" in result.stderr


@pytest.mark.parametrize("listen", ["nonsense", "1.2.3.4:99999", "1.2.3.4"])
def test_a_wrong_address_is_a_usage_error(config: Path, colo: Colo, listen: str) -> None:
    folder = config.parent
    result = colo("witness", "--listen", listen, "--state-dir", folder / "w", *tls(folder, "witness"))
    assert result.exit_code == 2


def test_no_witness_is_told(colo: Colo, config: Path) -> None:
    result = colo("lease", "show", config)
    assert result.exit_code == 10
    assert "colo witness" in result.stderr
