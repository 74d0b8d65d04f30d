"""The agent's own loop is asyncio."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
