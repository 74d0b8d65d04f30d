"""docs/configuration.md and the schema say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from colo.config import schema
from colo.config.tables import check_of

DOCS = (Path(__file__).parents[2] / "docs/configuration.md").read_text()
TABLES = {
    "## `[agent]`": schema.AgentConfig,
    "## `[tls]`": schema.TlsConfig,
    "## `[witness]`": schema.WitnessConfig,
    "## `[vm]`": schema.VmConfig,
    "### `[[vm.nic]]`": schema.NicConfig,
    '`uplink = { tap = "colo0", bridge = "br0" }`:': schema.TapUplink,
    '`uplink = { unix = "/path/of/socket" }`:': schema.UnixUplink,
    "## `[checkpoint]`": schema.CheckpointConfig,
    "## `[timing]`": schema.TimingConfig,
}


def _default(field: attrs.Attribute[Any]) -> str:
    if field.default is attrs.NOTHING:
        return "required"
    if field.default is None:
        return "none"
    return f"`{json.dumps(field.default)}`"


@pytest.mark.parametrize(("heading", "cls"), TABLES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_every_key_stands_in_the_docs_with_its_range_and_default(heading: str, cls: type[Any]) -> None:
    section = DOCS.split(f"\n{heading}\n", 1)[1]
    table = section.split("|---|---|---|---|\n", 1)[1].split("\n\n", 1)[0]
    documented = [re.split(r" \| ", row.strip("| "))[:3] for row in table.splitlines()]
    declared = [[f"`{field.name}`", check_of(field).expected, _default(field)] for field in attrs.fields(cls)]
    assert documented == declared


def test_every_table_is_documented() -> None:
    configurations = {
        cls for cls in vars(schema).values() if attrs.has(cls) and cls.__module__ == schema.__name__
    }
    assert configurations - {schema.Config} == set(TABLES.values())
