"""Carries the lease keeper's requests to the witness and brings exactly one answer back for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import structlog

from colo.errors import LeaseError
from colo.lock.client import LeaseRefusedError
from colo.model.role import lease
from colo.model.witness import Refusal

if TYPE_CHECKING:
    from colo.lock.client import Grant, LeaseClient

_log = structlog.get_logger()


async def carry(client: LeaseClient, request: lease.LeaseRequest, ttl_ms: int) -> lease.LeaseAnswer:
    """One request; the client's own deadline bounds it."""
    try:
        grant = await _ask(client, request, ttl_ms)
    except LeaseRefusedError as refused:
        if refused.refusal is Refusal.HELD and refused.record is not None:
            return lease.LeaseHeld(refused.record.holder, refused.record.token)
        return lease.LeaseRefused(refused.message)
    except LeaseError as error:
        _log.info("witness-unreachable", why=error.message)
        return lease.WitnessUnreachable(error.message)
    return lease.LeaseGranted(grant.token, grant.sent_at_ns)


async def _ask(client: LeaseClient, request: lease.LeaseRequest, ttl_ms: int) -> Grant:
    match request:
        case lease.AcquireLease(seen):
            return await client.acquire(ttl_ms, seen)
        case lease.RenewLease(token):
            return await client.renew(token)
        case lease.NameStandby(token, serial, standby):
            return await client.set_standby(token, serial, standby)
        case lease.ReleaseLease(token):
            return await client.release(token)
        case _:
            assert_never(request)
