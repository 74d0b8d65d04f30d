"""Reads the configuration file: everything that is wrong with it in one error."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal, TypeVar

from colo.config.schema import Config
from colo.config.tables import Problems, read_table
from colo.errors import ConfigError

T = TypeVar("T")
_MAX_BYTES = 1 << 20


def load(path: Path) -> Config:
    """Read the configuration of one host. Raises `ConfigError` with every problem of the file."""
    return load_as(Config, path)


def load_as(cls: type[T], path: Path) -> T:
    """Read a TOML file whose tables and keys are the fields of `cls` (see `colo.config.tables`)."""
    file = path.expanduser().absolute()
    problems = Problems(file)
    document = _parse(file)
    result = read_table(cls, document, "", problems)
    problems.raise_if_any()
    if result is None:
        raise AssertionError("read_table notes a problem whenever it gives nothing")
    return result


def _parse(file: Path) -> dict[str, object]:
    try:
        with file.open("rb") as stream:
            raw = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{file}: {error.strerror}", "give the path of a configuration file that can be read"
        ) from error
    if len(raw) > _MAX_BYTES:
        raise ConfigError(f"{file}: larger than {_MAX_BYTES} bytes", "this is hardly a configuration file")
    try:
        return tomllib.loads(raw.decode())
    except (
        ValueError,
        RecursionError,
    ) as error:  # bad TOML, no UTF-8, an endless number; brackets without end
        raise ConfigError(
            f"{file}: not a TOML file: {error}", "see https://toml.io for the syntax"
        ) from error


def check_files(config: Config, file: Path = Path("configuration")) -> None:
    """Raise one `ConfigError` for all files that `config`, read from `file`, names and that cannot be used.

    Separate from `load`, since commands that only talk to a running agent need no kernel and no certificate.
    """
    problems = Problems(file)
    named = {
        "tls.ca": config.tls.ca,
        "tls.cert": config.tls.cert,
        "tls.key": config.tls.key,
        "vm.kernel": config.vm.kernel,
        "vm.initrd": config.vm.initrd,
        "vm.firmware": config.vm.firmware,
    }
    for where, path in named.items():
        if path is not None and (why := _unusable(path, "rb")):
            problems.add(where, f"{path}: {why}")
    variables = config.vm.firmware_vars
    if variables is not None and (why := _unusable(variables, "r+b")):
        problems.add("vm.firmware_vars", f"{variables}: {why}")
    problems.raise_if_any()


def _unusable(file: Path, mode: Literal["rb", "r+b"]) -> str | None:
    if file.is_dir():
        return "is a folder, not a file"
    try:
        file.open(mode).close()
    except OSError as error:
        return error.strerror or str(error)
    return None
