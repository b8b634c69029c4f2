"""Fabric's Protocol Buffers messages that a channel's configuration is made of. Imported only when used: they are in
the extra `fabric`. Whatever is read here may come from anybody; reading it believes nothing.
"""

from importlib import import_module
from typing import Any

from network.errors import ConfigurationError, NetworkError

MAX_BYTES = 16 * 2**20


def load(name: str) -> Any:
    """A module of the extra; NetworkError says how to install it."""
    try:
        return import_module(name)
    except ImportError as e:
        raise NetworkError(f"{name} is not installed; partners need the extra: pip install sealtrail[fabric]") from e


common = load("fabric_protos.common.common_pb2")
configtx = load("fabric_protos.common.configtx_pb2")
configuration = load("fabric_protos.common.configuration_pb2")
policies = load("fabric_protos.common.policies_pb2")
identities = load("fabric_protos.msp.identities_pb2")
msp_config = load("fabric_protos.msp.msp_config_pb2")
msp_principal = load("fabric_protos.msp.msp_principal_pb2")
peer_configuration = load("fabric_protos.peer.configuration_pb2")
peer_policy = load("fabric_protos.peer.policy_pb2")
orderer = load("fabric_protos.orderer.ab_pb2")
_message = load("google.protobuf.message")


def read(kind: Any, data: bytes, what: str) -> Any:
    """The message of this kind in `data`; ConfigurationError where there is none."""
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"{what} has at most {MAX_BYTES:,} bytes, got {len(data):,}")
    try:
        return kind.FromString(data)
    except _message.DecodeError as e:
        raise ConfigurationError(f"expected {what} as a {kind.DESCRIPTOR.full_name} message: {e}") from e


def encode(message: Any) -> bytes:
    """The bytes of a message; the same ones for the same message, maps sorted."""
    encoded: bytes = message.SerializeToString(deterministic=True)
    return encoded


def shown(text: str) -> str:
    """Text of others as it may be shown: no control characters, at most 300 characters."""
    return "".join(character if character.isprintable() else "?" for character in text)[:300]
