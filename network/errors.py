"""Errors of the network room: what an operator can mend, each in one line."""

from crypto.errors import SealtrailError


class NetworkError(SealtrailError):
    """The partners' network could not do what was asked."""


class TopologyError(NetworkError):
    """The topology file cannot be used as it is."""


class ProgramError(NetworkError):
    """A program of Hyperledger Fabric is missing, or one that was run failed."""


class NodeError(NetworkError):
    """A node does not start, does not get healthy, or its port is taken."""


class ConfigurationError(NetworkError):
    """A channel's configuration, or something that is to become a part of it, does not have its form."""


class UpdateError(NetworkError):
    """An update of a channel's configuration cannot be signed or submitted as it is."""
