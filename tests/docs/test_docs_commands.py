"""Commands, options and exit codes in the documents are those of the program."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import click
import pytest
from rendered import DOCS
from test_docs_model import rows

import colo.errors
from colo.cli import COMMANDS, main

if TYPE_CHECKING:
    from pathlib import Path

ROOT = DOCS.parent
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
_NOT_OF_ERRORS = {0, 2, 130}


def _said(text: str) -> set[str]:
    """Every `colo ...` in a line of a block or in a code span."""
    blocks = "\n".join(re.findall(r"```\n(.*?)```", text, re.DOTALL))
    lines = re.findall(r"^colo (.+)$", blocks, re.MULTILINE)
    spans = re.findall(r"`colo ([a-z][^`]*)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return {*lines, *spans}


SAID = sorted({(path.name, said) for path in TEXTS for said in _said(path.read_text())})


@pytest.mark.parametrize(("document", "said"), SAID)
def test_every_command_and_option_exists(document: str, said: str) -> None:
    command: click.Command = main
    context = click.Context(main)
    words = shlex.split(said)
    while words and isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        if found is None:
            break
        command, words = found, words[1:]
    assert command is not main or words[0] == "COMMAND" or words[0].startswith("-"), (
        f"{document}: colo {said}"
    )
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    assert {word for word in words if word.startswith("--")} <= known, f"{document}: colo {said}"


def test_the_documents_were_searched() -> None:
    commands = {said.split()[0] for _, said in SAID}
    assert commands >= set(COMMANDS) - {"demo", "guest"}  # `make` runs these


def test_the_exit_codes_are_those_of_the_errors() -> None:
    documented = {
        int(code) for code, *_ in rows((ROOT / "README.md").read_text(), "## Commands and exit codes")
    }
    errors = [value for value in vars(colo.errors).values() if isinstance(value, type)]
    assert documented == {error.exit_code for error in errors if issubclass(error, colo.errors.ColoError)} | (
        _NOT_OF_ERRORS
    )


@pytest.mark.parametrize("unit", sorted((DOCS / "systemd").glob("*.service")), ids=lambda path: path.name)
def test_the_units_start_what_exists(unit: Path) -> None:
    text = unit.read_text().replace("\\\n", "")
    (started,) = re.findall(r"^ExecStart=\S+/colo (.+)$", text, re.MULTILINE)
    test_every_command_and_option_exists(unit.name, started)
