"""Whose fault it is. The difference decides what an agent does about it."""

from __future__ import annotations


class LocalError(Exception):
    """A bug of this program: an event came that cannot come in this state."""


class PeerError(Exception):
    """The peer broke the protocol. Ends the link to it, never the agent."""


class NotNowError(Exception):
    """A request of the operator that does not fit the state. Nothing has changed."""
