"""Links lead somewhere, limits are those of the code, lines can be read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from rendered import DOCS, WIDTH
from test_docs_model import rows

if TYPE_CHECKING:
    from pathlib import Path

ROOT = DOCS.parent
TEXTS = [*ROOT.glob("*.md"), *sorted(DOCS.glob("*.md"))]
NARROW = [path for path in TEXTS if path.name not in {"architecture.md", "configuration.md", "traps.md"}]
"""Those have tables of their own form."""

_LIMIT = re.compile(r"`(\w+)` of (\S+\.rs)")
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20}
LIMITS = [
    (value, name, ROOT / "crates" / path)
    for _, value, where, _ in rows((DOCS / "packets.md").read_text(), "## Bounds, and what happens at each")
    for name, path in _LIMIT.findall(where)
]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_every_link_within_the_project_leads_to_a_file(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", NARROW, ids=lambda path: path.name)
def test_lines_fit_the_width(path: Path) -> None:
    assert [line for line in path.read_text().splitlines() if len(line) > WIDTH + 2] == []


@pytest.mark.parametrize(
    ("documented", "name", "file"), LIMITS, ids=lambda value: str(value).rpartition("/")[2]
)
def test_every_limit_is_that_of_the_code(documented: str, name: str, file: Path) -> None:
    found = re.search(rf"const {name}: \w+ = ([\d_]+)(?: << (\d+))?;", file.read_text())
    assert found, f"no constant {name} in {file}"
    number, unit = re.fullmatch(r"([\d ]+?)(?: (\w+))?", documented).groups()  # type: ignore[union-attr]
    assert int(number) * _UNITS.get(unit, 1) == int(found[1]) << int(found[2] or 0)


def test_the_limits_were_found() -> None:
    assert len(LIMITS) > 10
