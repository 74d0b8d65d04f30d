"""The parts of the documents that say what the tables in `colo.model` say, made from them.

Such a part stands between `<!-- from NAME -->` and `<!-- end -->`. `python tests/docs/rendered.py` writes all
of them anew; a test compares.
"""

from __future__ import annotations

import re
from enum import Enum
from itertools import groupby
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from colo.model.checkpoint.primary_table import TABLES as PRIMARY
from colo.model.checkpoint.secondary_table import TABLE as SECONDARY
from colo.model.policy.table import TABLE as POLICY
from colo.model.policy.table import To as PolicyTo
from colo.model.role.states import WISHES, WORDS
from colo.model.role.table import TABLE as ROLE
from colo.model.role.table import To as RoleTo
from colo.model.table import OWN_BUG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

DOCS = Path(__file__).parents[2] / "docs"
WIDTH = 118


def role() -> str:
    """Every transition of the role machine, by state."""
    return "\n\n".join(_role_state(state) for state in ROLE)


def _role_state(state: Enum) -> str:
    heading = f"#### `{state.value}`"
    wish = f"Shown as {WORDS[state]}. Wants from the witness: {WISHES[state].value}."  # type: ignore[index]
    moves = [(event, entry) for event, entry in ROLE[state].items() if isinstance(entry, RoleTo)]  # type: ignore[index]
    return "\n".join([heading, wish, "", *(_role_move(event, to) for event, to in moves)])


def _role_move(event: type, to: RoleTo) -> str:
    why = re.sub(r"{(\w+)}", r"*\1*", to.why)
    return _item(f"`{event.__name__}` → `{to.state.value}`: {why}.{_actions(make('') for make in to.do)}")


def _actions(made: Iterator[object]) -> str:
    names = ", ".join(f"`{type(action).__name__}`" for action in made)
    return f" ({names})" if names else ""


def primary() -> str:
    """The primary's checkpoint table, for the order that is the default."""
    return _checkpoint(PRIMARY["early"])


def policy() -> str:
    """The policy's decisions. What stays as it is, is left out."""
    moves = [
        f"| `{state.value}` | {finding.value} | `{entry.state.value}` |"
        for state, row in POLICY.items()
        for finding, entry in row.items()
        if isinstance(entry, PolicyTo)
    ]
    return "\n".join(["| in | when | then |", "|---|---|---|", *moves])


def secondary() -> str:
    """The secondary's checkpoint table."""
    return _checkpoint(SECONDARY)


def _checkpoint(table: Mapping[Any, Mapping[type, Any]]) -> str:
    return "\n\n".join("\n".join([f"#### `{state.value}`", *_rows(row)]) for state, row in table.items())


def _rows(row: Mapping[type, Any]) -> Iterator[str]:
    """Transitions first. Events with the same entry share a line; a bug of this program is left out."""
    said = sorted((*_entry(entry), event.__name__) for event, entry in row.items() if entry is not OWN_BUG)
    for (_, text), group in groupby(said, key=lambda entry: entry[:2]):
        yield _item(f"{', '.join(f'`{name}`' for *_, name in group)}{text}")


def _entry(entry: Any) -> tuple[bool, str]:
    """Whether it is no transition, and its text."""
    if isinstance(entry, Enum):
        return True, f": {entry.value}"
    return False, f" → `{entry.state.value}`{_actions(make(1) for make in entry.do)}"


def _item(text: str) -> str:
    return fill(f"- {text}", WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


PARTS: Mapping[tuple[str, str], Callable[[], str]] = {
    ("failover.md", "colo.model.role.table"): role,
    ("checkpoint.md", "colo.model.checkpoint.primary_table"): primary,
    ("checkpoint.md", "colo.model.checkpoint.secondary_table"): secondary,
    ("epochs.md", "colo.model.policy.table"): policy,
}
"""(document, name of the part) and what makes it."""


def part(text: str, name: str) -> tuple[str, str, str]:
    """What stands before, in, and after the part of that name."""
    begin, end = f"<!-- from {name} -->\n", "<!-- end -->\n"
    before, found, rest = text.partition(begin)
    inside, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"there is no part between {begin.strip()} and {end.strip()}")
    return before + begin, inside, end + after


def main() -> None:
    """Writes all parts anew."""
    for (document, name), make in PARTS.items():
        path = DOCS / document
        before, _, after = part(path.read_text(), name)
        path.write_text(f"{before}{make()}\n{after}")


if __name__ == "__main__":
    main()
