"""The contract served to Fabric peers: our side of the chaincode shim protocol (docs/formats/chaincode-server.md)."""
