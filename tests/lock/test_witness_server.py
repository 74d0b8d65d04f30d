"""A real witness on a real port, real TLS, real files."""

from __future__ import annotations

import json
import ssl
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from colo.config import Address, TlsConfig
from colo.errors import AddressInUseError, StateFolderError
from colo.lock import LeaseClient, LeaseRefusedError, WitnessServer, WitnessUnreachableError
from colo.lock.wire import MAX_LINE
from colo.model.witness import Refusal
from colo.pki import client_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

Certificates = dict[str, TlsConfig]
LOCALHOST = "127.0.0.1"


@asynccontextmanager
async def witness(state_dir: Path, certificates: Certificates, port: int = 0) -> AsyncIterator[Address]:
    server = WitnessServer(state_dir, certificates["witness"], "witness")
    async with anyio.create_task_group() as tasks:
        bound = await tasks.start(server.serve, Address(LOCALHOST, port))
        yield Address(LOCALHOST, bound)
        tasks.cancel_scope.cancel()


def client(address: Address, certificates: Certificates, node: str, **more: object) -> LeaseClient:
    return LeaseClient(address, certificates[node], node, "web", deadline_s=2.0, **more)  # type: ignore[arg-type]


async def test_the_life_of_a_lease(state_dir: Path, certificates: Certificates) -> None:
    async with witness(state_dir, certificates) as address:
        alpha, beta = (client(address, certificates, node) for node in ("alpha", "beta"))
        assert await alpha.status() is None
        before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        grant = await alpha.acquire(60_000)
        assert before <= grant.sent_at_ns <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        assert (grant.token, grant.record.holder, grant.record.standby) == (1, "alpha", None)
        assert 59_000 < grant.record.remaining_ms <= 60_000

        with pytest.raises(LeaseRefusedError) as e:
            await beta.acquire(60_000)
        assert e.value.refusal is Refusal.NOT_ELIGIBLE
        assert e.value.record
        assert e.value.record.holder == "alpha"

        named = await alpha.set_standby(1, 1, "beta")
        assert named.record.standby == "beta"
        with pytest.raises(LeaseRefusedError) as e:
            await beta.acquire(60_000)
        assert e.value.refusal is Refusal.HELD
        assert (await alpha.renew(1)).token == 1
        assert (await alpha.release(1)).record.remaining_ms == 0
        assert (await beta.acquire(60_000)).token == 2
        with pytest.raises(LeaseRefusedError) as e:
            await alpha.renew(1)
        assert e.value.refusal is Refusal.STALE
        for one in (alpha, beta):
            await one.aclose()


async def test_a_standby_takes_over_when_the_lease_runs_out(
    state_dir: Path, certificates: Certificates
) -> None:
    async with witness(state_dir, certificates) as address:
        alpha, beta, gamma = (client(address, certificates, node) for node in ("alpha", "beta", "gamma"))
        await alpha.acquire(200)
        granted = await alpha.set_standby(1, 1, "beta")
        while True:
            try:
                took = await beta.acquire(60_000)
                break
            except LeaseRefusedError as e:
                assert e.refusal is Refusal.HELD  # noqa: PT017 - any number of these come first
        assert took.token == 2
        # The holder counts from before it asked: its own count has ended when another gets the lease.
        assert time.clock_gettime_ns(time.CLOCK_BOOTTIME) >= granted.sent_at_ns + 200_000_000
        with pytest.raises(LeaseRefusedError):
            await gamma.acquire(200)
        for one in (alpha, beta, gamma):
            await one.aclose()


async def test_a_restarted_witness_remembers_and_grants_a_fresh_lease(
    state_dir: Path, certificates: Certificates
) -> None:
    async with witness(state_dir, certificates) as address:
        alpha = client(address, certificates, "alpha")
        await alpha.acquire(60_000)
        await alpha.set_standby(1, 1, "beta")
    async with witness(state_dir, certificates, address.port):
        beta = client(address, certificates, "beta")
        with pytest.raises(LeaseRefusedError) as e:
            await beta.acquire(60_000)
        assert e.value.record
        assert (e.value.record.holder, e.value.record.standby) == ("alpha", "beta")
        assert e.value.record.remaining_ms > 59_000
        await beta.aclose()

        with pytest.raises(WitnessUnreachableError):
            await alpha.renew(1)  # the old connection is dead; whether this arrived is unknown
        assert (await alpha.renew(1)).token == 1, "the next call connects by itself"
        await alpha.aclose()


async def test_a_client_waits_for_a_witness_that_is_starting(
    state_dir: Path, certificates: Certificates
) -> None:
    async with witness(state_dir, certificates) as address:
        pass
    alpha = client(address, certificates, "alpha")

    acquired = anyio.Event()

    async def acquire() -> None:
        assert (await alpha.acquire(1000)).token == 1
        acquired.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(acquire)
        await anyio.sleep(0.05)
        async with witness(state_dir, certificates, address.port):
            with anyio.fail_after(5):
                await acquired.wait()
    await alpha.aclose()


async def test_nobody_there_is_told_within_the_deadline(certificates: Certificates) -> None:
    nobody = LeaseClient(Address(LOCALHOST, 1), certificates["alpha"], "alpha", "web", deadline_s=0.2)
    started = time.monotonic()
    with pytest.raises(WitnessUnreachableError, match="refused") as e:
        await nobody.renew(1)
    assert time.monotonic() - started < 2
    assert "colo witness" in e.value.hint


async def test_a_witness_that_does_not_answer_is_told_within_the_deadline(certificates: Certificates) -> None:
    async with await anyio.create_tcp_listener(local_host=LOCALHOST) as silent:
        port = silent.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610
        alpha = LeaseClient(Address(LOCALHOST, port), certificates["alpha"], "alpha", "web", deadline_s=0.1)
        with pytest.raises(WitnessUnreachableError, match=r"no answer within 0\.1 s"):
            await alpha.acquire(1000)


async def test_a_node_cannot_speak_for_another(state_dir: Path, certificates: Certificates) -> None:
    async with witness(state_dir, certificates) as address:
        liar = LeaseClient(address, certificates["gamma"], "alpha", "web", deadline_s=2.0)
        with pytest.raises(WitnessUnreachableError, match="the certificate is for gamma, not for alpha"):
            await liar.acquire(1000)
        honest = client(address, certificates, "alpha")
        assert await honest.status() is None
        await honest.aclose()


async def test_a_server_that_is_not_the_witness_is_refused(
    state_dir: Path, certificates: Certificates
) -> None:
    async with witness(state_dir, certificates) as address:
        wrong = client(address, certificates, "alpha", witness_node="gamma")
        with pytest.raises(WitnessUnreachableError, match=r"[Hh]ostname|certificate"):
            await wrong.acquire(1000)


async def test_without_a_certificate_nothing_is_answered(state_dir: Path, certificates: Certificates) -> None:
    bare = ssl.create_default_context(cafile=str(certificates["alpha"].ca))
    async with witness(state_dir, certificates) as address:
        with pytest.raises((ssl.SSLError, anyio.BrokenResourceError, anyio.EndOfStream)):
            await _ask_without_certificate(address, bare)


async def _ask_without_certificate(address: Address, context: ssl.SSLContext) -> None:
    async with await anyio.connect_tcp(
        address.host,
        address.port,
        ssl_context=context,
        tls_hostname="witness",
        tls_standard_compatible=False,
    ) as stream:
        await stream.send(b'{"id":1,"op":"status","vm":"web","node":"alpha"}\n')
        await stream.receive()


@pytest.mark.parametrize("garbage", [b"nonsense\n", b"{}\n", b"x" * (MAX_LINE + 10), b"\x16\x03\n"])
async def test_garbage_ends_its_connection_and_nothing_else(
    state_dir: Path, certificates: Certificates, garbage: bytes
) -> None:
    async with witness(state_dir, certificates) as address:
        alpha = client(address, certificates, "alpha")
        await alpha.acquire(60_000)
        stream = await anyio.connect_tcp(
            address.host,
            address.port,
            ssl_context=client_context(certificates["beta"]),
            tls_hostname="witness",
            tls_standard_compatible=False,
        )
        async with stream:
            await stream.send(garbage)
            with anyio.fail_after(5):
                said = [json.loads(chunk)["result"] async for chunk in stream]
            assert said in ([], ["error"])
        assert (await alpha.renew(1)).token == 1
        await alpha.aclose()


async def test_an_answer_leaves_only_after_the_disk_has_it(
    state_dir: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StateFolderError("no space left")

    async with witness(state_dir, certificates) as address:
        alpha = client(address, certificates, "alpha")
        await alpha.acquire(60_000)
        with monkeypatch.context() as patch:
            patch.setattr("colo.lock.store.save", full)
            with pytest.raises(WitnessUnreachableError, match="no space left"):
                await alpha.set_standby(1, 1, "beta")
            record = await alpha.status()
            assert record
            assert record.standby is None, "what is not durable has not happened"
            assert (await alpha.renew(1)).token == 1, "a renewal needs no disk"
        assert (await alpha.set_standby(1, 2, "beta")).record.standby == "beta"
        await alpha.aclose()


async def test_only_the_witness_itself_may_forget(state_dir: Path, certificates: Certificates) -> None:
    async with witness(state_dir, certificates) as address:
        alpha, operator = (client(address, certificates, node) for node in ("alpha", "witness"))
        await alpha.acquire(60_000)
        with pytest.raises(WitnessUnreachableError, match="only witness itself"):
            await alpha.forget()
        with pytest.raises(LeaseRefusedError, match="held"):
            await operator.forget()
        await alpha.release(1)
        await operator.forget()
        assert await alpha.status() is None
        for one in (alpha, operator):
            await one.aclose()
    async with witness(state_dir, certificates, address.port):
        alpha = client(address, certificates, "alpha")
        assert await alpha.status() is None, "forgetting is remembered"
        await alpha.aclose()


async def test_a_cancelled_call_does_not_leave_its_answer_for_the_next(
    state_dir: Path, certificates: Certificates
) -> None:
    async with witness(state_dir, certificates) as address:
        alpha = client(address, certificates, "alpha")
        await alpha.acquire(60_000)
        for pause in (0.0, 0.0005, 0.001, 0.002):
            with anyio.move_on_after(pause):
                await alpha.status()
            assert (await alpha.renew(1)).record.holder == "alpha"
        await alpha.aclose()


async def test_more_connections_than_the_limit_are_closed_and_the_others_live(
    state_dir: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("colo.lock.server.MAX_HANDSHAKES", 2)
    monkeypatch.setattr("colo.lock.server.HANDSHAKE_TIMEOUT_S", 0.2)
    async with witness(state_dir, certificates) as address:
        alpha = client(address, certificates, "alpha")
        await alpha.acquire(60_000)
        silent = [await anyio.connect_tcp(address.host, address.port) for _ in range(3)]
        with anyio.fail_after(5), pytest.raises(anyio.EndOfStream):
            await silent[2].receive()
        assert (await alpha.renew(1)).token == 1, "who is inside stays"
        with anyio.fail_after(5), pytest.raises(anyio.EndOfStream):
            await silent[0].receive()  # no handshake in time
        newcomer = client(address, certificates, "beta")
        assert await newcomer.status()
        await newcomer.aclose()
        await alpha.aclose()
        for stream in silent:
            await stream.aclose()


async def test_a_taken_port_is_told(state_dir: Path, certificates: Certificates) -> None:
    async with witness(state_dir, certificates) as address:
        other = WitnessServer(state_dir, certificates["witness"], "witness")
        with pytest.raises(AddressInUseError, match=str(address.port)):
            await other.serve(address)
