"""What holds for every command: loading, help, errors, interruption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner, Result

from colo import __version__
from colo.cli import COMMANDS
from colo.cli.group import INTERRUPTED, ColoGroup
from colo.errors import LeaseError, RefusedError

if TYPE_CHECKING:
    from pathlib import Path

Colo = Callable[..., Result]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(colo: Colo, name: str) -> None:
    result = colo(name, "--help")
    assert result.exit_code == 0
    assert result.output.startswith("Usage:")


def test_help_lists_every_command(colo: Colo) -> None:
    output = colo("--help").output
    assert all(f"\n  {name} " in output for name in COMMANDS)


def test_the_version(colo: Colo) -> None:
    assert __version__ in colo("--version").output


def test_an_unknown_command_is_a_usage_error(colo: Colo) -> None:
    assert colo("no-such-command").exit_code == 2


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import sys; from colo.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "heavy = {'anyio', 'httpx', 'rich', 'uvicorn', 'pyroute2', 'cryptography', 'cattrs', 'colo.config'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stderr.strip() == "[]"


def failing_with(error: BaseException) -> Result:
    group = ColoGroup(name="test", commands_of={})

    @click.command()
    def fail() -> None:
        raise error

    group.get_command = lambda ctx, name: fail  # type: ignore[method-assign,assignment]  # noqa: ARG005
    return CliRunner().invoke(group, ["fail"])


def test_an_error_out_of_a_group_of_tasks_is_told_like_any_other() -> None:
    nested = BaseExceptionGroup("tasks", [ExceptionGroup("inner", [LeaseError("no lease", "wait")])])
    result = failing_with(nested)
    assert (result.exit_code, result.stderr) == (10, "error: no lease\nhint: wait\n")


def test_a_bug_beside_an_expected_error_is_not_hidden() -> None:
    result = failing_with(ExceptionGroup("tasks", [RefusedError("no"), ZeroDivisionError()]))
    assert isinstance(result.exception, ExceptionGroup)


def test_an_interruption_has_the_exit_code_of_shells() -> None:
    assert failing_with(KeyboardInterrupt()).exit_code == INTERRUPTED


@pytest.fixture
def heeds_interruptions() -> Iterator[None]:
    """What a shell starts in the background ignores them, and so would what we start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_interruptions")
def test_ctrl_c_ends_a_command_without_a_traceback(config: Path, agent: object) -> None:
    assert agent
    argv = [sys.executable, "-m", "colo", "status", "--watch", "--format", "json", str(config)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as command:
        assert command.stdout
        assert command.stdout.readline().startswith("{")
        os.kill(command.pid, signal.SIGINT)
        _, said = command.communicate(timeout=20)
    assert (command.returncode, said.strip()) == (INTERRUPTED, "")
