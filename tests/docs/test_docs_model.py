"""The documents say what the machines do: states, transitions, times."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest
from rendered import DOCS, PARTS, part

from colo.config import load
from colo.model.role.states import WORDS
from colo.model.timing import Timing, problems

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPERATIONS = (DOCS / "operations.md").read_text()


def rows(text: str, heading: str) -> Iterator[list[str]]:
    """The cells of the first table after a heading, without its head."""
    table = text.split(f"\n{heading}\n", 1)[1].split("\n|---", 1)[1].split("\n\n", 1)[0]
    for line in table.splitlines()[1:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize(("document", "name"), PARTS)
def test_what_comes_from_the_tables_is_up_to_date(document: str, name: str) -> None:
    _, written, _ = part((DOCS / document).read_text(), name)
    assert written == f"{PARTS[document, name]()}\n", "run: python tests/docs/rendered.py"


def test_every_state_of_the_role_machine_is_explained_and_no_other() -> None:
    documented = {state: word for state, word, _ in rows((DOCS / "failover.md").read_text(), "## The states")}
    assert documented == {f"`{state.value}`": word for state, word in WORDS.items()}


def test_every_word_that_status_shows_is_explained_to_operators_and_no_other() -> None:
    documented = [state for state, *_ in rows(OPERATIONS, "## What each state means")]
    assert sorted(documented) == sorted(f"`{word}`" for word in set(WORDS.values()))


def test_the_timing_table_has_every_key_with_its_default() -> None:
    documented = {key: int(default) for key, default, _ in rows(OPERATIONS, "## How long an outage is")}
    defaults = Timing()
    assert documented == {f"`{name}`": getattr(defaults, name) for name in Timing.__annotations__}


def _samples() -> list[str]:
    return re.findall(r"```toml\n(.*?)```", OPERATIONS, re.DOTALL)


def test_the_sample_configuration_is_accepted(tmp_path: Path) -> None:
    sample, _ = _samples()
    file = tmp_path / "colo.toml"
    file.write_text(sample)
    assert load(file).vm.name == "web"


def test_the_shorter_times_fit_each_other() -> None:
    _, sample = _samples()
    assert problems(Timing(**tomllib.loads(sample)["timing"])) == ()
