"""Fabric's Protocol Buffers messages that a channel's configuration is made of. Each module of them is imported when it
is first used: they are in the extra `fabric`. What is read here may come from anybody; reading it believes nothing.
"""

from importlib import import_module
from typing import Any

from network.errors import ConfigurationError, NetworkError

MAX_BYTES = 16 * 2**20
MODULES = {
    "common": "common.common",
    "configtx": "common.configtx",
    "configuration": "common.configuration",
    "policies": "common.policies",
    "identities": "msp.identities",
    "msp_config": "msp.msp_config",
    "msp_principal": "msp.msp_principal",
    "peer_configuration": "peer.configuration",
    "peer_policy": "peer.policy",
}


def load(name: str) -> Any:
    """A module of the extra; NetworkError says how to install it."""
    try:
        return import_module(name)
    except ImportError as e:
        raise NetworkError(f"{name} is not installed; partners need the extra: pip install sealtrail[fabric]") from e


def __getattr__(name: str) -> Any:
    """The messages by the short names of MODULES, as in `messages.common.Block`."""
    if name not in MODULES:
        raise AttributeError(name)
    globals()[name] = load(f"fabric_protos.{MODULES[name]}_pb2")
    return globals()[name]


def read(kind: Any, data: bytes, what: str) -> Any:
    """The message of this kind in `data`; ConfigurationError where there is none."""
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"{what} has at most {MAX_BYTES:,} bytes, got {len(data):,}")
    try:
        return kind.FromString(data)
    except load("google.protobuf.message").DecodeError as e:
        raise ConfigurationError(f"expected {what} as a {kind.DESCRIPTOR.full_name} message: {e}") from e


def encode(message: Any) -> bytes:
    """The bytes of a message; the same ones for the same message, maps sorted."""
    encoded: bytes = message.SerializeToString(deterministic=True)
    return encoded


def shown(text: str) -> str:
    """Text of others as it may be shown: no control characters, at most 300 characters."""
    return "".join(character if character.isprintable() else "?" for character in text)[:300]
