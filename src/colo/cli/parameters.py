"""Options that several commands share."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from colo.config import Address


class _AddressType(click.ParamType[Any]):
    """host:port, as in the configuration file."""

    name = "host:port"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's interface
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Address:
        """An Address; a usage error for anything else."""
        from colo.config import Address
        from colo.config.checks import HostPort

        if isinstance(value, Address):
            return value
        try:
            return HostPort().read(value, Path())
        except (TypeError, ValueError) as e:
            self.fail(f"{value!r} {e}", param, ctx)


ADDRESS = _AddressType()


def tls_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--ca, --cert and --key; the command gets one `tls`."""
    file = click.Path(path_type=Path, dir_okay=False)

    @wraps(function)
    def with_tls(*args: Any, ca: Path, cert: Path, key: Path, **kwargs: Any) -> Any:  # noqa: ANN401
        from colo.config import TlsConfig

        return function(*args, tls=TlsConfig(ca, cert, key), **kwargs)

    for name, text in (
        ("--key", "Its key (PEM)."),
        ("--cert", "Our certificate (PEM)."),
        ("--ca", "The authority (PEM)."),
    ):
        with_tls = click.option(name, type=file, required=True, help=text)(with_tls)
    return with_tls
