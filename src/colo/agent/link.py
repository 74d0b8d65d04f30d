"""The link to the peer, from the first connection to the Hello that fits."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import structlog
from attrs import define, field

from colo.agent import handshake
from colo.agent.handshake import Handshake, Side
from colo.agent.sockets import connect
from colo.errors import PeerIncompatibleError, PeerUnreachableError, RefusedError
from colo.model import messages
from colo.model.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from colo._core import Relay, Tls
    from colo.agent.seen_token import SeenToken
    from colo.config import Config
    from colo.hypervisor import Platform

_CONNECT_S = 5.0
_LINK_HINT = "are both certificates of the same authority? see the log of its agent"
_log = structlog.get_logger()


@define(eq=False)
class Link:
    """At most one at a time; which of us connected decides who is the primary.

    `fits` is called with the side and the peer's Hello when both agree, `failed` with the error when this
    link, which was to become a pairing, will not.
    """

    config: Config
    platform: Platform
    relay: Relay
    tls: Tls
    seen: SeenToken
    token: Callable[[], int]
    may_join: Callable[[], bool]
    fits: Callable[[Side, messages.Hello], None]
    failed: Callable[[Exception], None]
    why: str = ""
    """Why the last link ended."""
    _handshake: Handshake | None = None
    _up: bool = field(default=False)

    @property
    def free(self) -> bool:
        """No link, and none being made."""
        return self._handshake is None

    @property
    def agreed(self) -> bool:
        """The Hellos were exchanged and fit."""
        return self._handshake is not None and self._handshake.theirs is not None

    async def call(self) -> None:
        """Connects to the peer, as primary. Raises PeerUnreachableError."""
        descriptor = await connect(self.config.agent.peer, _CONNECT_S)
        self._attach(descriptor, Side.PRIMARY)

    def accept(self, descriptor: int) -> None:
        """The peer, or anybody, has connected. A second link is closed at once: the first one's loss is
        noticed soon enough.
        """
        if not self.free:
            _log.info("link-refused", why="there is a link already")
            os.close(descriptor)
            return
        self._attach(descriptor, Side.SECONDARY)

    def came_up(self) -> None:
        """TLS stands, and the peer has found our certificate to be the right one."""
        self._up = True

    def went_down(self, why: str) -> None:
        """The relay has lost it. An agreed link's loss is the role machine's to judge."""
        before, self._handshake, self._up = self._handshake, None, False
        if before is None:
            return  # dropped before, for a reason that says more
        self.why = why
        if before.theirs is None:
            self.failed(
                PeerUnreachableError(f"the link to {self.config.agent.peer_node} failed: {why}", _LINK_HINT)
            )

    def send(self, message: messages.Message) -> None:
        """Says something to the peer; nothing happens without a link."""
        if self._up:
            self.relay.send(messages.encode(message))

    def drop(self, why: str) -> None:
        """Says goodbye and closes it."""
        if self._handshake is not None:
            self.send(messages.Goodbye(why))
            self._close(why)

    def offended(self, why: str) -> None:
        """The peer broke the protocol: drops the link. Before the Hellos agree, it is because the peer speaks
        another one.
        """
        talks = self._handshake is not None and not self.agreed
        self.drop(why)
        if talks:
            self.failed(handshake.strange(self.config.agent.peer_node, why))

    def greet(self, theirs: messages.Hello) -> None:
        """The peer's Hello. Raises PeerError when it comes twice."""
        shaking = self._handshake
        if shaking is None or shaking.theirs is not None:
            raise PeerError("a Hello out of turn")
        try:
            self._examine(shaking.side, theirs)
        except (PeerIncompatibleError, RefusedError) as error:
            self._refuse(error)
            return
        shaking.theirs = theirs
        self.fits(shaking.side, theirs)

    def refused(self, refused: messages.Refused) -> None:
        """The peer will not have us."""
        self._close(refused.reason)
        self.failed(handshake.as_error(refused, self.config.agent.peer_node))

    def _examine(self, side: Side, theirs: messages.Hello) -> None:
        me, expected = self.config.agent.node, self.config.agent.peer_node
        if theirs.node != expected:
            raise PeerIncompatibleError(
                f"the peer calls itself {theirs.node!r}, not {expected!r}", "see agent.peer_node"
            )
        handshake.check(self._hello(), theirs)
        if side is Side.PRIMARY:
            return  # nothing is taken from it
        if not self.may_join():
            raise RefusedError(f"{me} is not idle", f"see `colo status` at {me}")
        handshake.check_token(self.seen, theirs)

    def _refuse(self, error: PeerIncompatibleError | RefusedError) -> None:
        self.send(messages.Refused(error.message, error.exit_code))
        self._close(error.message)
        self.failed(error)

    def _attach(self, descriptor: int, side: Side) -> None:
        self._handshake = Handshake(side)
        try:
            self.relay.attach_link(
                descriptor, self.tls, self.config.agent.peer_node, server=side is Side.SECONDARY
            )
        finally:
            os.close(descriptor)
        # Leaves as soon as we have found the peer's certificate to be the right one.
        self.relay.send(messages.encode(self._hello()))

    def _close(self, why: str) -> None:
        self._handshake, self._up, self.why = None, False, why
        self.relay.detach_link()

    def _hello(self) -> messages.Hello:
        return handshake.hello(self.config, self.platform, self.token())
