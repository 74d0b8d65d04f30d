"""docs/traps.md names tests and files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (ROOT / "docs/traps.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| trap ")
]
SOURCES = [
    file
    for folder in ("tests", "src", "crates")
    for file in (ROOT / folder).rglob("*")
    if file.suffix in {".py", ".rs"}
]
FUNCTIONS = {name for file in SOURCES for name in re.findall(r"\b(?:def|fn) (\w+)", file.read_text())}


def test_every_row_says_the_trap_how_it_is_handled_and_what_shows_it() -> None:
    assert [row for row in ROWS if len(row) != 3 or not all(row)] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_what_a_row_names_exists(row: list[str]) -> None:
    names = re.findall(r"`([\w./]+)`", " ".join(row[1:]))
    files = [name for name in names if re.search(r"\.(py|rs)$", name)]
    assert [name for name in files if not any(str(file).endswith(f"/{name}") for file in SOURCES)] == []
    tests = [name for name in re.findall(r"`([\w.]+)`", row[2]) if "_" in name and name not in files]
    missing = [name for name in tests if not any(_names(name, function) for function in FUNCTIONS)]
    assert missing == []


def _names(shortened: str, function: str) -> bool:
    """Three dots stand for the part of a long name that is left out."""
    return re.fullmatch(".*".join(map(re.escape, shortened.split("..."))), function) is not None
