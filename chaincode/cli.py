"""The typer application of `sealtrail chaincode`. Like everything that meets the world, it is in chaincode/server."""

from chaincode.server.command import app

__all__ = ["app"]
