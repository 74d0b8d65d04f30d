"""Two relays that are linked, with certificates as `colo cert` makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
from sides import Side, tcp_pair

from colo import _core, pki

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@attrs.frozen(eq=False)
class Pair:
    p: Side
    s: Side


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, _core.Tls]:
    folder = tmp_path / "pki"
    authority = pki.create_authority(folder)
    nodes = {}
    for name in ("alpha", "beta", "gamma"):
        node = pki.issue_node(folder, name)
        nodes[name] = _core.Tls(authority.cert, node.cert, node.key)
    return nodes


@pytest.fixture
def pair(tls: dict[str, _core.Tls]) -> Iterator[Pair]:
    pair = Pair(Side.start(), Side.start())
    to_s, to_p = tcp_pair()
    with to_s, to_p:
        pair.p.relay.attach_link(to_s.fileno(), tls["alpha"], "beta", server=False)
        pair.s.relay.attach_link(to_p.fileno(), tls["beta"], "alpha", server=True)
    assert pair.p.event("link_up") == ("beta",)
    assert pair.s.event("link_up") == ("alpha",)
    pair.p.open_gate()
    yield pair
    pair.p.end()
    pair.s.end()
