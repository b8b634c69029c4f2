"""What can go wrong between a peer and the chaincode server, beside the contract's own refusals."""

from crypto.errors import SealtrailError


class PeerError(SealtrailError):
    """The peer answered a question of the contract with an error, or with something that is no answer."""


class ProposalError(SealtrailError):
    """A transaction's proposal cannot be read, is too large, or contradicts the message that carries it."""


class ServeError(SealtrailError):
    """The chaincode server cannot start: its address, package id or TLS files."""
