"""The configuration file: its schema, its checks, and its reader."""

from colo.config.checks import Address
from colo.config.load import check_files, load, load_as
from colo.config.schema import (
    AgentConfig,
    CheckpointConfig,
    Config,
    NicConfig,
    TapUplink,
    TimingConfig,
    TlsConfig,
    UnixUplink,
    VmConfig,
    WitnessConfig,
)

__all__ = [
    "Address",
    "AgentConfig",
    "CheckpointConfig",
    "Config",
    "NicConfig",
    "TapUplink",
    "TimingConfig",
    "TlsConfig",
    "UnixUplink",
    "VmConfig",
    "WitnessConfig",
    "check_files",
    "load",
    "load_as",
]
