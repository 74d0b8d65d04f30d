"""Reads TOML tables into attrs classes, and collects everything that is wrong, not only the first.

A key is declared once, as a field of a frozen attrs class with `key(check)` as its metadata; a field with a
default may be left out of the file. What must fit between keys is said by `inconsistencies`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import attrs

from colo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from colo.config.checks import Check

T = TypeVar("T")
_CHECK = "colo.check"
_MAX_SHOWN = 60


def key(check: Check[object] | Nested) -> dict[str, Any]:
    """Metadata for a field: what it takes in the file."""
    return {_CHECK: check}


def check_of(field: attrs.Attribute[Any]) -> Check[object] | Nested:
    """What a field of a configuration class takes."""
    check: Check[object] | Nested = field.metadata[_CHECK]
    return check


@attrs.define
class Problems:
    """All that is wrong with one file, in the order of the schema."""

    file: Path
    lines: list[str] = attrs.field(factory=list)

    def add(self, where: str, what: str) -> None:
        """Note that the key `where` (`vm.nic[0].mac`) is wrong, and how."""
        self.lines.append(f"{where}: {what}")

    def raise_if_any(self) -> None:
        """Raise one `ConfigError` with every line, if there is any."""
        if not self.lines:
            return
        count = "1 problem" if len(self.lines) == 1 else f"{len(self.lines)} problems"
        text = "".join(f"\n  {line}" for line in self.lines)
        raise ConfigError(
            f"{self.file}: {count}{text}", "correct the file; docs/configuration.md describes every key"
        )


@runtime_checkable
class Interrelated(Protocol):
    """A table whose keys must fit each other."""

    def inconsistencies(self) -> Iterator[tuple[str, str]]:
        """Key (empty for the table as a whole) and sentence for everything that does not fit."""


class Nested(ABC):
    """A check of a table or list of tables, which finds several problems at once."""

    @property
    @abstractmethod
    def expected(self) -> str:
        """What is allowed, as a phrase."""

    @abstractmethod
    def collect(self, raw: object, where: str, problems: Problems) -> object:
        """Give the value, or None after noting at least one problem."""


@attrs.frozen
class Table(Nested):
    """A table with the fields of `cls` as its keys."""

    cls: type[Any]

    @property
    def expected(self) -> str:
        """A table is a table."""
        return "table"

    def collect(self, raw: object, where: str, problems: Problems) -> object:
        """Build the object when every key is good."""
        return read_table(self.cls, raw, where, problems)


@attrs.frozen
class Tables(Nested):
    """An array of `low` to `high` tables."""

    cls: type[Any]
    low: int
    high: int

    @property
    def expected(self) -> str:
        """How many there may be."""
        return f"array of {self.low} to {self.high} tables"

    def collect(self, raw: object, where: str, problems: Problems) -> object:
        """Build a tuple of objects when every one is good."""
        if not isinstance(raw, list) or not self.low <= len(raw) <= self.high:
            problems.add(where, f"must be an {self.expected} ([[{where}]])")
            return None
        items = [read_table(self.cls, item, f"{where}[{i}]", problems) for i, item in enumerate(raw)]
        return None if None in items else tuple(items)


@attrs.frozen
class OneOfTables(Nested):
    """A table that is one of several, told by the key that only that one has."""

    by_key: dict[str, type[Any]]

    @property
    def expected(self) -> str:
        """The keys that tell which one it is."""
        return "table with " + " or ".join(self.by_key)

    def collect(self, raw: object, where: str, problems: Problems) -> object:
        """Build the object that the first known key names."""
        found = [name for name in self.by_key if isinstance(raw, dict) and name in raw]
        if len(found) != 1:
            problems.add(where, f"must be a {self.expected}, exactly one of them")
            return None
        return read_table(self.by_key[found[0]], raw, where, problems)


def read_table(cls: type[T], raw: object, where: str, problems: Problems) -> T | None:
    """Read the TOML table `raw` as a `cls`; None when anything is wrong. At the top `where` is empty."""
    if not isinstance(raw, dict):
        problems.add(where, "must be a table")
        return None
    prefix = f"{where}." if where else ""
    before = len(problems.lines)
    fields = attrs.fields_dict(cls)  # type: ignore[arg-type]
    values = {}
    for name, field in fields.items():
        if name in raw:
            values[name] = _read_value(check_of(field), raw[name], prefix + name, problems)
        elif field.default is attrs.NOTHING:
            problems.add(prefix + name, f"is missing; it must be: {check_of(field).expected}")
    for name in sorted(set(raw) - set(fields)):
        problems.add(prefix + _shown_key(name), _unknown(name, list(fields)))
    if len(problems.lines) > before:
        return None
    made = cls(**values)
    if isinstance(made, Interrelated):
        for name, sentence in made.inconsistencies():
            problems.add((prefix + name).rstrip("."), sentence)
    return made


def _read_value(check: Check[object] | Nested, raw: object, where: str, problems: Problems) -> object:
    if isinstance(check, Nested):
        return check.collect(raw, where, problems)
    try:
        return check.read(raw, problems.file.parent)
    except (TypeError, ValueError) as error:
        problems.add(where, f"{_shown(raw)} {error}; it must be: {check.expected}")
        return None


def _shown(raw: object) -> str:
    """A value as an error shows it: one line, bounded, nothing that moves a terminal's cursor."""
    if isinstance(raw, dict):
        return "a table"
    if isinstance(raw, bool):
        return str(raw).lower()
    text = str(raw) if isinstance(raw, int | float) else repr(raw)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."


def _shown_key(name: str) -> str:
    return name if name.isidentifier() and len(name) <= _MAX_SHOWN else _shown(name)


def _unknown(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return (
        f"unknown key; did you mean {near[0]!r}?" if near else f"unknown key; known here: {', '.join(known)}"
    )
