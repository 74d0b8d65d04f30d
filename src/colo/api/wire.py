"""JSON of the API: results, and errors that come back as the exceptions they were."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import cattrs
from attrs import frozen, has
from cattrs.preconf.json import make_converter

import colo.errors
from colo.errors import AgentUnreachableError, ColoError

T = TypeVar("T")

MAX_LINE = 256 * 1024
_converter = make_converter()

_HTTP_STATUS: dict[type[ColoError], int] = {
    colo.errors.RefusedError: 409,
    colo.errors.ConfigError: 422,
    colo.errors.PeerIncompatibleError: 409,
    colo.errors.PeerUnreachableError: 502,
    colo.errors.LeaseError: 503,
    colo.errors.CapabilityError: 503,
}


@frozen
class ErrorBody:
    """How an error looks in JSON, from the API and from commands alike."""

    error: str
    hint: str
    exit_code: int

    @classmethod
    def of(cls, error: ColoError) -> ErrorBody:
        """The body for `error`."""
        return cls(error.message, error.hint, error.exit_code)

    def to_error(self) -> ColoError:
        """The exception again: its class is told by the exit code."""
        return _CLASS_OF.get(self.exit_code, ColoError)(self.error, self.hint)


def http_status(error: ColoError) -> int:
    """The HTTP status that fits; 500 where none says more."""
    for cls in type(error).__mro__:
        if cls in _HTTP_STATUS:
            return _HTTP_STATUS[cls]
    return 500


def to_json(value: Any) -> bytes:  # noqa: ANN401 - any attrs class of this package
    """One line of JSON, without the line end."""
    return json.dumps(_converter.unstructure(value), separators=(",", ":")).encode()


def from_json(cls: type[T], text: bytes) -> T:
    """`text` as `cls`, otherwise AgentUnreachableError: what answers there does not speak our language."""
    try:
        return _structure(cls, json.loads(text))
    except (
        ValueError,
        RecursionError,
        cattrs.BaseValidationError,
        cattrs.StructureHandlerNotFoundError,
    ) as e:
        raise AgentUnreachableError(
            f"the agent's answer is no {cls.__name__}: {text[:80]!r}",
            "the agent may run another version of colo: restart it",
        ) from e


def _structure(cls: type[T], parsed: object) -> T:
    if has(cls) and not isinstance(parsed, dict):
        raise ValueError("no object")  # cattrs would try to look into it, and fail in many ways
    return _converter.structure(parsed, cls)


def is_error(text: bytes) -> bool:
    """Whether a line of a stream is an error instead of what the stream carries."""
    return text.startswith(b'{"error":')


def _classes() -> dict[int, type[ColoError]]:
    classes = [c for c in vars(colo.errors).values() if isinstance(c, type) and issubclass(c, ColoError)]
    return {c.exit_code: c for c in classes}


_CLASS_OF = _classes()
